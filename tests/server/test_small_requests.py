"""Small requests are taken whole: nothing comes of it that would not come of their pieces."""

from collections.abc import Callable

import pytest

from roost.call import Call, Route, Stream, StreamCall, StreamHandler, Unary
from roost.memory import Memory
from roost.server.admission import Admission
from roost.server.grpc import GrpcProtocol, GrpcServer
from roost.server.h2 import PREFACE, Connection, ConnectionBroken, ErrorCode
from roost.server.h2 import frames as f
from roost.server.h2.connection import CONNECTION_WINDOW_BYTES
from roost.server.h2.hpack import encode_literal
from roost.sim.members.loop import run_virtually, until_idle
from tests.server.h2.pairs import HEADERS, Owner
from tests.server.posts import Handler
from tests.server.test_intake import Socket

PLAIN = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)


def request_frames(
    stream_id: int,
    data: bytes,
    *,
    head_flags: int = f.END_HEADERS,
    data_flags: int = f.END_STREAM,
    data_id: int | None = None,
) -> bytes:
    """A request as clients send small ones: its HEADERS, and behind them its DATA."""
    head = f.frame(f.HEADERS, head_flags, stream_id, PLAIN)
    return head + f.frame(f.DATA, data_flags, stream_id if data_id is None else data_id, data)


# As clients send several at once: the HEADERS of all, and then their DATA.
HEADS_FIRST = b"".join(
    f.frame(kind, flags, stream_id, payload)
    for kind, flags, payload in (
        (f.HEADERS, f.END_HEADERS, PLAIN),
        (f.DATA, f.END_STREAM, b"body"),
    )
    for stream_id in (3, 5)
)


def heard(pieces: list[bytes], before: Callable[[Connection], None]) -> tuple[Owner, object]:
    """What an owner hears of a connection that knows the header block; and how it ends."""
    owner = Owner()
    server = owner.server = Connection(owner, streams_max=3)
    server.receive(PREFACE + f.settings({}) + request_frames(1, b"first"))
    server.take_output()
    before(server)
    try:
        for piece in pieces:
            server.receive(piece)
    except ConnectionBroken as error:
        return owner, (error.code, error.text)
    ids = {it: stream.receive_window for it, stream in server.streams.items()}
    return owner, (server.take_output(), ids, server._receive_window, server.last_stream_id)


def near_the_window(server: Connection) -> None:
    server._credit = CONNECTION_WINDOW_BYTES // 2 - 3
    server._receive_window -= server._credit


def leave(server: Connection) -> None:
    server.go_away(ErrorCode.NO_ERROR)


def do_nothing(_server: Connection) -> None:
    pass


@pytest.mark.parametrize(
    ("data", "before", "is_whole"),
    [
        (request_frames(3, b"body"), do_nothing, True),
        (request_frames(3, b"body") + request_frames(5, b""), do_nothing, True),
        (request_frames(3, b"x" * f.FRAME_BYTES_MAX), do_nothing, True),
        (request_frames(3, b"x", head_flags=f.END_HEADERS | f.END_STREAM), do_nothing, False),
        (request_frames(3, b"x", data_flags=0), do_nothing, False),
        (request_frames(3, b"\0x", data_flags=f.END_STREAM | f.PADDED), do_nothing, False),
        (request_frames(3, b"x", data_id=1), do_nothing, False),
        (request_frames(3, b"x", data_id=7), do_nothing, False),
        (request_frames(2, b"x"), do_nothing, False),
        (request_frames(1, b"x"), do_nothing, False),
        (request_frames(1 << 31 | 3, b"x"), do_nothing, False),
        (request_frames(3, b"x") + request_frames(3, b"x"), do_nothing, True),
        (b"".join(request_frames(it, b"") for it in (3, 5, 7, 9)), do_nothing, True),
        (request_frames(3, b"x"), leave, False),
        (request_frames(3, b"body"), near_the_window, False),
        (f.frame(f.HEADERS, 0, 3, PLAIN) + request_frames(3, b"x"), do_nothing, False),
        (HEADS_FIRST, do_nothing, False),
    ],
)
def test_a_small_request_that_comes_at_once_is_heard_as_one_that_comes_in_pieces(
    data: bytes, before: Callable[[Connection], None], *, is_whole: bool
) -> None:
    at_once, one_end = heard([data], before)
    apart, other_end = heard([data[at : at + 1] for at in range(len(data))], before)
    assert one_end == other_end
    assert (at_once.heads, at_once.bodies, at_once.ended) == (
        apart.heads,
        apart.bodies,
        apart.ended,
    )
    assert (at_once.whole_count > 0, apart.whole_count) == (is_whole, 0)


class Asker:
    """A connection of which every request is kept, and what it was answered."""

    def __init__(self, *, is_short: bool) -> None:
        self.asked: list[bytes] = []
        self.streamed = Handler()
        memory = Memory()
        routes: dict[bytes, Route] = {
            b"/test.Service/Unary": Unary(self.handle),
            b"/test.Service/Stream": Stream(self.open),
        }
        server = GrpcServer(
            routes,
            message_bytes_max=1000,
            unread_bytes_max=1 << 20,
            admission=Admission(memory),
            has_leader=lambda: False,
        )
        self.socket = Socket()
        self.protocol = GrpcProtocol(server, lambda _it: None)
        self.protocol.connection_made(self.socket)
        self.protocol.data_received(PREFACE + f.settings({}))
        memory.is_short = is_short

    def handle(self, call: Call, message: bytes) -> None:
        self.asked.append(message)
        if message == b"fails":
            raise ValueError(message)
        call.reply(b"re: " + message)

    def open(self, call: StreamCall) -> StreamHandler:
        call.send(b"opened")
        return self.streamed


def blocks(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    fields = [
        (b":method", b"POST"),
        (b":path", path),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    return b"".join(encode_literal(name, value) for name, value in fields)


UNARY, STREAM = b"/test.Service/Unary", b"/test.Service/Stream"
HELLO = b"\0\0\0\0\x05hello"
FAILS = b"\0\0\0\0\x05fails"


@pytest.mark.parametrize("is_short", [False, True])
@pytest.mark.parametrize(
    ("block", "message"),
    [
        (blocks(UNARY), HELLO),
        (blocks(UNARY), FAILS),
        (blocks(UNARY), b""),
        (blocks(UNARY), b"\0\0\0\0"),
        (blocks(UNARY), b"\0\0\0\0\0"),
        (blocks(UNARY), HELLO[:-1]),
        (blocks(UNARY), HELLO + b"x"),
        (blocks(UNARY), HELLO + HELLO),
        (blocks(UNARY), b"\1" + HELLO[1:]),
        (blocks(UNARY), b"\0\0\0\x03\xe9" + bytes(1001)),
        (blocks(UNARY, (b"grpc-encoding", b"gzip")), HELLO),
        (blocks(UNARY, (b"grpc-encoding", b"rot13")), HELLO),
        (blocks(UNARY, (b"grpc-timeout", b"10S")), HELLO),
        (blocks(UNARY, (b"hasleader", b"true")), HELLO),
        (blocks(STREAM), HELLO),
        (blocks(STREAM), HELLO + HELLO),
        (blocks(b"/test.Service/Nothing"), HELLO),
        (encode_literal(b":method", b"GET") + encode_literal(b":path", UNARY), HELLO),
    ],
)
def test_a_call_that_comes_at_once_is_answered_as_one_that_comes_in_pieces(
    block: bytes, message: bytes, *, is_short: bool
) -> None:
    """The second of two equal ones: the first has made its headers known."""

    def request(stream_id: int, *, is_parted: bool = False) -> bytes:
        head = f.frame(f.HEADERS, f.END_HEADERS, stream_id, block)
        middle = len(message) // 2 if is_parted else 0
        first = f.frame(f.DATA, 0, stream_id, message[:middle]) if is_parted else b""
        return head + first + f.frame(f.DATA, f.END_STREAM, stream_id, message[middle:])

    async def main() -> None:
        at_once, apart, parted = (Asker(is_short=is_short) for _ in range(3))
        for stream_id in (1, 3):
            parted.protocol.data_received(request(stream_id, is_parted=True))
        at_once.protocol.data_received(request(1))
        at_once.protocol.data_received(request(3))
        for byte in request(1) + request(3):
            apart.protocol.data_received(bytes([byte]))
        await until_idle()
        assert at_once.socket.written == apart.socket.written != b""
        # What is refused by its beginning is refused earlier there.
        assert at_once.asked == apart.asked == parted.asked
        assert not parted.asked or parted.socket.written == apart.socket.written
        assert at_once.streamed.messages == apart.streamed.messages
        one, other = at_once.protocol, apart.protocol
        left = [
            [(it.id, it.is_remote_closed, it.receive_window) for it in protocol.h2.streams.values()]
            for protocol in (one, other)
        ]
        assert left[0] == left[1]
        assert one.h2._receive_window == other.h2._receive_window
        figures = [
            {
                path: (it.started_count, it.ended)
                for path, it in protocol.server.methods.figures.items()
            }
            for protocol in (one, other)
        ]
        assert figures[0] == figures[1]

    run_virtually(main())
