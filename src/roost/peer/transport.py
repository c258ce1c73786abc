"""Links to all peers over TCP: framed one-way messages (D7).

Each member dials every other twice: *control* (heartbeats, votes, answers) and *bulk* (entries,
forwarded requests), so that a large entry never delays a heartbeat.  Messages flow from the
dialler to the acceptor; answers travel on the other side's own links.

`send` writes to the socket at once when nothing is queued, so that the bytes are on their way
before the caller goes on to its disk.  What the socket does not take is queued.

Full?  Each link's queue is bounded by count and bytes; past it a message is dropped and `send`
says False.  The core probes again; nothing waits for a slow peer.
"""

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.errors import (
    REFUSALS,
    HandshakeRefused,
    MalformedFrame,
    RemovedMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import FrameReader, Hello, Refusal, Welcome
from roost.peer.snapshot import JOIN, PULL, SNAPSHOT_CHANNEL, Join, Pull, Stream
from roost.peer.sockets import Connection, PeerTls, connect, receive, send_all
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
CONTROL, BULK = 0, 1
_CHANNELS = (CONTROL, BULK)
_LIMITS = {
    CONTROL: frame.CONTROL_BYTES_MAX,
    BULK: frame.BULK_BYTES_MAX,
    SNAPSHOT_CHANNEL: frame.HANDSHAKE_BYTES_MAX,
}
_READ_BYTES = 64 << 10
_IOV_MAX = 1000
Address = tuple[str, int]


class Dice(Protocol):
    """Chance for the back-off."""

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPeer:
    """Who we are to our peers.

    `incarnation` grows with every start of the directory's member; `life` is a number that no
    other process ever draws.  So a copy of the directory, or an old state of it, is noticed.
    """

    cluster_id: int
    member_id: int
    incarnation: int
    protocol_version: int
    storage_version: int
    addresses: tuple[Address, ...] = ()
    life: int = 0

    def hello(self, target_id: int, channel: int) -> Hello:
        """What we say to `target_id` when we dial it."""
        return Hello(
            cluster_id=self.cluster_id,
            member_id=self.member_id,
            incarnation=self.incarnation,
            target_id=target_id,
            channel=channel,
            protocol_version=self.protocol_version,
            storage_version=self.storage_version,
            addresses=self.addresses,
            life=self.life,
        )

    def welcome(self) -> Welcome:
        """What we say to whoever may talk to us."""
        return Welcome(member_id=self.member_id, incarnation=self.incarnation, life=self.life)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Times in milliseconds, sizes in bytes."""

    backoff_ms_min: int = 50
    backoff_ms_max: int = 2000
    handshake_ms_max: int = 5000
    queue_count_max: int = 4096
    queue_bytes_max: int = 128 << 20
    incoming_count_max: int = 256
    half_open_count_max: int = 64
    peer_count_max: int = 64


@dataclass(slots=True)
class TransportStatistics:
    """Counters since the start; the queue figures are zero when idle."""

    sent_count: int = 0
    dropped_count: int = 0
    received_count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    malformed_count: int = 0
    refused_count: int = 0
    queued_bytes: int = 0


class Link:
    """One outgoing connection: dialled again and again while its peer is known."""

    def __init__(self, transport: "Transport", member_id: int, channel: int) -> None:
        """Closed; `run` dials."""
        self._transport = transport
        self.member_id = member_id
        self.channel = channel
        self.addresses: list[Address] = []
        self._socket: Connection | None = None
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._closed: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether messages can leave."""
        return self._socket is not None

    def send(self, buffers: list[bytes]) -> bool:
        """Send one frame's buffers, or queue them; False when they were dropped."""
        sock = self._socket
        if sock is None:
            return False
        if self._queue:
            return self._enqueue(buffers)
        if len(buffers) > _IOV_MAX:
            buffers = [b"".join(buffers)]
        try:
            sent = sock.send(buffers[0]) if len(buffers) == 1 else sock.sendmsg(buffers)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return False
        for position, buffer in enumerate(buffers):
            if sent < len(buffer):
                rest = [buffer[sent:], *buffers[position + 1 :]]
                self._queue.extend(rest)
                self._queue_bytes += sum(map(len, rest))
                self._transport.loop.add_writer(sock, self._on_writable)
                break
            sent -= len(buffer)
        return True

    def _enqueue(self, buffers: list[bytes]) -> bool:
        config = self._transport.config
        size = sum(map(len, buffers))
        if len(self._queue) >= config.queue_count_max or (
            self._queue_bytes + size > config.queue_bytes_max
        ):
            return False
        self._queue.extend(buffers)
        self._queue_bytes += size
        return True

    @property
    def queued_bytes(self) -> int:
        """What waits for the socket."""
        return self._queue_bytes

    def _on_writable(self) -> None:
        sock, queue = self._socket, self._queue
        assert sock is not None, "a closed link has no writer"
        try:
            sent = sock.sendmsg([queue[i] for i in range(min(len(queue), _IOV_MAX))])
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._queue_bytes -= sent
        while queue and sent >= len(queue[0]):
            sent -= len(queue.popleft())
        if sent:
            queue[0] = queue[0][sent:]
        if not queue:
            self._transport.loop.remove_writer(sock)

    def wake(self) -> None:
        """The peer has dialled us, so it is there: dial it at once."""
        self._failures = 0
        self._wake.set()

    async def run(self) -> None:
        """Dial, stay connected, and dial again, until cancelled."""
        transport = self._transport
        while True:
            for address in self.addresses:
                try:
                    await self._connect(address)
                except (OSError, TimeoutError, MalformedFrame, msgspec.MsgspecError) as error:
                    logger.debug("dialling %x at %s: %s", self.member_id, address, error)
                except HandshakeRefused as refusal:
                    transport.on_refused(self.member_id, refusal)
                else:
                    self._failures = 0
                    assert self._closed is not None, "a connected link can be closed"
                    await self._closed
                    transport.on_unreachable(self.member_id)
            await self._back_off()

    async def _back_off(self) -> None:
        config = self._transport.config
        ceiling = min(config.backoff_ms_max, config.backoff_ms_min << min(self._failures, 10))
        self._failures += 1
        # Randomised over the upper half, so that members do not come back in step.
        delay_ms = ceiling // 2 + self._transport.dice.below(ceiling // 2 + 1)
        self._wake.clear()
        try:
            # Not `wait_for`, which forgets in Python 3.11 that it was cancelled when the peer wakes
            # us in the same turn: the member could not stop.
            async with asyncio.timeout(delay_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _connect(self, address: Address) -> None:
        transport = self._transport
        loop = transport.loop
        async with asyncio.timeout(transport.config.handshake_ms_max / 1000):
            sock = await connect(loop, address, transport.tls)
            try:
                await self._greet(sock)
            except BaseException:
                sock.close()
                raise
        self._socket = sock
        self._closed = loop.create_future()
        loop.add_reader(sock, self._on_readable)
        transport.on_connected(self.member_id)

    async def _greet(self, sock: Connection) -> None:
        transport, local = self._transport, self._transport.local
        hello = local.hello(self.member_id, self.channel)
        await send_all(transport.loop, sock, frame.encode_struct(frame.HELLO, hello))
        reader = FrameReader(frame.HANDSHAKE_BYTES_MAX)
        frames: list[tuple[int, bytes]] = []
        while not frames:
            data = await receive(transport.loop, sock, frame.HANDSHAKE_BYTES_MAX)
            if not data:
                raise ConnectionResetError("closed during the handshake")
            frames = reader.feed(data)
        kind, body = frames[0]
        if kind == frame.REFUSAL:
            refusal = msgspec.msgpack.decode(body, type=Refusal)
            raise REFUSALS.get(refusal.kind, HandshakeRefused)(refusal.text)
        if kind != frame.WELCOME:
            raise MalformedFrame(f"frame kind {kind} instead of a welcome")
        welcome = msgspec.msgpack.decode(body, type=Welcome)
        if welcome.member_id != self.member_id:
            raise WrongMember(f"reached member {welcome.member_id:x}, not {self.member_id:x}")
        transport.check_incarnation(welcome.member_id, welcome.incarnation, welcome.life)

    def _on_readable(self) -> None:
        """The acceptor never sends: whatever comes is the end, or nonsense."""
        assert self._socket is not None, "a closed link has no reader"
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            logger.debug("link to %x: %s", self.member_id, error)
        self.close()

    def close(self) -> None:
        """Close the connection; what was queued is lost."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._transport.loop.remove_reader(sock)
        self._transport.loop.remove_writer(sock)
        sock.close()
        self._queue.clear()
        self._queue_bytes = 0
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


class Incoming:
    """One accepted connection; nobody until it has said hello."""

    def __init__(self, transport: "Transport", sock: Connection) -> None:
        """Read from `sock`; it must say hello in time."""
        self._transport = transport
        self._socket = sock
        self._reader = FrameReader(frame.HANDSHAKE_BYTES_MAX)
        self.hello: Hello | None = None
        config, loop = transport.config, transport.loop
        self._deadline = loop.call_later(config.handshake_ms_max / 1000, self.close)
        loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        transport = self._transport
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        transport.statistics.received_bytes += len(data)
        try:
            frames = self._reader.feed(data)
            for kind, body in frames:
                if self.hello is None and transport.tls is not None:
                    transport.tls.check(self._socket)
                if self.hello is None and kind == JOIN:
                    join = msgspec.msgpack.decode(body, type=Join)
                    transport.check_join(join)
                    transport.on_join(Stream(self.detach()), join)
                    return
                if self.hello is None:
                    self._on_hello(kind, body)
                elif self.hello.channel == SNAPSHOT_CHANNEL:
                    if kind != PULL:
                        raise MalformedFrame(f"frame kind {kind} instead of a pull")
                    transport.on_pull(
                        Stream(self.detach()), msgspec.msgpack.decode(body, type=Pull)
                    )
                    return
                else:
                    transport.statistics.received_count += 1
                    transport.on_frame(self.hello.member_id, kind, body)
        except HandshakeRefused as refusal:
            transport.statistics.refused_count += 1
            self._refuse(refusal)
        except (PeerFault, msgspec.MsgspecError) as error:
            transport.statistics.malformed_count += 1
            logger.warning("peer link closed: %s", error)
            self.close()
        if self.hello is not None:
            transport.on_batch_end()

    def detach(self) -> Connection:
        """Give the connection to somebody else."""
        self._deadline.cancel()
        self._transport.loop.remove_reader(self._socket)
        self._transport.forget(self)
        return self._socket

    def _on_hello(self, kind: int, body: bytes) -> None:
        if kind != frame.HELLO:
            raise MalformedFrame(f"frame kind {kind} instead of a hello")
        hello = msgspec.msgpack.decode(body, type=Hello)
        transport = self._transport
        transport.check_hello(hello)
        self._deadline.cancel()
        self.hello = hello
        self._reader.body_bytes_max = _LIMITS[hello.channel]
        self._socket.send(frame.encode_struct(frame.WELCOME, transport.local.welcome()))
        if hello.channel in _CHANNELS:
            transport.on_greeted(self, hello)

    def _refuse(self, refusal: HandshakeRefused) -> None:
        said = Refusal(kind=type(refusal).__name__, text=str(refusal))
        logger.warning("a peer was refused: %s", refusal)
        try:
            self._socket.send(frame.encode_struct(frame.REFUSAL, said))
        except OSError as error:
            logger.debug("the refused peer is gone: %s", error)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket.fileno() < 0:
            return
        self._deadline.cancel()
        self._transport.loop.remove_reader(self._socket)
        self._socket.close()
        self._transport.on_incoming_closed(self)


class Transport:
    """All links of one member."""

    def __init__(
        self,
        *,
        local: LocalPeer,
        listen: Sequence[Address],
        config: PeerConfig,
        dice: Dice,
        on_frame: Callable[[int, int, bytes], None],
        on_batch_end: Callable[[], None],
        on_connected: Callable[[int], None],
        on_unreachable: Callable[[int], None],
        on_refused: Callable[[int, Exception], None],
        on_pull: Callable[[Stream, Pull], None],
        on_join: Callable[[Stream, Join], None],
        is_removed: Callable[[int], bool],
        newest_incarnation: Callable[[int], int] = lambda _member_id: 0,
        tls: PeerTls | None = None,
    ) -> None:
        """Nothing is open before `start`.

        `on_frame(member_id, kind, body)` may raise a PeerFault, which closes the link;
        `on_batch_end()` follows once after all frames of one read.  `on_pull` and `on_join` own
        the stream they are given.  `newest_incarnation(member_id)` is what the cluster knows.
        """
        self.local = local
        self.config = config
        self.dice = dice
        self.tls = tls
        self.on_frame = on_frame
        self.on_batch_end = on_batch_end
        self._tell_connected = on_connected
        self._tell_unreachable = on_unreachable
        self.on_refused = on_refused
        self.on_pull = on_pull
        self.on_join = on_join
        self._is_removed = is_removed
        self.statistics = TransportStatistics()
        self._listen = list(listen)
        self._servers: list[socket.socket] = []
        self._links: dict[int, tuple[Link, Link]] = {}
        self._tasks = Tasks()
        self._running: dict[int, list[asyncio.Task[None]]] = {}
        self._incoming: set[Incoming] = set()
        self._by_channel: dict[tuple[int, int], Incoming] = {}
        self._newest_incarnation = newest_incarnation
        # The newest (incarnation, life) that was heard of each member.
        self._lives: dict[int, tuple[int, int]] = {}
        self._is_closed = False

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address cannot be bound.

        """
        self.loop = asyncio.get_running_loop()
        try:
            for host, port in self._listen:
                infos = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                family, kind, protocol, _, address = infos[0]
                server = socket.socket(family, kind, protocol)
                self._servers.append(server)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(address)
                server.listen(128)
                server.setblocking(False)
                self.loop.add_reader(server, self._on_acceptable, server)
        except OSError:
            await self.close()
            raise

    @property
    def addresses(self) -> list[Address]:
        """Where we really listen."""
        return [server.getsockname()[:2] for server in self._servers]

    def _on_acceptable(self, server: socket.socket) -> None:
        try:
            sock, _ = server.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                logger.warning("a peer connection was not accepted: %s", error)
                return
            raise
        half_open = sum(1 for incoming in self._incoming if incoming.hello is None)
        config = self.config
        if half_open >= config.half_open_count_max or (
            len(self._incoming) >= config.incoming_count_max
        ):
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = sock if self.tls is None else self.tls.accepted(sock)
        self._incoming.add(Incoming(self, secured))

    # --- who may talk to us ------------------------------------------------------------------

    def check_hello(self, hello: Hello) -> None:
        """Refuse by name whoever must not talk to us.

        A member we have not heard of is taken in: it is newer than what we have applied, and may
        be the leader that we need to catch up.

        Raises:
            HandshakeRefused: one of its leaves.

        """
        local = self.local
        if hello.cluster_id != local.cluster_id:
            raise WrongCluster(f"cluster {hello.cluster_id:x} dialled cluster {local.cluster_id:x}")
        versions = (hello.protocol_version, hello.storage_version)
        if versions != (local.protocol_version, local.storage_version):
            raise WrongVersion(
                f"protocol {versions[0]} and storage {versions[1]} dialled protocol "
                f"{local.protocol_version} and storage {local.storage_version}"
            )
        if hello.target_id != local.member_id:
            raise WrongMember(f"member {hello.target_id:x} was meant, this is {local.member_id:x}")
        if hello.member_id == local.member_id:
            raise WrongMember(f"member {hello.member_id:x} dialled itself")
        if self._is_removed(hello.member_id):
            raise RemovedMember(f"member {hello.member_id:x} was removed from the cluster")
        if hello.member_id not in self._links and not hello.addresses:
            raise WrongMember(f"member {hello.member_id:x} does not say where it is")
        if hello.member_id not in self._links and len(self._links) >= self.config.peer_count_max:
            raise HandshakeRefused(f"{len(self._links)} members are known, and that is too many")
        if hello.channel not in _LIMITS:
            raise HandshakeRefused(f"channel {hello.channel} is unknown")
        self.check_incarnation(hello.member_id, hello.incarnation, hello.life)
        if hello.member_id not in self._links:
            logger.info("member %x is new to this one", hello.member_id)
            self.add_peer(hello.member_id, hello.addresses)

    def check_join(self, join: Join) -> None:
        """Refuse a newcomer that speaks another language.

        Raises:
            WrongVersion: it does.

        """
        local = self.local
        versions = (join.protocol_version, join.storage_version)
        if versions != (local.protocol_version, local.storage_version):
            raise WrongVersion(
                f"protocol {versions[0]} and storage {versions[1]} would join protocol "
                f"{local.protocol_version} and storage {local.storage_version}"
            )

    def check_incarnation(self, member_id: int, incarnation: int, life: int) -> None:
        """Refuse a member whose directory is older than one we have seen, or a copy of it.

        Raises:
            WrongIncarnation: it is.

        """
        seen, seen_life = self._lives.get(member_id, (0, 0))
        newest = max(seen, self._newest_incarnation(member_id))
        if incarnation < newest or (incarnation == seen and life != seen_life):
            text = f"member {member_id:x} came with incarnation {incarnation} after {newest}"
            raise WrongIncarnation(f"{text}: its data directory is a copy, or an old state")
        self._lives[member_id] = (incarnation, life)

    def on_greeted(self, incoming: Incoming, hello: Hello) -> None:
        """A peer said hello: it replaces its older connection, and is there to be dialled."""
        old = self._by_channel.get((hello.member_id, hello.channel))
        self._by_channel[(hello.member_id, hello.channel)] = incoming
        if old is not None:
            old.close()
        for link in self._links.get(hello.member_id, ()):
            link.wake()

    def on_connected(self, member_id: int) -> None:
        """A dialled link is open."""
        logger.info("link to member %x is open", member_id)
        self._tell_connected(member_id)

    def forget(self, incoming: Incoming) -> None:
        """Somebody else owns that connection now."""
        self._incoming.discard(incoming)

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

    def on_incoming_closed(self, incoming: Incoming) -> None:
        """An accepted connection ended."""
        self._incoming.discard(incoming)
        hello = incoming.hello
        if hello is None:
            return
        key = (hello.member_id, hello.channel)
        if self._by_channel.get(key) is incoming:
            del self._by_channel[key]
            self.on_unreachable(hello.member_id)

    def on_unreachable(self, member_id: int) -> None:
        """A link to or from a peer broke."""
        if not self._is_closed and member_id in self._links:
            self._tell_unreachable(member_id)

    # --- peers ---------------------------------------------------------------------------------

    def add_peer(self, member_id: int, addresses: Sequence[Address]) -> None:
        """Dial a member, and let it dial us; again with other addresses to change them."""
        assert member_id != self.local.member_id, "nobody dials itself"
        if member_id not in self._links:
            links = (self.make_link(member_id, CONTROL), self.make_link(member_id, BULK))
            self._links[member_id] = links
            self._running[member_id] = [self._tasks.start(link.run()) for link in links]
        for link in self._links[member_id]:
            link.addresses = list(addresses)

    def make_link(self, member_id: int, channel: int) -> Link:
        """A link, not dialled yet; a simulator makes its own kind."""
        return Link(self, member_id, channel)

    def remove_peer(self, member_id: int) -> None:
        """Close all links to a member and refuse it from now on."""
        for task in self._running.pop(member_id, ()):
            task.cancel()
        for link in self._links.pop(member_id, ()):
            link.close()
        for channel in _CHANNELS:
            incoming = self._by_channel.get((member_id, channel))
            if incoming is not None:
                incoming.close()

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
        return False

    def queued_bytes(self) -> int:
        """What waits for sockets, over all links."""
        return sum(link.queued_bytes for links in self._links.values() for link in links)

    def abandon(self) -> None:
        """Drop every link at once, as a crash would; for simulators and tests."""
        self._is_closed = True
        for member_id in list(self._links):
            self.remove_peer(member_id)
        for incoming in list(self._incoming):
            incoming.close()

    async def close(self) -> None:
        """Close everything; what is queued is lost."""
        self._is_closed = True
        for server in self._servers:
            self.loop.remove_reader(server)
            server.close()
        self._servers = []
        for member_id in list(self._links):
            self.remove_peer(member_id)
        for incoming in list(self._incoming):
            incoming.close()
        await self._tasks.close()
