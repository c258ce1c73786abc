"""A network between simulated members: connections that delay, break, and are cut one way.

It behaves as TCP does: what arrives on a connection arrives in order; what is lost is lost
because the connection breaks, and everything behind it is lost too.  A cut direction swallows what
is sent until somebody notices, within DETECT_S_MAX.  Frames are encoded and decoded, members
greeted, called back and refused by the production code.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from roost.errors import PeerFault
from roost.peer import Doorbell, Stream, Transport
from roost.peer.accepting import Accepted
from roost.peer.frame import FrameReader
from roost.peer.greeting import Admitted
from roost.peer.link import Link
from roost.sim.members.disk import PowerCut

Address = tuple[str, int]
DETECT_S_MAX = 1.0
_FRAME_BYTES_MAX = 80 << 20


class Connection:
    """One direction of one channel between two members, while it lasts."""

    def __init__(self, link: "SimLink", target: "SimTransport") -> None:
        """Open."""
        self.link = link
        self.target = target
        self.reader = FrameReader(_FRAME_BYTES_MAX)
        self.last_s = 0.0
        self.is_broken = False
        self.is_doomed = False


class SimNetwork:
    """Who listens where, which directions are cut, and how long a message takes."""

    def __init__(self, dice: random.Random, *, delay_s_mean: float) -> None:
        """Nobody listens."""
        self.dice = dice
        self.delay_s_mean = delay_s_mean
        self.listening: dict[Address, SimTransport | SimDoorbell] = {}
        self.cut: set[tuple[Address, Address]] = set()
        self.connections: list[Connection] = []
        self.streams: list[SimStream] = []
        # Until when what goes from one to another is held up.
        self.clogged: dict[tuple[Address, Address], float] = {}
        self.delivered = 0
        self.after_delivery: Callable[[SimTransport], None] = lambda _transport: None
        # Every byte that arrived anywhere, so that two runs can be told apart.
        self.digest = hashlib.blake2b(digest_size=16)

    def delay_s(self) -> float:
        """How long the next message takes."""
        return self.dice.expovariate(1 / self.delay_s_mean)

    def is_cut(self, source: Address, target: Address) -> bool:
        """Whether nothing gets from one to the other."""
        return (source, target) in self.cut

    async def reach(self, source: Address, target: Address) -> "SimStream":
        """A new connection, after a round trip.

        Raises:
            ConnectionRefusedError: nobody answers there, or either way is cut.

        """
        await asyncio.sleep(2 * self.delay_s())
        is_cut = self.is_cut(source, target) or self.is_cut(target, source)
        answers = None if is_cut else self.listening.get(target)
        if answers is None:
            raise ConnectionRefusedError(f"nobody answers at {target}")
        near, far = SimStream.pair(self, (self.listening.get(source), source), (answers, target))
        answers.accept(far, source[0])
        return near

    def transmit(self, connection: Connection, data: bytes) -> None:
        """Carry bytes, or lose them and, in time, the connection."""
        source, target = connection.link.source, connection.target.own_address
        if self.is_cut(source, target) or connection.is_doomed:
            self.doom(connection)
            return
        loop = asyncio.get_running_loop()
        open_s = self.clogged.get((source, target), 0.0)
        connection.last_s = max(connection.last_s, loop.time() + self.delay_s(), open_s)
        loop.call_at(connection.last_s, self._deliver, connection, data)

    def doom(self, connection: Connection) -> None:
        """Something was lost: the connection breaks when that is noticed."""
        if not connection.is_doomed:
            connection.is_doomed = True
            loop = asyncio.get_running_loop()
            loop.call_later(self.dice.uniform(0, DETECT_S_MAX), self.break_connection, connection)

    def _deliver(self, connection: Connection, data: bytes) -> None:
        target = connection.target
        if connection.is_broken or not target.is_alive:
            return
        self.delivered += 1
        self.digest.update(data)
        sender = connection.link.own_id
        try:
            for kind, body in connection.reader.feed(data):
                target.statistics.received_count += 1
                target.on_frame(sender, kind, body)
        except PeerFault:
            self.break_connection(connection)
            raise
        target.on_batch_end()
        self.after_delivery(target)

    def break_connection(self, connection: Connection) -> None:
        """Both ends notice that it is gone."""
        if connection.is_broken:
            return
        connection.is_broken = True
        self.connections.remove(connection)
        connection.link.close()
        if connection.target.is_alive:
            try:
                connection.target.on_unreachable(connection.link.own_id)
            except PowerCut as cut:
                # It was about to write, and dies of that by itself: not here, where somebody
                # else's connections are being broken.
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "a power cut", "exception": cut})

    def kill(self, transport: "SimTransport") -> None:
        """A member died: everything to and from it breaks."""
        transport.is_alive = False
        for address in [it for it, held in self.listening.items() if held is transport]:
            del self.listening[address]
        for connection in list(self.connections):
            if connection.target is transport or connection.link.owner is transport:
                self.break_connection(connection)
        for stream in list(self.streams):
            if transport in (stream.owner, stream.other.owner):
                stream.close()


class SimLink(Link):
    """A link that dials on the simulated network."""

    def __init__(self, transport: "SimTransport", member_id: int, channel: int) -> None:
        """Closed; `run` dials."""
        super().__init__(transport, member_id, channel)
        self.owner = transport
        self.connection: Connection | None = None

    @property
    def own_id(self) -> int:
        """Who dials."""
        return self.owner.local.member_id

    @property
    def source(self) -> Address:
        """Where it dials from."""
        return self.owner.own_address

    @property
    def is_open(self) -> bool:
        """Whether messages can leave."""
        return self.connection is not None

    def send(self, buffers: list[bytes]) -> bool:
        """Send one frame; False when there is no connection."""
        if self.connection is None:
            return False
        self.owner.network.transmit(self.connection, b"".join(buffers))
        return True

    def _attach(self, stream: Stream) -> None:
        """Use a connection that was greeted."""
        assert isinstance(stream, SimStream), "that is what is dialled here"
        target, is_gone = stream.other.owner, stream.is_closed
        stream.close()
        if is_gone or not isinstance(target, SimTransport) or not target.is_alive:
            raise ConnectionResetError("it was there a moment ago")
        self.connection = Connection(self, target)
        self.owner.network.connections.append(self.connection)

    def close(self) -> None:
        """Close the connection; what is on its way is lost."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        self.owner.network.break_connection(connection)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


class SimTransport(Transport):
    """The production transport's rules on simulated links."""

    def __init__(self, network: SimNetwork, **options: Any) -> None:  # Any: Transport's own
        """Nothing is open before `start`."""
        super().__init__(**options)
        self.network = network
        self.own_address: Address = self._listen[0]
        self.is_alive = True

    async def start(self) -> None:
        """Listen."""
        self.loop = asyncio.get_running_loop()
        for address in self._listen:
            self.network.listening[address] = self

    def make_link(self, member_id: int, channel: int) -> Link:
        """A link of the simulated kind."""
        return SimLink(self, member_id, channel)

    def make_accepted(self, stream: Stream, host: str) -> Accepted:
        """What follows the greeting comes by a `Connection`."""
        return SimAccepted(self, stream, host)

    def on_greeted(self, accepted: Accepted, admitted: Admitted) -> None:
        """The dialler has the connection from now on."""
        self.forget(accepted)
        super().on_greeted(accepted, admitted)

    async def dial(self, address: Address) -> Stream:
        """Connect on the simulated network."""
        return await self.network.reach(self.own_address, address)

    def abandon(self) -> None:
        """The member crashed."""
        self.network.kill(self)
        super().abandon()

    async def close(self) -> None:
        """Close everything."""
        self.network.kill(self)
        await super().close()


class SimAccepted(Accepted):
    """An accepted connection, until it has greeted."""

    def listen(self) -> None:
        """Nothing comes this way."""

    def close(self) -> None:
        """Close it, if it was not handed on."""
        if self.hello is None:
            super().close()


class SimDoorbell(Doorbell):
    """What answers at the address of a machine whose member does not run yet."""

    def __init__(self, network: SimNetwork, listen: Sequence[Address]) -> None:
        """Nothing is open yet."""
        super().__init__([])
        self._network = network
        self._addresses = list(listen)

    async def __aenter__(self) -> "SimDoorbell":
        """Listen."""
        for address in self._addresses:
            self._network.listening[address] = self
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        for address in self._addresses:
            if self._network.listening.get(address) is self:
                del self._network.listening[address]
        await super().__aexit__()


class SimStream(Stream):
    """One end of a connection that carries a snapshot."""

    other: "SimStream"

    def __init__(
        self,
        network: SimNetwork,
        owner: SimTransport | SimDoorbell | None,
        address: Address,
    ) -> None:
        """Use `pair`."""
        self._network = network
        self.owner = owner
        self.address = address
        self.queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.reader = FrameReader(_FRAME_BYTES_MAX)
        self._last_s = 0.0
        self.is_closed = False

    @classmethod
    def pair(
        cls,
        network: SimNetwork,
        near: tuple[SimTransport | SimDoorbell | None, Address],
        far: tuple[SimTransport | SimDoorbell | None, Address],
    ) -> tuple["SimStream", "SimStream"]:
        """Both ends of a new connection: who has each, and where."""
        ends = cls(network, *near), cls(network, *far)
        ends[0].other, ends[1].other = ends[1], ends[0]
        network.streams += ends
        return ends

    async def send(self, kind: int, body: msgspec.Struct) -> None:
        """Send one small frame."""
        await self._put(kind, msgspec.msgpack.encode(body))

    async def send_buffers(self, kind: int, buffers: list[bytes]) -> None:
        """Send one frame whose body is `buffers`."""
        await self._put(kind, b"".join(buffers))

    async def _put(self, kind: int, body: bytes) -> None:
        network = self._network
        if network.is_cut(self.address, self.other.address):
            self.close()
        if self.is_closed:
            raise ConnectionResetError("the connection is gone")
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s, loop.time() + network.delay_s())
        loop.call_at(self._last_s, self.other.queue.put_nowait, (kind, body))
        await asyncio.sleep(self._last_s - loop.time())

    async def next_frame(self) -> tuple[int, bytes]:
        """The next frame, within ten seconds."""
        async with asyncio.timeout(10.0):
            item = await self.queue.get()
        if item is None:
            raise ConnectionResetError("the connection is gone")
        return item

    def take_frames(self) -> list[tuple[int, bytes]]:
        """Nothing is said before the greeting is over."""
        return []

    def close(self) -> None:
        """Close both ends."""
        for end in (self, self.other):
            if not end.is_closed:
                end.is_closed = True
                end.queue.put_nowait(None)
                self._network.streams.remove(end)
