"""ASGI applications on HTTP/1.1, by sockets: what a scope says, bodies, answers, and what fails."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from roost.server import ClientPort, Listener, ServerConfig
from roost.server.asgi import BODY_BYTES_MAX
from roost.testing.patience import PATIENCE_S

Story = Callable[[ClientPort, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(app: ASGIApp, story: Story) -> None:
    async def main() -> None:
        port = ClientPort(routes={}, app=app, config=ServerConfig())
        [address] = await port.start([Listener(("127.0.0.1", 0))])
        reader, writer = await asyncio.open_connection(*address)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(port, reader, writer)
        finally:
            writer.close()
            await port.close(0)

    asyncio.run(main())


async def answer(send: Send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_a_scope_says_what_was_asked_and_by_whom() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        scopes.append(scope)
        await answer(send, b"")

    async def story(
        _port: ClientPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET /a%20b/?q=%20 HTTP/1.1\r\nHost: x\r\nX-Y: Z\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        [scope] = scopes
        asked = (scope["method"], scope["path"], scope["raw_path"], scope["query_string"])
        assert asked == ("GET", "/a b/", b"/a%20b/", b"q=%20")
        assert scope["headers"] == [(b"host", b"x"), (b"x-y", b"Z")]
        assert scope["client"] == writer.get_extra_info("sockname")
        assert scope["server"] == writer.get_extra_info("peername")
        assert (scope["scheme"], scope["http_version"]) == ("http", "1.1")
        assert not scope["state"]["connection"].is_gone

    run(app, story)


def test_what_fails_is_told_so_or_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if scope["path"] != "/early":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(scope["path"])

    async def story(
        port: ClientPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        [connection] = port.http.connections or [None]
        assert connection is None or connection.is_gone
        sockname = writer.get_extra_info("peername")
        reader, second = await asyncio.open_connection(*sockname)
        second.write(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await reader.read()
        assert said.endswith(b"chunked\r\n\r\n"), "what has no end is not whole"
        second.close()

    run(app, story)
    assert len(caplog.records) == 2


def test_a_body_that_nobody_takes_is_not_read_and_all_of_it_comes_when_somebody_does() -> None:
    go = asyncio.Event()
    size = 40 * BODY_BYTES_MAX

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await go.wait()
        body, more = b"", True
        while more:
            event = await receive()
            assert len(event["body"]) < 3 * BODY_BYTES_MAX
            body, more = body + event["body"], event["more_body"]
        await answer(send, b"%d" % len(body))

    async def story(
        port: ClientPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(bytes(size))
        while not port.http.connections:
            await asyncio.sleep(0)
        [connection] = port.http.connections
        while not connection._is_paused:
            await asyncio.sleep(0)
        go.set()
        await writer.drain()
        assert (await reader.readuntil(b"%d" % size)).startswith(b"HTTP/1.1 200 OK")

    run(app, story)


@pytest.mark.parametrize("stops", [True, False])
def test_an_answer_without_end_is_told_when_nobody_listens_any_more(*, stops: bool) -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        assert not (await receive())["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        told.append((await receive())["type"])
        await send({"type": "http.response.body", "body": b"bye"})

    async def story(
        port: ClientPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        if stops:
            [connection] = port.http.connections
            connection.stop()
            assert await reader.read() == b"3\r\nbye\r\n0\r\n\r\n"
        else:
            writer.close()
            while not told:
                await asyncio.sleep(0)
        assert told == ["http.disconnect"]

    run(app, story)
