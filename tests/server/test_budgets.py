"""What one connection may cost: in a step, in windows, in memory; and what it is told then."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import ClassVar
from urllib.parse import unquote

import pytest

from roost.call import Call, Code, Route, Stream, StreamCall, Unary
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.server.admission import Admission
from roost.server.bodies import BODY_S, FULL, LATE, Bodies
from roost.server.grpc import STALL_LOOK_S, STALLED_LOOKS_MAX, GrpcProtocol, GrpcServer
from roost.server.h2 import PREFACE, STREAM_WINDOW_BYTES, Unfinished
from roost.server.h2 import frames as f
from roost.server.h2.connection import HEADER_BLOCKS_MAX, Connection
from roost.server.h2.hpack import Decoder, encode_literal
from roost.server.methods import Methods
from roost.server.streaming import MESSAGES_A_STEP_MAX
from tests.server.test_intake import Socket

MESSAGE_BYTES_MAX = 1 << 20
PART = bytes(16_384)


def head_of(path: bytes) -> bytes:
    return b"".join(
        encode_literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":path", path),
            (b"content-type", b"application/grpc"),
        )
    )


class Counting:
    """A stream that counts what it hears."""

    heard: ClassVar[list[str]] = []

    def __init__(self, call: StreamCall) -> None:
        Counting.heard = []
        self._call = call

    def on_message(self, message: bytes) -> None:
        self.heard.append("message")

    def on_half_close(self) -> None:
        self.heard.append("half-close")

    def on_cancel(self) -> None:
        self.heard.append("cancel")


def echo(call: Call, message: bytes) -> None:
    call.reply(message)


def starve(_call: Call, _message: bytes) -> None:
    raise MemoryError


ROUTES: dict[bytes, Route] = {
    b"/t/Echo": Unary(echo),
    b"/t/Take": Unary(lambda call, _message: call.reply(b"")),
    b"/t/Light": Unary(echo),
    b"/t/Starve": Unary(starve),
    b"/t/Large": Unary(lambda call, _message: call.reply(bytes(200_000))),
    b"/t/Count": Stream(Counting),
}


class Frames:
    """What a server has written, frame by frame."""

    def __init__(self, written: bytes) -> None:
        self.resets: dict[int, int] = {}
        self.windows: dict[int, int] = {}
        self.statuses: dict[int, tuple[int, str]] = {}
        self.data_bytes = 0
        decoder = Decoder()
        while written:
            high, low, kind, _, stream_id = f.HEAD.unpack_from(written)
            stop = f.HEAD_BYTES + (high << 8 | low)
            payload, written = written[f.HEAD_BYTES : stop], written[stop:]
            if kind == f.RST_STREAM:
                self.resets[stream_id] = int.from_bytes(payload, "big")
            elif kind == f.WINDOW_UPDATE:
                count = int.from_bytes(payload, "big")
                self.windows[stream_id] = self.windows.get(stream_id, 0) + count
            elif kind == f.DATA:
                self.data_bytes += len(payload)
            elif kind == f.HEADERS:
                fields = dict(decoder.decode(payload)[0] or ())
                if b"grpc-status" in fields:
                    text = unquote(fields.get(b"grpc-message", b"").decode())
                    self.statuses[stream_id] = (int(fields[b"grpc-status"]), text)


class Client:
    """Speaks to a server over a socket of its own."""

    def __init__(self, server: GrpcServer) -> None:
        self.socket = Socket()
        self.protocol = GrpcProtocol(server, lambda _it: None)
        self.protocol.connection_made(self.socket)
        self.protocol.data_received(PREFACE)
        self._next_id = 1

    def begin(self, path: bytes) -> int:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        block = head_of(path)
        self.protocol.data_received(f.frame(f.HEADERS, f.END_HEADERS, stream_id, block))
        return stream_id

    def send(self, stream_id: int, data: bytes, *, is_last: bool = False) -> None:
        self.protocol.data_received(f.frame(f.DATA, f.END_STREAM * is_last, stream_id, data))

    def ask(self, path: bytes, message: bytes = b"") -> int:
        stream_id = self.begin(path)
        self.send(stream_id, b"\0" + len(message).to_bytes(4, "big") + message, is_last=True)
        return stream_id

    @property
    def is_given_up(self) -> bool:
        return self.socket.is_aborted

    def frames(self) -> Frames:
        """What has been written so far."""
        self.protocol.flush()
        return Frames(self.socket.written)


async def all_read(server: GrpcServer) -> None:
    """Wait until what was sent has been read, over as many turns as it takes."""
    while server.intake.waiting_count:
        await asyncio.sleep(0)


def run(story: Callable[[GrpcServer], Awaitable[None]], admission: Admission | None = None) -> None:
    async def main() -> None:
        await story(
            GrpcServer(
                ROUTES,
                message_bytes_max=MESSAGE_BYTES_MAX,
                unread_bytes_max=1 << 20,
                bodies=Bodies(64 << 20),
                admission=admission,
            )
        )

    asyncio.run(main())


def test_many_messages_in_one_frame_are_handed_on_over_many_turns() -> None:
    """Three thousand empty ones fit a frame; they were all handled in one step."""

    async def story(server: GrpcServer) -> None:
        many, one = Client(server), Client(server)
        stream_id = many.begin(b"/t/Count")
        count = len(PART) // 5
        many.send(stream_id, bytes(5 * count), is_last=True)
        heard = Counting.heard
        assert len(heard) == MESSAGES_A_STEP_MAX
        assert not many.socket.is_read, "what it sends now stays in its socket"
        many.protocol.data_received(f.frame(f.PING, 0, 0, bytes(8)))
        asked = one.ask(b"/t/Echo")
        assert one.frames().statuses[asked] == (0, "")
        before = len(heard)
        while "half-close" not in heard:
            await asyncio.sleep(0)
            assert len(heard) - before <= MESSAGES_A_STEP_MAX + 1
            before = len(heard)
        assert heard == ["message"] * count + ["half-close"]
        while not many.socket.is_read:
            await asyncio.sleep(0)

    run(story)


def test_a_stream_that_is_reset_hears_none_of_what_was_left() -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        stream_id = client.begin(b"/t/Count")
        client.send(stream_id, bytes(5 * 1000))
        client.protocol.connection_lost(None)
        assert Counting.heard == ["message"] * MESSAGES_A_STEP_MAX + ["cancel"]
        assert server.bodies.bytes == 0
        await all_read(server)
        assert Counting.heard[-1] == "cancel"

    run(story)


def test_a_stream_that_goes_on_gets_back_what_it_used() -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        stream_id = client.begin(b"/t/Count")
        message = b"\0" + (10_000).to_bytes(4, "big") + bytes(10_000)
        for _ in range(100):
            client.send(stream_id, message)
            await all_read(server)
        given = client.frames().windows[stream_id]
        assert 100 * len(message) - STREAM_WINDOW_BYTES // 2 < given <= 100 * len(message)

    run(story)


@pytest.mark.parametrize("path", [b"/t/Echo", b"/t/Count"])
def test_a_large_message_gets_its_window_when_it_has_a_place_and_keeps_it_until_it_is_used(
    path: bytes,
) -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        stream_id = client.begin(path)
        size = 300_000
        message = b"\0" + size.to_bytes(4, "big") + bytes(size)
        client.send(stream_id, message[:16_384])
        assert client.frames().windows[stream_id] == len(message) - STREAM_WINDOW_BYTES
        assert server.bodies.bytes == len(message)
        for at in range(16_384, len(message), 16_384):
            client.send(stream_id, message[at : at + 16_384])
        if path == b"/t/Echo":
            client.send(stream_id, b"", is_last=True)
        assert server.bodies.bytes == 0

    run(story)


def test_requests_that_do_not_end_take_a_bounded_amount_and_those_that_do_are_answered() -> None:
    """Issue 14: 400 of 2 MiB took all of their bytes.  Here are 100 of 1 MiB, on one connection."""

    async def story(server: GrpcServer) -> None:
        client = Client(server)
        size = MESSAGE_BYTES_MAX
        begin = b"\0" + size.to_bytes(4, "big") + PART[5:]
        left: dict[int, int] = {}
        for _ in range(100):
            stream_id = client.begin(b"/t/Take")
            client.send(stream_id, begin)
            await all_read(server)
            left[stream_id] = 5 + size - len(begin)
        assert server.bodies.bytes <= 100 * len(begin) + 16 * (5 + size)
        while left:
            windows = client.frames().windows
            placed = [it for it in left if it in windows]
            assert placed, "somebody can always end"
            for stream_id in placed:
                for _ in range(left[stream_id] // len(PART)):
                    client.send(stream_id, PART)
                    await all_read(server)
                rest = bytes(left.pop(stream_id) % len(PART))
                client.send(stream_id, rest, is_last=True)
                await all_read(server)
        assert server.bodies.bytes == server.bodies.refused_count == 0

    run(story)


@pytest.mark.parametrize("is_late", [True, False])
def test_a_stream_whose_message_is_refused_or_does_not_come_on_hears_that_it_is_gone(
    *, is_late: bool
) -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        stream_id = client.begin(b"/t/Count")
        if not is_late:
            server.bodies._beginnings.bytes_max = len(PART) - 1
        client.send(stream_id, b"\0" + (50_000).to_bytes(4, "big") + PART[5:])
        if is_late:
            server.bodies._beginnings.bytes_max = len(PART)
            server.bodies.tick(monotonic() + 2 * BODY_S)
        expected = LATE if is_late else FULL
        assert client.frames().statuses == {stream_id: (expected.code, expected.text)}
        assert Counting.heard == ["cancel"]
        assert server.bodies.bytes == 0

    run(story)


class Machine:
    """A machine that is short of memory, or not."""

    def __init__(self) -> None:
        self.taken_bytes = 0
        limit = Limit(600 << 20, "a test", lambda it: it.anonymous_bytes)
        self.memory = Memory([limit], lambda: Taken(anonymous_bytes=self.taken_bytes))

    def take(self, count: int) -> None:
        self.taken_bytes = count
        self.memory.look()


SHORT = (8, "too little memory is left: a test")


def test_while_memory_is_short_what_is_new_is_refused_and_what_is_light_is_not() -> None:
    machine = Machine()

    async def story(server: GrpcServer) -> None:
        client = Client(server)
        machine.take(590 << 20)
        echoed, light, opened = (client.ask(it) for it in (b"/t/Echo", b"/t/Light", b"/t/Count"))
        said = client.frames()
        assert said.statuses == {echoed: SHORT, light: (0, ""), opened: SHORT}
        large = client.begin(b"/t/Echo")
        client.send(large, PART)
        assert server.bodies.bytes == 0, "of what is refused nothing is kept"
        machine.take(0)
        again = client.ask(b"/t/Echo")
        assert client.frames().statuses[again] == (0, "")
        assert machine.memory.refused_count == 3

    run(story, Admission(machine.memory, frozenset((b"/t/Light",))))


def test_a_handler_that_is_given_no_memory_ends_its_call_alone() -> None:
    machine = Machine()

    async def story(server: GrpcServer) -> None:
        client = Client(server)
        asked = client.ask(b"/t/Starve")
        assert client.frames().statuses[asked] == SHORT
        refused = client.ask(b"/t/Echo")
        assert client.frames().statuses[refused] == SHORT, "until somebody has looked"
        machine.memory.look()
        echoed = client.ask(b"/t/Echo")
        assert client.frames().statuses[echoed] == (Code.OK, "")

    run(story, Admission(machine.memory))


def test_a_stream_whose_window_stays_closed_is_given_up_and_the_next_is_not() -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        silent, reading = client.ask(b"/t/Large"), client.ask(b"/t/Large")
        client.protocol.data_received(f.window_update(0, 1 << 30))
        client.frames()
        now = 0.0
        for _ in range(STALLED_LOOKS_MAX):
            now += STALL_LOOK_S
            client.protocol.data_received(f.window_update(reading, 1))
            client.frames()
            server.tick(now)
        assert not client.frames().resets
        client.protocol.data_received(f.window_update(reading, 1))
        client.frames()
        server.tick(now + STALL_LOOK_S)
        assert client.frames().resets == {silent: f.ErrorCode.ENHANCE_YOUR_CALM}
        assert reading in client.protocol.h2.streams
        assert server.stalled_count == 1

    run(story)


def test_a_connection_on_which_nothing_moves_is_given_up() -> None:
    async def story(server: GrpcServer) -> None:
        client = Client(server)
        client.ask(b"/t/Large")
        for _ in range(2):  # the window of the connection is used up with that of the stream
            client.protocol.data_received(f.window_update(1, 1 << 20))
            client.frames()
        given_up = []
        for count in range(1, STALLED_LOOKS_MAX + 3):
            server.tick(count * STALL_LOOK_S)
            given_up.append(client.is_given_up)
        assert given_up == [False] * (STALLED_LOOKS_MAX + 1) + [True]
        assert not client.protocol.h2.blocked_bytes

    run(story)


def test_what_streams_are_sent_and_do_not_read_counts_like_answers() -> None:
    """Only connections with unary answers were counted: a watcher's events were nobody's."""

    async def story(server: GrpcServer) -> None:
        client = Client(server)
        stream_id = client.begin(b"/t/Count")
        call = client.protocol.h2.streams[stream_id].state
        call.send(bytes(500_000))
        client.protocol.flush()
        assert server.unread.bytes > 400_000
        call.send(bytes(800_000))
        client.protocol.flush()
        assert client.is_given_up, "it holds the most, and is given up"
        assert server.unread.bytes == 0

    run(story)


class Nobody:
    """Has heads made as a port does, and hears of nothing else."""

    def __init__(self) -> None:
        self._methods = Methods(ROUTES)

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        return self._methods.read_head(fields)

    def make_large_head(self) -> object:
        return self._methods.large_head()

    def on_headers(self, stream: object, head: object) -> None:
        pass

    def on_request(self, stream: object, head: object, data: bytes) -> None:
        pass

    def on_data(self, stream: object, data: bytes) -> None:
        pass

    def on_reset(self, stream: object) -> None:
        pass

    def on_drain(self, stream: object) -> None:
        pass


def test_the_header_caches_of_twenty_connections_take_less_than_15_mib() -> None:
    """Issue 14.  A field of the table costs a byte in a block, and 4 KB in what it says."""
    unfinished = Unfinished()
    tracemalloc.start()
    connections = [Connection(Nobody(), unfinished=unfinished) for _ in range(20)]
    before = tracemalloc.get_traced_memory()[0]
    for connection in connections:
        token = encode_literal(b"token", b"x" * 4000)
        fill = b"\x40" + token[1:]  # into the table
        stream_id = 1
        connection.receive(PREFACE + f.frame(f.HEADERS, 5, stream_id, head_of(b"/t/Echo") + fill))
        for number in range(2 * HEADER_BLOCKS_MAX):
            stream_id += 2
            block = head_of(b"/t/%d" % number) + b"\xbe" * (1 + number % 3)
            connection.receive(f.frame(f.HEADERS, 5, stream_id, block))
            connection.streams.clear()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken < 15 << 20
    assert unfinished.cached_bytes > 1 << 20
    for connection in connections:
        connection.forget_heads()
    assert unfinished.cached_bytes == 0
