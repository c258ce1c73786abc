"""A network between simulated members: connections that delay, break, and are cut one way.

It behaves as TCP does: what arrives on a connection arrives in order; what is lost is lost
because the connection breaks, and everything behind it is lost too.  A cut direction swallows what
is sent until somebody notices, within DETECT_S_MAX.  Frames are encoded and decoded by the
production code.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any

import msgspec

from roost.errors import PeerFault
from roost.peer import HandshakeRefused, Join, Pull, Stream, Transport
from roost.peer import frame as frames
from roost.peer.frame import FrameReader, Hello
from roost.peer.snapshot import CHUNK, JOIN, PULL, refusal_error
from roost.peer.transport import Link
from roost.sim.disk import PowerCut

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
        self.listening: dict[Address, SimTransport] = {}
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

    async def reach(self, source: Address, target: Address) -> "SimTransport | None":
        """Who answers a caller there, after a round trip; nobody when either way is cut."""
        await asyncio.sleep(2 * self.delay_s())
        if self.is_cut(source, target) or self.is_cut(target, source):
            return None
        return self.listening.get(target)

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

    async def run(self) -> None:
        """Dial, stay connected, and dial again, until cancelled."""
        while True:
            for address in self.addresses:
                try:
                    connection = await self._dial(address)
                except HandshakeRefused as refusal:
                    self.owner.on_refused(self.member_id, refusal)
                    continue
                if connection is None:
                    continue
                self.connection = connection
                self._failures = 0
                self._closed = asyncio.get_running_loop().create_future()
                self.owner.on_connected(self.member_id)
                await self._closed
                self.owner.on_unreachable(self.member_id)
            await self._back_off()

    async def _dial(self, address: Address) -> Connection | None:
        network = self.owner.network
        target = await network.reach(self.source, address)
        if target is None:
            return None
        hello = self.owner.local.hello(self.member_id, self.channel)
        target.check_hello(hello)
        welcome = target.local.welcome()
        self.owner.check_incarnation(welcome.member_id, welcome.incarnation, welcome.life)
        connection = Connection(self, target)
        network.connections.append(connection)
        target.wake_links_to(self.own_id)
        return connection

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

    def wake_links_to(self, member_id: int) -> None:
        """A peer has dialled us, so it is there."""
        for link in self._links.get(member_id, ()):
            link.wake()

    def accept(self, stream: "SimStream") -> None:
        """Somebody dialled for a snapshot."""
        self._tasks.start(self._greet_stream(stream))

    async def _greet_stream(self, stream: "SimStream") -> None:
        try:
            kind, body = await stream.receive()
            if kind == JOIN:
                asked = msgspec.msgpack.decode(body, type=Join)
                self.check_join(asked)
                self.on_join(stream, asked)
                return
            self.check_hello(msgspec.msgpack.decode(body, type=Hello))
            await stream.send(frames.WELCOME, self.local.welcome())
            kind, body = await stream.receive()
            assert kind == PULL, "that is what follows"
            self.on_pull(stream, msgspec.msgpack.decode(body, type=Pull))
        except (PeerFault, OSError, TimeoutError):
            stream.close()

    def abandon(self) -> None:
        """The member crashed."""
        self.network.kill(self)
        super().abandon()

    async def close(self) -> None:
        """Close everything."""
        self.network.kill(self)
        await super().close()


class SimStream(Stream):
    """One end of a connection that carries a snapshot."""

    other: "SimStream"

    def __init__(self, network: SimNetwork, owner: SimTransport | None, address: Address) -> None:
        """Use `pair`."""
        self._network = network
        self.owner = owner
        self.address = address
        self.queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._last_s = 0.0
        self.is_closed = False

    @classmethod
    def pair(
        cls, network: SimNetwork, source: Address, target: SimTransport
    ) -> tuple["SimStream", "SimStream"]:
        """Both ends of a new connection."""
        near = cls(network, network.listening.get(source), source)
        far = cls(network, target, target.own_address)
        near.other, far.other = far, near
        network.streams += [near, far]
        return near, far

    async def send(self, kind: int, body: msgspec.Struct) -> None:
        """Send one small frame."""
        await self._put(kind, msgspec.msgpack.encode(body))

    async def send_chunk(self, offset: int, data: bytes) -> None:
        """Send a piece of the file."""
        await self._put(CHUNK, offset.to_bytes(8, "big") + data)

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

    async def receive(self) -> tuple[int, bytes]:
        """The next frame, within ten seconds."""
        async with asyncio.timeout(10.0):
            item = await self.queue.get()
        if item is None:
            raise ConnectionResetError("the connection is gone")
        kind, body = item
        if kind == frames.REFUSAL:
            raise refusal_error(body)
        return kind, body

    def close(self) -> None:
        """Close both ends."""
        for end in (self, self.other):
            if not end.is_closed:
                end.is_closed = True
                end.queue.put_nowait(None)
                self._network.streams.remove(end)
