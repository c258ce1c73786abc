"""Requests over HTTP/1.1 that do not end are ended, and nobody else's."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from roost.server import ClientPort, Listener, ServerConfig, http1

Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes a body; below `/stream` piece by piece, as soon as each has come."""
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
            async with asyncio.timeout(30):
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
