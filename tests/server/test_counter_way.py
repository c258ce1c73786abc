"""A way to a member elsewhere: kept, opened again, bounded, secret; nobody is believed much."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from roost.counters.errors import LinkFailed
from roost.server.counter_way import CounterWay, Showing
from tests.integration.certificates import Authority, Pair

Answerer = Callable[[bytes], bytes]
# Of the run that goes on.
CONNECTIONS: list[object] = []
# Common names of the certificates that were shown.
SHOWN: list[str] = []
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere"


@asynccontextmanager
async def served(
    answer: Answerer, asked: list[bytes], tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """Somebody who answers each request with bytes; empty = closes the connection."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        CONNECTIONS.append(writer)
        if certificate := writer.get_extra_info("peercert"):
            SHOWN.append(certificate["subject"][0][0][1])
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

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        for it in writers:
            it.close()
        server.close()
        await server.wait_closed()


def run(
    answer: Answerer,
    story: Callable[[CounterWay], Awaitable[None]],
    showing: Showing | None = None,
    tls: ssl.SSLContext | None = None,
) -> list[bytes]:
    """Run `story` with a way there; what was asked."""
    asked: list[bytes] = []
    CONNECTIONS.clear()
    SHOWN.clear()

    async def main() -> None:
        async with asyncio.timeout(30), served(answer, asked, tls) as url:
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


def guarded(pair: Pair, *, believes: Path | None = None) -> ssl.SSLContext:
    """What a server shows; and by whom those who come must have been signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    if believes is not None:
        context.load_verify_locations(believes)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_by_https_both_show_who_they_are(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, ours = authority.sign("server"), authority.sign("member")
    showing = Showing(
        ca_file=str(authority.path), cert_file=str(ours.certificate), key_file=str(ours.key)
    )

    async def story(way: CounterWay) -> None:
        assert await way.ask(b"one") == b"there"
        assert await way.ask(b"two") == b"there"
        assert SHOWN == ["member"]

    asked = run(lambda _: OK, story, showing, guarded(server, believes=authority.path))
    assert [it[-3:] for it in asked] == [b"one", b"two"]


@pytest.mark.parametrize("whose", ["of another name", "signed by nobody we know", "run out"])
def test_a_certificate_that_is_not_its_own_is_told_nothing(tmp_path: Path, whose: str) -> None:
    ours = Authority(tmp_path)
    strange = Authority(tmp_path, "stranger")
    server = {
        "of another name": lambda: ours.sign("server", host="elsewhere.example"),
        "signed by nobody we know": lambda: strange.sign("server"),
        "run out": lambda: ours.sign("server", until=dt.datetime.now(dt.UTC) - dt.timedelta(1)),
    }[whose]()
    user = tmp_path / "user"
    user.write_text("link:a secret of ours")

    async def story(way: CounterWay) -> None:
        with pytest.raises(LinkFailed, match="certificate"):
            await way.ask(b"one")

    showing = Showing(ca_file=str(ours.path), user_file=str(user))
    assert run(lambda _: OK, story, showing, guarded(server)) == []


def test_who_shows_no_certificate_where_one_is_wanted_is_not_let_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def story(way: CounterWay) -> None:
        with pytest.raises(LinkFailed):
            await way.ask(b"one")

    showing = Showing(ca_file=str(authority.path))
    server = guarded(authority.sign("server"), believes=authority.path)
    assert run(lambda _: OK, story, showing, server) == []


def test_a_certificate_that_was_renewed_is_shown_by_the_next_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = authority.sign("first", file="ours")
    showing = Showing(
        ca_file=str(authority.path), cert_file=str(ours.certificate), key_file=str(ours.key)
    )
    closing = OK.replace(b"content-length", b"connection: close\r\ncontent-length")

    async def story(way: CounterWay) -> None:
        await way.ask(b"one")
        authority.sign("second", file="ours")
        await way.ask(b"two")
        assert SHOWN == ["first", "second"]

    run(
        lambda _: closing,
        story,
        showing,
        guarded(authority.sign("server"), believes=authority.path),
    )
