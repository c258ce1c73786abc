"""Links to all peers over TCP: framed one-way messages (D7).

Each member dials every other twice: *control* (heartbeats, votes, answers) and *bulk* (entries,
forwarded requests), so that a large entry never delays a heartbeat.  Messages flow from the
dialler to the acceptor; answers travel on the other side's own links.

It is made of three: `dialled` has what we dial, `gate` what others dial, and `greeter` says who we
are; `greeting` is what must be said before either side is believed.
"""

import asyncio
from collections.abc import Callable, Sequence

from roost.peer.config import Dice, PeerConfig, TransportStatistics
from roost.peer.dialled import Dialled
from roost.peer.errors import RefusedThere
from roost.peer.frame import Invitation, Join
from roost.peer.gate import Gate
from roost.peer.greeter import Greeter
from roost.peer.greeting import Joins
from roost.peer.house import OwnHouse
from roost.peer.lives import Lives
from roost.peer.local import Address, Known, LocalPeer
from roost.peer.network import Network
from roost.peer.secret import Secrets
from roost.peer.snapshot import Pull
from roost.peer.stream import Stream
from roost.tasks import Tasks


class Transport:
    """All links of one member."""

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
        self.lives = Lives(published)
        self.statistics = TransportStatistics()
        self._listen = list(listen)
        self._tasks = Tasks()
        self.greeter = greeter = Greeter(
            local, self.lives, secrets or Secrets(), network=network, config=config, dice=dice
        )
        self.dialled = dialled = Dialled(
            greeter,
            config=config,
            dice=dice,
            tasks=self._tasks,
            statistics=self.statistics,
            on_connected=on_connected,
            on_unreachable=on_unreachable,
            on_refused=on_refused,
        )
        self.house = OwnHouse(
            greeter,
            dialled,
            peer_count_max=config.peer_count_max,
            is_removed=is_removed,
            invite=invite,
            names_of=names_of,
            ask_about=ask_about,
        )
        self.gate = Gate(
            self.house,
            greeter,
            dialled,
            network=network,
            config=config,
            tasks=self._tasks,
            statistics=self.statistics,
            on_frame=on_frame,
            on_batch_end=on_batch_end,
            on_pull=on_pull,
            on_join=on_join,
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address cannot be bound.

        """
        self.dialled.loop = asyncio.get_running_loop()
        try:
            await self.gate.open(self._listen)
        except OSError:
            await self.close()
            raise

    @property
    def addresses(self) -> list[Address]:
        """Where we really listen."""
        return self.gate.addresses

    @property
    def dropped_counts(self) -> dict[int, int]:
        """Frames dropped, by the member they were for."""
        return self.dialled.dropped_counts

    def peers(self) -> list[int]:
        """Everybody we dial."""
        return list(self.dialled)

    def is_full(self) -> bool:
        """Whether nobody else can be known."""
        return self.house.is_full()

    def is_open_to(self, member_id: int) -> bool:
        """Whether the link for heartbeats and votes to a member is open."""
        return self.dialled.is_open_to(member_id)

    def addresses_of(self, member_id: int) -> list[Address]:
        """Where a member is dialled; empty when it is not known."""
        return self.dialled.addresses_of(member_id)

    def add_peer(self, member_id: int, addresses: Sequence[Address]) -> None:
        """Dial a member, and let it dial us; again with other addresses to change them."""
        self.dialled.add(member_id, addresses)

    def remove_peer(self, member_id: int) -> None:
        """Close all links to a member and refuse it from now on."""
        self.dialled.remove(member_id)
        self.lives.forget(member_id)
        self.gate.turn_out(member_id)

    def send(self, member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
        """Send one frame, as `framing.encode` made it, perhaps for several peers.

        False when it was dropped: not connected, or the queue is full.
        """
        return self.dialled.send(member_id, encoded, bulk=bulk)

    def queued_bytes(self) -> int:
        """What waits for sockets, over all links."""
        return self.dialled.queued_bytes()

    async def dial_for_snapshot(self, member_id: int, address: Address) -> Stream:
        """A greeted connection on which a snapshot can be asked for."""
        return await self.greeter.dial_for_snapshot(member_id, address)

    def abandon(self) -> None:
        """Drop every link at once, as a crash would; for simulators and tests."""
        self.dialled.close()
        self.gate.stop()
        for member_id in self.peers():
            self.remove_peer(member_id)
        self.gate.close()

    async def close(self) -> None:
        """Close everything; what is queued is lost."""
        self.abandon()
        await self._tasks.close()
