"""A way to a member elsewhere: kept, opened again, bounded, secret; nobody is believed much."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from roost.counters.errors import LinkFailed
from roost.server.counter_way import CounterWay, Showing

Answerer = Callable[[bytes], bytes]
# Of the run that goes on.
CONNECTIONS: list[object] = []
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere"


@asynccontextmanager
async def served(answer: Answerer, asked: list[bytes]) -> AsyncIterator[str]:
    """Somebody who answers each request with bytes; empty = closes the connection."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        CONNECTIONS.append(writer)
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            [length] = [
                int(it.partition(b":")[2])
                for it in head.split(b"\r\n")
                if it.startswith(b"content-length")
            ]
            asked.append(head + await reader.readexactly(length))
            said = answer(asked[-1])
            writer.write(said)
            if not said:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        for it in writers:
            it.close()
        server.close()
        await server.wait_closed()


def run(
    answer: Answerer,
    story: Callable[[CounterWay], Awaitable[None]],
    showing: Showing | None = None,
) -> list[bytes]:
    """Run `story` with a way there; what was asked."""
    asked: list[bytes] = []
    CONNECTIONS.clear()

    async def main() -> None:
        async with asyncio.timeout(30), served(answer, asked) as url:
            way = CounterWay(showing or Showing(), url)
            try:
                await story(way)
            finally:
                await way.aclose()

    asyncio.run(main())
    return asked


def test_requests_go_one_behind_another_by_one_connection() -> None:
    async def story(way: CounterWay) -> None:
        assert await way.ask(b"one") == b"there"
        assert await way.ask(b"two") == b"there"

    asked = run(lambda _said: OK, story)
    assert len(CONNECTIONS) == 1
    assert [it.partition(b"\r\n\r\n")[2] for it in asked] == [b"one", b"two"]
    assert asked[0].startswith(b"POST /counters/exchange HTTP/1.1\r\nhost: 127.0.0.1:")


def test_no_answer_to_what_needs_none_is_empty() -> None:
    async def story(way: CounterWay) -> None:
        assert await way.ask(b"one") == b""
        assert await way.ask(b"two") == b""
        assert len(CONNECTIONS) == 1

    run(lambda _said: b"HTTP/1.1 204 No Content\r\n\r\n", story)


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    answers = [OK, b"", OK]

    async def story(way: CounterWay) -> None:
        assert await way.ask(b"one") == b"there"
        assert await way.ask(b"two") == b"there"

    asked = run(lambda _said: answers.pop(0), story)
    assert [it[-3:] for it in asked] == [b"one", b"two", b"two"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"", "closed"),
        (b"nothing of HTTP\r\n\r\n", "HttpParser"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://x\r\ncontent-length: 0\r\n\r\n", "302"),
        (b'HTTP/1.1 403 No\r\ncontent-length: 17\r\n\r\n{"message":"why"}', "403: why"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + bytes(3 << 20), "more than"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300_000, "more than"),
    ],
)
def test_what_is_no_answer_is_said(said: bytes, text: str) -> None:
    async def story(way: CounterWay) -> None:
        with pytest.raises(LinkFailed) as failed:
            await way.ask(b"one")
        assert text.lower() in str(failed.value).lower()

    run(lambda _said: said, story)


def test_who_stops_waiting_is_not_given_the_answer_to_another_request() -> None:
    async def story(way: CounterWay) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await way.ask(b"slow")
        assert await way.ask(b"next") == b"there"

    # To the first nothing whole is said; its connection is not used again.
    asked = run(lambda said: OK[:20] if said.endswith(b"slow") else OK, story)
    assert len(asked) == 2


def test_nobody_there_is_said() -> None:
    async def main() -> None:
        way = CounterWay(Showing(), "http://127.0.0.1:1")
        with pytest.raises(LinkFailed):
            await way.ask(b"one")

    asyncio.run(main())


def test_it_logs_in_and_once_more_when_its_token_is_too_old(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.write_text("link:se:cret\n")
    tokens = iter(["t1", "t2"])

    def answer(said: bytes) -> bytes:
        if said.startswith(b"POST /v3/auth/authenticate"):
            body = b'{"token":"%b"}' % next(tokens).encode()
            return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        if b"authorization: t1" in said and said.endswith(b"two"):
            return b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
        return OK

    async def story(way: CounterWay) -> None:
        for it in (b"one", b"two", b"end"):
            assert await way.ask(it) == b"there"

    asked = run(answer, story, Showing(user_file=str(user)))
    assert asked[0].endswith(b'{"name":"link","password":"se:cret"}')
    assert [b"authorization: t2" in it for it in asked] == [False, False, False, False, True, True]


def test_a_password_goes_over_https_only_and_never_into_an_error(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.write_text("link:secret")

    async def main() -> None:
        far = CounterWay(Showing(user_file=str(user)), "http://192.0.2.1:2379")
        with pytest.raises(LinkFailed, match="https only"):
            await far.ask(b"one")
        none = CounterWay(Showing(user_file=str(tmp_path / "none")), "http://127.0.0.1:1")
        with pytest.raises(LinkFailed, match="none"):
            await none.ask(b"one")
        user.write_text("secret")
        bad = CounterWay(Showing(user_file=str(user)), "http://127.0.0.1:1")
        with pytest.raises(LinkFailed) as failed:
            await bad.ask(b"one")
        assert "secret" not in str(failed.value)

    asyncio.run(main())
