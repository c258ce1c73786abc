"""Whom we greet: members are dialled, told who we are, and called back when they greet us.

A greeting of ours is remembered while it is under way: whoever is greeted in our name asks us
whether it is us.  And where names lead is, so that one who comes from there is told from strangers.
"""

import asyncio
from collections.abc import Callable, Iterable

from roost.peer.config import Dice, PeerConfig
from roost.peer.frame import NONCE_BYTES, Welcome
from roost.peer.greeting import CallBack, Dialler
from roost.peer.handshake import call_back, greet
from roost.peer.lives import Lives
from roost.peer.local import SNAPSHOT, Address, LocalPeer
from roost.peer.network import Network
from roost.peer.secret import Secrets
from roost.peer.snapshot import STREAM_BYTES_MAX
from roost.peer.sockets import literal_of
from roost.peer.stream import Stream


class Greeter:
    """Greets members for one of them."""

    def __init__(
        self,
        local: LocalPeer,
        lives: Lives,
        secrets: Secrets,
        *,
        network: Network,
        config: PeerConfig,
        dice: Dice,
    ) -> None:
        """Nobody is greeted; what a welcome says is believed by `lives`."""
        self.local = local
        self.secrets = secrets
        self.lives = lives
        self._network = network
        self._config = config
        self._dice = dice
        # The nonces of greetings that are under way.
        self._greetings: set[bytes] = set()
        # By member, and whether who greets in its name comes from an address of its own.
        self._calls_back: dict[tuple[int, bool], int] = {}
        # Where names in peer URLs have led to.
        self._resolved: dict[str, str] = {}

    def seen_from(self, addresses: Iterable[Address]) -> frozenset[str]:
        """Where connections from there seem to come from, as far as that is known."""
        hosts = {host for host, _ in addresses}
        return frozenset(literal_of(self._resolved.get(host, host)) for host in hosts)

    def draw_nonce(self) -> bytes:
        """A number that was never used before."""
        return self._dice.below(1 << (8 * NONCE_BYTES)).to_bytes(NONCE_BYTES, "big")

    def is_greeting(self, nonce: bytes) -> bool:
        """Whether we have just sent a greeting with that nonce."""
        return nonce in self._greetings

    async def dial(self, address: Address) -> Stream:
        """Connect to a peer's port; nothing is said yet.

        Raises:
            OSError: it cannot be reached.
            HandshakeRefused: its certificate names somebody else.

        """
        connection, self._resolved[address[0]] = await self._network.connect(address)
        return Stream(connection, STREAM_BYTES_MAX)

    async def greet(
        self,
        member_id: int,
        channel: int,
        address: Address,
        on_reached: Callable[[], None] = lambda: None,
    ) -> Stream:
        """Dial a member and greet it; what it says of itself is believed from now on.

        `on_reached()` is called when it is connected, and nothing has been said.

        Raises:
            OSError, TimeoutError, MalformedFrame: no member is there.
            RefusedThere: it will not talk to us.
            HandshakeRefused: it is not who we meant.

        """
        nonce = self.draw_nonce()
        dialler = Dialler(self.local.hello(member_id, channel, nonce), self.secrets)
        self._greetings.add(nonce)
        try:
            stream = await self.dial(address)
            on_reached()
            try:
                welcome = await greet(stream, dialler)
                assert isinstance(welcome, Welcome), "a hello is answered by a welcome"
                self.lives.believe(member_id, welcome.life)
            except BaseException:
                stream.close()
                raise
        finally:
            self._greetings.discard(nonce)
        return stream

    async def dial_for_snapshot(self, member_id: int, address: Address) -> Stream:
        """A greeted connection on which a snapshot can be asked for."""
        async with asyncio.timeout(self._config.handshake_ms_max / 1000):
            return await self.greet(member_id, SNAPSHOT, address)

    async def call_back(self, step: CallBack, host: str) -> str:
        """Ask a member, where it is known to be, whether it greets us; why not, or "".

        Whoever greets in its name from elsewhere than its own `host` uses up no call of its own.
        """
        config = self._config
        key = (step.target_id, host in self.seen_from(step.addresses))
        running = self._calls_back.get(key, 0)
        if running >= config.call_back_count_max:
            return "it is being asked about too many others"
        self._calls_back[key] = running + 1
        try:
            return await call_back(step, self.dial, limit_s=config.call_back_ms_max / 1000)
        finally:
            self._calls_back[key] -= 1
            if not self._calls_back[key]:
                del self._calls_back[key]
