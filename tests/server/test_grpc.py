"""Real grpcio clients against the port: unary calls, streams, deadlines, limits, floods."""

import asyncio
import http.client
import queue
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from roost.call import Call, Code, Route, Status, Stream, StreamCall, Unary
from roost.figures import Family, Sample
from roost.server import ClientPort, Listener, ServerConfig, make_app
from roost.server.compression import BadCompression, TooLarge, inflate
from roost.server.grpc import GrpcServer
from roost.server.methods import parse_timeout
from roost.sim.members.loop import run_virtually, until_idle
from roost.testing.patience import PATIENCE_S, wait_until

MESSAGE_BYTES_MAX = 100_000


class EchoStream:
    """Sends every message back; a message `n` in ASCII digits asks for that many bytes."""

    open_count = 0

    def __init__(self, call: StreamCall) -> None:
        self.call = call
        EchoStream.open_count += 1

    def on_message(self, message: bytes) -> None:
        self.call.send(bytes(int(message)) if message.isdigit() else message)

    def on_half_close(self) -> None:
        EchoStream.open_count -= 1
        self.call.finish(0, "")

    def on_cancel(self) -> None:
        EchoStream.open_count -= 1


def fail(call: Call, message: bytes) -> None:
    call.fail(9, f"no: {message.decode()} % ä")


def crash(_call: Call, _message: bytes) -> None:
    raise ValueError("a bug in a handler")


class CrashingStream(EchoStream):
    """Fails when it is told that its client is gone."""

    def on_cancel(self) -> None:
        super().on_cancel()
        raise ValueError("a bug at the end of a stream")


class Source:
    def collect(self) -> list[Family]:
        return [
            Family("roost_test", "gauge", "A figure.", [Sample(1.0)]),
            Family("roost_count_total", "counter", "A count.", [Sample(2.0)]),
        ]

    def note_health(self, *, is_good: bool) -> None:
        pass

    def alarms(self) -> list[str]:
        return []

    async def check_health(self, *, is_serializable: bool) -> None:
        from roost.errors import NoLeader

        if not is_serializable:
            raise NoLeader("nobody leads")


ROUTES: dict[bytes, Route] = {
    b"/test.Service/Echo": Unary(lambda call, message: call.reply(message)),
    b"/test.Service/Fail": Unary(fail),
    b"/test.Service/Crash": Unary(crash),
    b"/test.Service/Never": Unary(lambda _call, _message: None),
    b"/test.Service/Chat": Stream(EchoStream),
    b"/test.Service/CrashAtEnd": Stream(CrashingStream),
}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port served by a loop in a thread of its own."""
    found: list[int] = []
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        config = ServerConfig(message_bytes_max=MESSAGE_BYTES_MAX)
        app = make_app(Source(), server_version="3.5.1")
        server = ClientPort(routes=ROUTES, app=app, config=config)
        [(_, number)] = await server.start([Listener(("127.0.0.1", 0))])
        loops.append(asyncio.get_running_loop())
        found.append(number)
        started.set()
        await stop.wait()
        await server.close(1.0)
        assert server.connection_count == 0 or not server.grpc.connections

    def run() -> None:
        if request.param == "uvloop":
            import uvloop

            uvloop.run(main())
        else:
            asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    yield found[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


def test_unary_calls_of_any_size(channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/test.Service/Echo")
    for size in (0, 1, 100, 16_384, 16_385, 99_000):
        body = bytes(size)
        assert echo(body, timeout=PATIENCE_S) == body


def test_many_calls_at_once(channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/test.Service/Echo")
    calls = [echo.future(b"%d" % number, timeout=PATIENCE_S) for number in range(1000)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(1000)]


def test_a_refusal_has_code_and_text(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Fail")(b"x", timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "no: x % ä"


def test_a_bug_costs_one_call_only(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Crash")(b"x", timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert channel.unary_unary("/test.Service/Echo")(b"on", timeout=PATIENCE_S) == b"on"


def test_a_message_over_the_limit_is_refused_in_grpcs_words(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Echo")(bytes(MESSAGE_BYTES_MAX + 1), timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    expected = (
        f"grpc: received message larger than max ({MESSAGE_BYTES_MAX + 1} vs. {MESSAGE_BYTES_MAX})"
    )
    assert caught.value.details() == expected


def test_compressed_requests_are_taken(channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/test.Service/Echo")
    chat = channel.stream_stream("/test.Service/Chat")
    body, gzip = b"x" * 50_000, grpc.Compression.Gzip
    assert echo(body, timeout=PATIENCE_S, compression=gzip) == body
    assert list(chat(iter([body] * 3), timeout=PATIENCE_S, compression=gzip)) == [body] * 3
    with pytest.raises(grpc.RpcError) as caught:
        echo(b"x" * (MESSAGE_BYTES_MAX + 1), timeout=PATIENCE_S, compression=gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        list(chat(iter([bytes(MESSAGE_BYTES_MAX + 1)]), timeout=PATIENCE_S, compression=gzip))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        echo(body, timeout=PATIENCE_S, compression=grpc.Compression.Deflate)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    text = 'grpc: Decompressor is not installed for grpc-encoding "deflate"'
    assert caught.value.details() == text
    wait_until(lambda: EchoStream.open_count == 0)


def test_a_compressed_message_that_is_none_is_refused() -> None:
    whole = zlib.compress(b"x" * 100, wbits=31)
    assert inflate(whole, 100) == b"x" * 100
    with pytest.raises(TooLarge):
        inflate(whole, 99)
    for bad in (b"", b"garbage", whole[:-1], whole + b"x", zlib.compress(b"x")):
        with pytest.raises(BadCompression):
            inflate(bad, 100)


def test_a_request_with_a_mebibyte_of_metadata_is_refused_alone(channel: grpc.Channel) -> None:
    chat = channel.stream_stream("/test.Service/Chat")
    more: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    stream = chat(iter(more.get, None), timeout=PATIENCE_S)
    more.put(b"a")
    assert next(stream) == b"a"
    echo = channel.unary_unary("/test.Service/Echo")
    for size in (20_000, 1 << 20):
        with pytest.raises(grpc.RpcError) as caught:
            echo(b"x", timeout=PATIENCE_S, metadata=[("x", "v" * size)])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert echo(b"x", timeout=PATIENCE_S, metadata=[("x", "v" * 10_000)]) == b"x"
    more.put(b"b")
    assert next(stream) == b"b", "the connection is the same"
    more.put(None)
    assert list(stream) == []


def test_deadlines_end_calls(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Never")(b"x", timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_streams_carry_messages_both_ways_and_end(channel: grpc.Channel) -> None:
    chat = channel.stream_stream("/test.Service/Chat")
    messages = [b"a%d" % number for number in range(500)]
    assert list(chat(iter(messages), timeout=PATIENCE_S)) == messages
    wait_until(lambda: EchoStream.open_count == 0)


def test_large_stream_messages_pass_the_windows(channel: grpc.Channel) -> None:
    chat = channel.stream_stream("/test.Service/Chat")
    assert [len(it) for it in chat(iter([b"90000"] * 30), timeout=PATIENCE_S)] == [90_000] * 30


def test_a_cancelled_stream_is_told(channel: grpc.Channel) -> None:
    said = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"first"
        assert said.wait(10)

    wait_until(lambda: EchoStream.open_count == 0)  # that of the test before may be ending yet
    call = channel.stream_stream("/test.Service/Chat")(messages())
    assert next(call) == b"first"
    assert EchoStream.open_count == 1
    call.cancel()
    said.set()
    wait_until(lambda: EchoStream.open_count == 0)


def test_a_stream_that_fails_as_it_is_cancelled_costs_no_other(channel: grpc.Channel) -> None:
    """It closed the connection, and every call on it."""
    said = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"first"
        assert said.wait(10)
        yield b"second"

    kept = channel.stream_stream("/test.Service/Chat")(messages())
    assert next(kept) == b"first"
    crashing = channel.stream_stream("/test.Service/CrashAtEnd")(messages())
    assert next(crashing) == b"first"
    crashing.cancel()
    assert channel.unary_unary("/test.Service/Echo")(b"on", timeout=PATIENCE_S) == b"on"
    said.set()
    assert list(kept) == [b"second"]


@pytest.mark.pure("its connections only look like ours")
def test_a_connection_that_cannot_be_written_to_costs_no_other() -> None:
    """What leaves in one turn was lost for all connections behind it, and they for ever."""

    class Connection:
        def __init__(self, *, is_broken: bool) -> None:
            self.loop = asyncio.get_running_loop()
            self.is_broken = is_broken
            self.flushed_count = self.aborted_count = 0

        def flush(self) -> None:
            if self.is_broken:
                raise RuntimeError("unable to perform operation; the handler is closed")
            self.flushed_count += 1

        def abort(self) -> None:
            self.aborted_count += 1

    async def run() -> None:
        server = GrpcServer({}, message_bytes_max=1, unread_bytes_max=1)
        broken: Any = Connection(is_broken=True)
        good: Any = Connection(is_broken=False)
        server.schedule_flush(broken)
        server.schedule_flush(good)
        await until_idle()
        assert (broken.aborted_count, good.flushed_count) == (1, 1)

    run_virtually(run())


@pytest.mark.pure("its connections only look like ours")
def test_streams_that_need_a_leader_end_when_there_was_none_for_as_long_as_is_said() -> None:
    class Connection:
        ended: Status | None = None

        def tick(self, _now: float) -> None:
            pass

        def end_streams(self, status: Status, *, only_leaderless: bool) -> None:
            assert only_leaderless
            self.ended = status

    has_leader = True
    server = GrpcServer(
        {},
        message_bytes_max=1,
        unread_bytes_max=1,
        has_leader=lambda: has_leader,
        leaderless_s=0.75,
        no_leader=Status(Code.UNAVAILABLE, "nobody leads"),
    )
    connection: Any = Connection()
    server.connections.add(connection)
    server.tick(10.0)
    has_leader = False
    server.tick(10.7)
    assert connection.ended is None
    server.tick(10.8)
    assert connection.ended == (14, "nobody leads")


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_the_same_port_speaks_http_1(port: int) -> None:
    assert get(port, "/version") == (200, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')
    assert get(port, "/health") == (503, b'{"health":"false","reason":"nobody leads"}')
    assert get(port, "/health?serializable=true") == (200, b'{"health":"true","reason":""}')
    status, metrics = get(port, "/metrics")
    assert status == 200
    assert b"roost_test 1" in metrics
    assert b"roost_count_total 2" in metrics
    assert get(port, "/nothing")[0] == 404
    assert get(port, "/version", "DELETE")[0] == 405


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1S", 1.0), (b"250m", 0.25), (b"2H", 7200.0), (b"5u", 5e-6), (b"7n", 7e-9),
        (b"3M", 180.0), (b"S", None), (b"1x", None), (b"-1S", None), (b"123456789S", None),
        (b"", None), (b"\xff", None),
    ],
)  # fmt: skip
def test_timeouts_are_read_as_the_protocol_says(text: bytes, seconds: float | None) -> None:
    assert parse_timeout(text) == pytest.approx(seconds)
