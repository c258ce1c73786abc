"""Links to all peers over TCP: framed one-way messages (D7).

Each member dials every other twice: *control* (heartbeats, votes, answers) and *bulk* (entries,
forwarded requests), so that a large entry never delays a heartbeat.  Messages flow from the
dialler to the acceptor; answers travel on the other side's own links.  `link` has what we dial,
`accepting` what others dial, `greeting` what must be said before either is believed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from roost.peer.accepting import Accepted, make_room
from roost.peer.config import Dice, PeerConfig, TransportStatistics
from roost.peer.errors import RefusedThere
from roost.peer.frame import HANDSHAKE_BYTES_MAX, NONCE_BYTES, Invitation, Join, Welcome
from roost.peer.greeting import (
    BULK,
    CONTROL,
    SNAPSHOT,
    Address,
    Admitted,
    CallBack,
    Dialler,
    Joins,
    Known,
    LocalPeer,
    Shown,
)
from roost.peer.handshake import call_back, greet
from roost.peer.link import Link
from roost.peer.lives import Lives
from roost.peer.network import Connection, Listener, Network
from roost.peer.refusals import Refusals
from roost.peer.secret import Secrets
from roost.peer.snapshot import STREAM_BYTES_MAX, Pull
from roost.peer.sockets import literal_of
from roost.peer.stream import Stream
from roost.peer.troubles import Troubles
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
_CHANNELS = (CONTROL, BULK)


class Transport:
    """All links of one member; the `House` of those who greet it."""

    def __init__(
        self,
        *,
        local: LocalPeer,
        network: Network,
        listen: Sequence[Address],
        config: PeerConfig,
        dice: Dice,
        on_frame: Callable[[int, int, bytes], None],
        on_batch_end: Callable[[], None],
        on_connected: Callable[[int], None],
        on_unreachable: Callable[[int], None],
        on_refused: Callable[[int, RefusedThere], None],
        on_pull: Callable[[Stream, Pull], None],
        on_join: Callable[[Stream, Joins], None],
        is_removed: Callable[[int], bool],
        invite: Callable[[Join], tuple[Invitation, Known]],
        published: Callable[[int], tuple[int, int]] = lambda _member_id: (0, 0),
        names_of: Callable[[int], tuple[str, ...]] = lambda _member_id: (),
        ask_about: Callable[[int], None] = lambda _member_id: None,
        secrets: Secrets | None = None,
    ) -> None:
        """Nothing is open before `start`.

        `on_frame(member_id, kind, body)` may raise a PeerFault, which closes the link;
        `on_batch_end()` follows once after all frames of one read.  `on_pull` and `on_join` own
        the stream they are given.  `published(member_id)` is what the cluster knows of a
        member's directory and incarnation; for `invite` and `ask_about` see `greeting.House`.
        """
        self.local = local
        self.config = config
        self.dice = dice
        self.secrets = secrets or Secrets()
        self.lives = Lives(published)
        self.on_frame = on_frame
        self.on_batch_end = on_batch_end
        self.on_pull = on_pull
        self.on_join = on_join
        self.is_removed = is_removed
        self.invite = invite
        self.ask_about = ask_about
        self.statistics = TransportStatistics()
        # Frames dropped, by the member they were for.
        self.dropped_counts: dict[int, int] = {}
        self._network = network
        self._tell_connected = on_connected
        self._tell_unreachable = on_unreachable
        self._tell_refused = on_refused
        self._names_of = names_of
        self._listen = list(listen)
        self._listeners: list[Listener] = []
        self._links: dict[int, tuple[Link, Link]] = {}
        self.tasks = Tasks()
        self._running: dict[int, list[asyncio.Task[None]]] = {}
        # In the order in which they came.
        self._accepted: dict[Accepted, None] = {}
        self._by_channel: dict[tuple[int, int], Accepted] = {}
        # The nonces of greetings that are under way.
        self._greetings: set[bytes] = set()
        # By member, and whether who greets in its name comes from an address of its own.
        self._calls_back: dict[tuple[int, bool], int] = {}
        # Where members said that they are, until the roster says so too.
        self._told: dict[int, tuple[Address, ...]] = {}
        # Where names in peer URLs have led to.
        self._resolved: dict[str, str] = {}
        self.troubles = Troubles()
        self._refusals = Refusals()
        self._is_closed = False

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address cannot be bound.

        """
        self.loop = asyncio.get_running_loop()
        try:
            for address in self._listen:
                self._listeners.append(await self._network.listen(address, self._on_come))
        except OSError:
            await self.close()
            raise

    @property
    def addresses(self) -> list[Address]:
        """Where we really listen."""
        return [it.address for it in self._listeners]

    def _on_come(self, connection: Connection, host: str) -> None:
        """Somebody at `host` has dialled: have it greet us, if there is room."""
        waiting = [it for it in self._accepted if it.hello is None]
        leaving = make_room(waiting, host, self._known_hosts(), self.config)
        if leaving is not None:
            logger.debug("a connection from %s has not greeted, and makes room", leaving.host)
            leaving.close()
        if len(self._accepted) >= self.config.incoming_count_max:
            connection.close()
            return
        accepted = Accepted(self, Stream(connection, HANDSHAKE_BYTES_MAX), host)
        self._accepted[accepted] = None
        accepted.begin()

    def _known_hosts(self) -> frozenset[str]:
        """The addresses that members come from, as far as they are known."""
        return self._seen_from(it for links in self._links.values() for it in links[0].addresses)

    def _seen_from(self, addresses: Iterable[Address]) -> frozenset[str]:
        """Where connections from there seem to come from, as far as that is known."""
        hosts = {host for host, _ in addresses}
        return frozenset(literal_of(self._resolved.get(host, host)) for host in hosts)

    def draw_nonce(self) -> bytes:
        """A number that was never used before."""
        return self.dice.below(1 << (8 * NONCE_BYTES)).to_bytes(NONCE_BYTES, "big")

    def known(self, member_id: int) -> Known | None:
        """A member that we dial, because the roster or somebody of it says so."""
        links = self._links.get(member_id)
        if links is None:
            return None
        return Known(tuple(links[0].addresses), self._names_of(member_id))

    def is_full(self) -> bool:
        """Whether nobody else can be known."""
        return len(self._links) >= self.config.peer_count_max

    def is_greeting(self, nonce: bytes) -> bool:
        """Whether we have just sent a greeting with that nonce."""
        return nonce in self._greetings

    def certificate_of(self, stream: Stream) -> Shown | None:
        """What the other side has shown, when it had to show something."""
        return self._network.shown(stream.connection)

    async def call_back(self, step: CallBack, host: str) -> str:
        """Ask a member, where it is known to be, whether it greets us; why not, or "".

        Whoever greets in its name from elsewhere than its own `host` uses up no call of its own.
        """
        config = self.config
        key = (step.target_id, host in self._seen_from(step.addresses))
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

    async def dial(self, address: Address) -> Stream:
        """Connect to a peer's port; nothing is said yet.

        Raises:
            OSError: it cannot be reached.
            HandshakeRefused: its certificate names somebody else.

        """
        connection, self._resolved[address[0]] = await self._network.connect(address)
        return Stream(connection, STREAM_BYTES_MAX)

    async def greet(self, member_id: int, channel: int, address: Address) -> Stream:
        """Dial a member and greet it; what it says of itself is believed from now on.

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
        async with asyncio.timeout(self.config.handshake_ms_max / 1000):
            return await self.greet(member_id, SNAPSHOT, address)

    def on_greeted(self, accepted: Accepted, admitted: Admitted) -> None:
        """A peer has greeted: it replaces its older connection, and is there to be dialled."""
        hello = admitted.hello
        if hello.member_id not in self._links:
            logger.info("member %x is new to this one", hello.member_id)
        if admitted.new_addresses or hello.member_id not in self._links:
            self._hear_of(hello.member_id, admitted.new_addresses)
        key = (hello.member_id, hello.channel)
        old = self._by_channel.get(key)
        self._by_channel[key] = accepted
        if old is not None:
            old.close()
        self.wake(hello.member_id)
        accepted.listen()

    def wake(self, member_id: int) -> None:
        """A peer has dialled us, so it is there."""
        for link in self._links.get(member_id, ()):
            link.wake()

    def note_refused(self, host: str, error: Exception) -> None:
        """Somebody was not let in."""
        self._refusals.note(host, error, self.loop.time())

    def on_refused(self, member_id: int, said: RefusedThere) -> None:
        """A member that we dialled will not talk to us."""
        self._tell_refused(member_id, said)

    def on_connected(self, member_id: int) -> None:
        """A dialled link is open."""
        self.troubles.forget(member_id)
        if all(link.is_open for link in self._links.get(member_id, ())):
            logger.info("links to member %x are open", member_id)
        self._tell_connected(member_id)

    def forget(self, accepted: Accepted) -> None:
        """Somebody else owns that connection now."""
        self._accepted.pop(accepted, None)

    def peers(self) -> list[int]:
        """Everybody we dial."""
        return list(self._links)

    def is_open_to(self, member_id: int) -> bool:
        """Whether the link for heartbeats and votes to a member is open."""
        links = self._links.get(member_id)
        return links is not None and links[CONTROL].is_open

    def addresses_of(self, member_id: int) -> list[Address]:
        """Where a member is dialled; empty when it is not known."""
        links = self._links.get(member_id)
        return list(links[0].addresses) if links else []

    def on_accepted_closed(self, accepted: Accepted) -> None:
        """An accepted connection ended."""
        self.forget(accepted)
        hello = accepted.hello
        if hello is None:
            return
        key = (hello.member_id, hello.channel)
        if self._by_channel.get(key) is accepted:
            del self._by_channel[key]
            self.on_unreachable(hello.member_id)

    def on_unreachable(self, member_id: int) -> None:
        """A link to or from a peer broke."""
        if not self._is_closed and member_id in self._links:
            self._tell_unreachable(member_id)

    def add_peer(self, member_id: int, addresses: Sequence[Address]) -> None:
        """Dial a member, and let it dial us; again with other addresses to change them."""
        assert member_id != self.local.member_id, "nobody dials itself"
        told = self._told.pop(member_id, ())
        if not set(told) <= set(addresses):
            self._told[member_id] = told
            addresses = list(dict.fromkeys((*addresses, *told)))
        if member_id not in self._links:
            links = (Link(self, member_id, CONTROL), Link(self, member_id, BULK))
            self._links[member_id] = links
            self._running[member_id] = [self.tasks.start(link.run()) for link in links]
        for link in self._links[member_id]:
            link.addresses = list(addresses)

    def _hear_of(self, member_id: int, told: tuple[Address, ...]) -> None:
        """A member has proven that it is there, too: dial it there until the roster says where."""
        before = self._told.get(member_id, ())
        held = [it for it in self.addresses_of(member_id) if it not in before]
        self._told[member_id] = told
        self.add_peer(member_id, held)

    def remove_peer(self, member_id: int) -> None:
        """Close all links to a member and refuse it from now on."""
        for task in self._running.pop(member_id, ()):
            task.cancel()
        for link in self._links.pop(member_id, ()):
            link.close()
        self.lives.forget(member_id)
        self.troubles.forget(member_id)
        self._told.pop(member_id, None)
        for channel in _CHANNELS:
            accepted = self._by_channel.get((member_id, channel))
            if accepted is not None:
                accepted.close()

    def send(self, member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
        """Send one frame, as `frame.encode` made it, perhaps for several peers.

        False when it was dropped: not connected, or the queue is full.
        """
        links = self._links.get(member_id)
        if links is not None and links[BULK if bulk else CONTROL].send(encoded):
            self.statistics.sent_count += 1
            self.statistics.sent_bytes += sum(map(len, encoded))
            return True
        self.statistics.dropped_count += 1
        self.dropped_counts[member_id] = self.dropped_counts.get(member_id, 0) + 1
        return False

    def queued_bytes(self) -> int:
        """What waits for sockets, over all links."""
        return sum(link.queued_bytes for links in self._links.values() for link in links)

    def abandon(self) -> None:
        """Drop every link at once, as a crash would; for simulators and tests."""
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        for member_id in list(self._links):
            self.remove_peer(member_id)
        for accepted in list(self._accepted):
            accepted.close()

    async def close(self) -> None:
        """Close everything; what is queued is lost."""
        self.abandon()
        await self.tasks.close()
