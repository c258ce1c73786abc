"""Requests over HTTP/1.1 that do not end are ended, and nobody else's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from roost.server import ClientPort, Listener, ServerConfig, http1
from roost.server.http1_turn import Turn
from roost.server.intake import TURN_UNITS
from roost.testing.patience import PATIENCE_S

Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PortStory = Callable[[ClientPort, tuple[str, int]], Awaitable[None]]
GOOD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


LARGE_BYTES = 8 << 20


class Gate:
    """Requests to `/wait` are answered when somebody says so."""

    go = asyncio.Event()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes a body; below `/stream` piece by piece, as soon as each has come."""
    if scope["path"] == "/large":
        headers = [(b"content-length", b"%d" % LARGE_BYTES)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(LARGE_BYTES)})
        return
    if scope["path"] == "/wait":
        await Gate.go.wait()
    streams = scope["path"] == "/stream"
    body, more = b"", True
    if streams:
        await send({"type": "http.response.start", "status": 200, "headers": []})
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
        if streams:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body = b""
    if not streams:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def run(story: Story) -> None:
    async def main() -> None:
        server = ClientPort(routes={}, app=app, config=ServerConfig())
        [address] = await server.start([Listener(("127.0.0.1", 0))])
        reader, writer = await asyncio.open_connection(*address)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(reader, writer)
        finally:
            writer.close()
            await server.close(0)

    asyncio.run(main())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "HEADERS_S", 0.05)
    monkeypatch.setattr(http1, "REQUEST_S", 0.05)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "sent",
    [b"G", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n", GOOD, GOOD + b"1234", GOOD + b"12345" + GOOD],
)
def test_a_request_that_does_not_end_is_ended(sent: bytes) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        said = await reader.read()
        assert b"HTTP/1.1 408 " in said
        assert said.startswith(b"HTTP/1.1 200 ") is (GOOD + b"12345" in sent)

    run(story)


def test_requests_that_end_follow_each_other_for_as_long_as_they_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "HEADERS_S", 60.0)

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(GOOD + b"12345")
            await reader.readuntil(b"12345")
        writer.write(2 * (GOOD + b"12345"))
        for _ in range(2):
            await reader.readuntil(b"12345")

    run(story)


@pytest.mark.usefixtures("short")
def test_a_stream_that_has_begun_to_answer_is_left_alone() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"3\r\none\r\n")
        await reader.readuntil(b"one\r\n")
        with pytest.raises(TimeoutError):  # many deadlines pass, and nothing is said
            await asyncio.wait_for(reader.readexactly(1), 0.3)
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await reader.readuntil(b"two\r\n")

    run(story)


def test_headers_without_end_are_refused() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\n" + b"X: " + bytes(100).hex().encode() + b"\r\n")
        line = b"X: " + b"y" * 1000 + b"\r\n"
        for _ in range(http1.HEADERS_BYTES_MAX // len(line) + 2):
            writer.write(line)
        said = await reader.readuntil(b"\r\n")
        assert said == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"

    run(story)


@pytest.mark.parametrize(
    ("begins", "line"),
    [
        (b"0\r\nX: ", b"y" * 4000),  # one field
        (b"0\r\n", b"X: " + b"y" * 100 + b"\r\n"),  # many
        (b"1;", b"y" * 4000),  # what is said of a chunk
    ],
)
def test_what_stands_behind_a_body_or_with_a_chunk_is_no_longer_than_a_head(
    begins: bytes, line: bytes
) -> None:
    """What gathers a field copies it with each piece: 16 MiB of one took 0.4 s a step."""

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        # Small chunks may be many: they say something of the body.
        writer.write(head + b"1\r\na\r\n" * (http1.HEADERS_BYTES_MAX // 4) + begins)
        for _ in range(2 * http1.HEADERS_BYTES_MAX // len(line)):
            writer.write(line)
        said = await reader.readuntil(b"\r\n")
        assert said == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"

    run(story)


class _AtOnce:
    """Answers each request when it is whole."""

    ANSWER = bytes(1 << 20)

    def __init__(self) -> None:
        self.count = 0
        self.turn: Turn | None = None

    def begin(self, turn: Turn) -> "_AtOnce":
        self.turn = turn
        return self

    def on_whole(self) -> None:
        assert self.turn is not None
        self.count += 1
        self.turn.answer(200, (), self.ANSWER)

    def on_body(self, data: bytes) -> None:
        """Nothing is done with it."""

    def on_gone(self) -> None:
        """Nothing is to be ended."""

    on_stop = on_gone


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"]
)
def test_a_client_that_does_not_read_is_answered_no_further(head: bytes) -> None:
    """It asked for more and more, and a member kept all answers: 250 MB a second."""
    count = 200

    async def main() -> None:
        taker, made = _AtOnce(), list[http1.Http1Protocol]()
        http = http1.Http1(taker.begin)

        def connected() -> asyncio.Protocol:
            made.append(http1.Http1Protocol(http, lambda: None))
            return cast("asyncio.Protocol", made[-1])

        server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), limit=1 << 10
        )
        async with server, asyncio.timeout(PATIENCE_S):
            writer.write(head * count)
            while not (made and made[0].is_full and not http.intake.waiting_count):
                await asyncio.sleep(0)
            begun = taker.count
            assert begun < count // 4, "its socket takes a few"
            for _ in range(count):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(_AtOnce.ANSWER))
            assert taker.count == count
            await close(writer)

    asyncio.run(main())


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a client, whose connection may have been reset."""
    writer.close()
    with suppress(ConnectionError):  # as it was
        await writer.wait_closed()


def run_port(story: PortStory) -> None:
    async def main() -> None:
        Gate.go = asyncio.Event()
        server = ClientPort(routes={}, app=app, config=ServerConfig())
        [address] = await server.start([Listener(("127.0.0.1", 0))])
        try:
            async with asyncio.timeout(60):
                await story(server, address)
        finally:
            await server.close(0)

    asyncio.run(main())


def test_thousands_of_requests_in_one_write_are_parsed_a_few_at_a_time_and_all_answered() -> None:
    """All of a read were parsed, and had their objects made, in one step."""
    count = 3000

    async def story(server: ClientPort, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        one = b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        writer.write(b"".join(one + b"%05d" % it for it in range(count)))
        while not server.http.connections:
            await asyncio.sleep(0)
        (held,) = server.http.connections
        while not held.waiting:
            await asyncio.sleep(0)
        assert len(held.waiting) < 2 * http1.PIECE_BYTES // len(one)
        assert held._rest, "what it sent is not parsed"
        Gate.go.set()
        for it in range(count):
            assert (await reader.readuntil(b"%05d" % it)).startswith(b"HTTP/1.1 200 OK")
        writer.write(GOOD + b"again")
        await reader.readuntil(b"again")
        await close(writer)

    run_port(story)


class Wire(asyncio.Transport):
    """Takes whatever is sent."""

    def write(self, data: object) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class AtOnce:
    """Answers each request as soon as it is whole, and counts what has come."""

    def __init__(self) -> None:
        self.begun = self.whole = self.pieces = 0

    def begin(self, turn: Turn) -> "AtOnce":
        self.begun += 1
        self._turn = turn
        return self

    def on_body(self, _data: bytes) -> None:
        self.pieces += 1

    def on_whole(self) -> None:
        self.whole += 1
        self._turn.answer(200, (), b"")

    def on_gone(self) -> None: ...

    def on_stop(self) -> None: ...


@pytest.mark.parametrize(
    ("sent", "count", "counted"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 500, 500, "begun"),
        # They are none that are read in one step.
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" * 500, 500, "begun"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"),
            1,
            "pieces",
        ),
    ],
)
def test_what_is_answered_or_taken_at_once_is_so_a_part_a_turn(
    sent: bytes, count: int, counted: str
) -> None:
    """Thousands of small requests, or chunks of a byte, that came in one read were one step."""
    taker = AtOnce()

    async def main() -> None:
        protocol = http1.Http1Protocol(http1.Http1(taker.begin), lambda: None)
        protocol.connection_made(Wire())
        protocol.data_received(sent)
        total = {"begun": count, "pieces": 5000}[counted]
        turns, most, before = 1, 0, 0
        while True:
            now = getattr(taker, counted)
            most, before = max(most, now - before), now
            if taker.whole == count:
                break
            turns += 1
            await asyncio.sleep(0)
        assert now == total
        a_piece = http1.BODY_PIECE_BYTES // 6 if counted == "pieces" else http1.PIECE_BYTES // 25
        unit = 1 if counted == "pieces" else http1.UNITS_A_REQUEST
        assert most <= TURN_UNITS // unit + a_piece
        assert turns >= total // most
        protocol.connection_lost(None)

    asyncio.run(main())


def test_a_turn_has_so_much_time_for_all_connections_together() -> None:
    """Issue 14: each of a thousand that came at once had a share of its own, in one turn."""
    taker = AtOnce()
    plain = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    chunked = b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    async def main() -> None:
        http = http1.Http1(taker.begin)
        each = [http1.Http1Protocol(http, lambda: None) for _ in range(200)]
        for protocol in each:
            protocol.connection_made(Wire())
        for protocol in each:
            protocol.data_received(10 * plain + 10 * chunked)
        counts = [taker.begun]
        assert http.intake.waiting_count > 150
        while taker.whole < 4000:
            await asyncio.sleep(0)
            counts.append(taker.begun - sum(counts))
        assert taker.begun == 4000
        assert max(counts) <= TURN_UNITS // http1.UNITS_A_REQUEST + http1.PIECE_BYTES // 25
        assert http.intake.waiting_count == 0
        # Who has nothing left, and comes alone, is answered at once.
        while not http.intake.budget():
            await asyncio.sleep(0)
        each[0].data_received(plain)
        assert taker.whole == 4001
        # What stood in line and is gone is passed over.
        for protocol in each:
            protocol.data_received(20 * plain)
            protocol.connection_lost(None)
        before = taker.begun
        while http.intake.waiting_count:
            await asyncio.sleep(0)
        assert taker.begun == before

    asyncio.run(main())


def test_a_request_that_waits_for_those_before_it_is_not_called_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "HEADERS_S", 0.02)

    async def story(_server: ClientPort, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        slow = b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"
        writer.write(slow + GOOD + b"22222" + b"".join(GOOD + b"33333" for _ in range(100)))
        with pytest.raises(TimeoutError):  # many deadlines pass, and nothing is said
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        Gate.go.set()
        said = await reader.readuntil(b"33333")
        assert said.count(b"HTTP/1.1 200 OK") == 3
        await close(writer)

    run_port(story)


@pytest.mark.parametrize("is_full", [True, False])
def test_an_answer_that_nobody_reads_counts_and_is_given_up(
    monkeypatch: pytest.MonkeyPatch, *, is_full: bool
) -> None:
    monkeypatch.setattr(http1, "STALL_S", 60.0 if is_full else 0.02)

    async def story(server: ClientPort, address: tuple[str, int]) -> None:
        unread = server.grpc.unread
        if is_full:
            unread.bytes_max = LARGE_BYTES // 4
        _, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        while not unread.given_up_count:
            await asyncio.sleep(0)
        while server.connection_count:
            await asyncio.sleep(0)
        assert unread.bytes == 0
        assert not unread.others
        await close(writer)

    run_port(story)


def test_what_goes_on_ends_with_its_port_and_what_is_whole_is_answered_before() -> None:
    """Tasks and connections outlived it: in a program they are as many as there were ports."""

    async def main() -> None:
        Gate.go = go = asyncio.Event()
        port = ClientPort(routes={}, app=app, config=ServerConfig())
        [address] = await port.start([Listener(("127.0.0.1", 0))])
        async with asyncio.timeout(PATIENCE_S):
            before = asyncio.all_tasks()
            asked = {
                "stream": b"POST /stream HTTP/1.1\r\ncontent-length: 9\r\n\r\na",
                "half": b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\na",
                "head": b"POST / HTTP/1.1\r\n",
                "silent": b"",
                "large": b"GET /large HTTP/1.1\r\n\r\n",
                "whole": b"POST /wait HTTP/1.1\r\ncontent-length: 1\r\n\r\na",
            }
            pairs = {it: await asyncio.open_connection(*address) for it in asked}
            for name, data in asked.items():
                pairs[name][1].write(data)
            assert (await pairs["stream"][0].readuntil(b"a\r\n")).startswith(b"HTTP/1.1 200")
            await pairs["large"][0].readexactly(10)
            while not any(it.is_answering for it in port.http.connections):
                await asyncio.sleep(0)
            while len(port.undecided) > 1 or port.connection_count < len(asked):
                await asyncio.sleep(0)
            closed = asyncio.ensure_future(port.close(PATIENCE_S))
            for name in ("silent", "head"):
                assert await pairs[name][0].read() == b""
            assert not closed.done()
            go.set()
            assert (await pairs["whole"][0].read()).endswith(b"\r\n\r\na")
            await closed
            assert (port.connection_count, port.undecided) == (0, {})
            assert asyncio.all_tasks() - before == set()
        for _, writer in pairs.values():
            await close(writer)

    asyncio.run(main())


def test_who_asks_for_another_protocol_is_answered_in_this_one_and_fills_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for name in (b"websocket", b"h2c"):
            upgrade = b"Connection: Upgrade\r\nUpgrade: " + name + b"\r\n"
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    with caplog.at_level(logging.INFO):
        run(story)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        # Two lengths are how one request is made to look like two (RFC 9112, 6.3).
        (
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request",
        ),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"DELETE /a#b HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
    ],
)
def test_what_is_no_request_is_told_so_and_who_wants_no_more_gets_no_more(
    sent: bytes, said: bytes
) -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        answer = await reader.read()
        assert answer.startswith(said + b"\r\n")
        assert b"connection: close\r\n" in answer

    run(story)


def test_what_is_no_request_does_not_take_the_answer_from_those_before_it() -> None:
    async def story(_server: ClientPort, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(
            b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345nonsense\r\n"
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.05)
        Gate.go.set()
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 200 OK")
        assert said.endswith(b"12345")
        await close(writer)

    run_port(story)


def test_forms_of_requests_that_are_rare_are_answered_as_others() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        await reader.readuntil(b"12345")
        # Another protocol is not offered (RFC 9110, 7.8).
        upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + upgrade + GOOD + b"abcde")
        said = await reader.readuntil(b"abcde")
        assert said.count(b"HTTP/1.1 200 OK\r\n") == 2
        writer.write(b"GET http://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(chunked + b"3\r\nabc\r\n0\r\nX: trailer\r\n\r\n")
        assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200 OK")

    run(story)


def test_a_connection_on_which_nothing_is_asked_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "IDLE_S", 0.05)

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD + b"12345")
        said = await reader.read()
        assert said.endswith(b"12345"), "and nothing is said"

    run(story)


def test_requests_of_a_connection_take_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: ClientPort, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GOOD + b"12345")
        await reader.readuntil(b"12345")
        loop, timers = asyncio.get_running_loop(), 0
        call_at = loop.call_at

        def counted(*asked: Any, **named: Any) -> asyncio.TimerHandle:
            nonlocal timers
            timers += asked[1].__name__ == "_on_timer"
            return call_at(*asked, **named)

        monkeypatch.setattr(loop, "call_at", counted)
        for _ in range(20):
            writer.write(GOOD + b"12345")
            await reader.readuntil(b"12345")
        assert timers == 0
        assert server.connection_count == 1
        await close(writer)

    run_port(story)


def test_a_client_that_closes_its_side_is_no_error() -> None:
    """A loop of asyncio's own tells its protocol, which knew nothing of that: a fatal error."""
    said: list[dict[str, Any]] = []

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, it: said.append(it))
        writer.write(GOOD + b"hello")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b"", "the other side closes as well"

    run(story)
    assert said == []
