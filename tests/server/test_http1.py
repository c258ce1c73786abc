"""Requests over HTTP/1.1 that do not end are ended, and nobody else's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from roost.server import ClientPort, Listener, ServerConfig, http1
from roost.testing.patience import PATIENCE_S

Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PortStory = Callable[[ClientPort, tuple[str, int]], Awaitable[None]]
GOOD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


LARGE_BYTES = 8 << 20
# Requests to `/wait` are answered when somebody says so.
GO = asyncio.Event()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes a body; below `/stream` piece by piece, as soon as each has come."""
    if scope["path"] == "/large":
        headers = [(b"content-length", b"%d" % LARGE_BYTES)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(LARGE_BYTES)})
        return
    if scope["path"] == "/wait":
        await GO.wait()
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


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a client, whose connection may have been reset."""
    writer.close()
    with suppress(ConnectionError):  # as it was
        await writer.wait_closed()


def run_port(story: PortStory) -> None:
    async def main() -> None:
        GO.clear()
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
        while not server._http_state.connections:
            await asyncio.sleep(0)
        (held,) = server._http_state.connections
        assert isinstance(held, http1.Http1Protocol)
        while not held.pipeline:
            await asyncio.sleep(0)
        assert len(held.pipeline) < 2 * http1.PIECE_BYTES // len(one)
        assert held._rest, "what it sent is not parsed"
        GO.set()
        for it in range(count):
            assert (await reader.readuntil(b"%05d" % it)).startswith(b"HTTP/1.1 200 OK")
        writer.write(GOOD + b"again")
        await reader.readuntil(b"again")
        await close(writer)

    run_port(story)


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
        GO.set()
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


def test_what_goes_on_ends_with_its_port_and_what_is_whole_is_answered_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tasks and connections outlived it: in a program they are as many as there were ports."""

    async def main() -> None:
        go = asyncio.Event()
        monkeypatch.setitem(globals(), "GO", go)  # an event is of one loop
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
            while not any(it.is_answering for it in port.http_connections):
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
