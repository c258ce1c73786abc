"""Exchanges over HTTP/1.1: bodies with bounds, answers whole or piece by piece, clients that go."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from roost.exchange import Answer, Beginner, Reply, Request, Streaming
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.server.admission import Admission
from roost.server.bodies import Bodies
from roost.server.direct import SMALL_BYTES, Direct, DirectExchange
from roost.server.origins import Hosts, Origins
from roost.sim.members.loop import run_virtually, until_idle
from tests.server.turns import Line, turn_on

BODY_BYTES_MAX = 4 * SMALL_BYTES


class Client:
    """One request, and what it is told."""

    def __init__(self, exchanges: Direct, **fields: str) -> None:
        self.line = Line()
        named = [(name.encode(), value.encode()) for name, value in fields.items()]
        headers = [(b"authorization", b"Bearer t"), (b"content-type", b"k"), *named]
        method = "OPTIONS" if fields.get("method") else "PUT"
        self.turn = turn_on(
            self.line, method=method, path=b"/v2/keys/a%20b", query=b"x=%20", headers=headers
        )
        self.exchange: DirectExchange = exchanges.begin(self.turn)

    def send(self, body: bytes = b"", *, is_last: bool = True) -> None:
        if body and not self.turn.is_over:
            self.exchange.on_body(body)
        if is_last and not self.turn.is_over:
            self.exchange.on_whole()

    @property
    def status(self) -> int:
        return int(self.line.sent.split(b" ", 2)[1])

    @property
    def body(self) -> bytes:
        return self.line.sent.partition(b"\r\n\r\n")[2]


def exchanges(
    answer: Beginner,
    *,
    bodies: Bodies | None = None,
    admission: Admission | None = None,
    hosts: tuple[str, ...] = ("*",),
) -> Direct:
    return Direct(
        answer,
        admission=admission or Admission(),
        bodies=bodies or Bodies(1 << 20),
        body_bytes_max=BODY_BYTES_MAX,
        origins=Origins(("http://a",)),
        hosts=Hosts(hosts),
    )


def nobody(request: Request, reply: Reply) -> None:
    raise AssertionError(f"nobody is asked {request} for {reply}")


def test_a_request_is_handed_over_as_it_came_and_answered_whole() -> None:
    asked: list[Request] = []

    def answer(request: Request, reply: Reply) -> None:
        asked.append(request)
        reply(Answer(201, b"done", ((b"x", b"y"),)))

    client = Client(exchanges(answer))
    client.send(b"bo", is_last=False)
    client.send(b"dy")
    assert (
        client.line.sent
        == b"HTTP/1.1 201 Created\r\nx: y\r\nvary: origin\r\ncontent-length: 4\r\n\r\ndone"
    )
    [request] = asked
    assert (request.method, request.raw_path, request.query) == ("PUT", b"/v2/keys/a%20b", b"x=%20")
    assert (request.body, request.headers[b"content-type"]) == (b"body", b"k")
    assert (request.caller.token, request.caller.address) == ("t", "10.0.0.9")
    assert request.caller.flow.owner == "10.0.0.9"
    assert request.waiting is not None
    assert request.waiting.is_over, "it was answered"


def echo(request: Request, reply: Reply) -> None:
    reply(Answer(200, request.body))


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, BODY_BYTES_MAX])
@pytest.mark.parametrize("piece", [700, BODY_BYTES_MAX])
def test_a_body_comes_in_any_pieces_and_is_given_back(size: int, piece: int) -> None:
    bodies = Bodies(1 << 20)
    client = Client(exchanges(echo, bodies=bodies))
    body = bytes(it % 251 for it in range(size))
    for offset in range(0, size, piece):
        client.send(body[offset : offset + piece], is_last=False)
        assert bool(bodies.bytes) is (min(size, offset + piece) > SMALL_BYTES)
    client.send()
    assert (client.status, client.body) == (200, body)
    assert bodies.bytes == 0


def test_a_byte_more_than_a_body_may_have_is_refused() -> None:
    client = Client(exchanges(nobody))
    client.send(b"x" * (BODY_BYTES_MAX + 1))
    assert client.status == 413


def test_bodies_for_which_there_is_no_room_are_refused_and_all_give_theirs_back() -> None:
    bodies = Bodies(8 * SMALL_BYTES)
    client = Client(exchanges(nobody, bodies=bodies))
    client.send(b"x" * 2 * SMALL_BYTES, is_last=False)
    client.send(b"x" * SMALL_BYTES)
    assert client.status == 503
    gone = Client(exchanges(nobody, bodies=bodies))
    gone.send(b"x" * 2 * SMALL_BYTES, is_last=False)
    assert bodies.bytes
    gone.exchange.on_gone()
    assert gone.line.sent == b""
    assert bodies.bytes == 0


def test_while_memory_is_short_a_request_is_refused_unread() -> None:
    memory = Memory(
        [Limit(1 << 30, "a test", lambda it: it.anonymous_bytes)],
        lambda: Taken(anonymous_bytes=1 << 30),
    )
    client = Client(exchanges(nobody, admission=Admission(memory)))
    client.send()
    assert client.status == 503
    assert b"a test" in client.body


@pytest.mark.parametrize(("error", "status"), [(MemoryError, 503), (ValueError, 500)])
def test_a_request_whose_answering_fails_is_told_so(
    error: type[Exception], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: Request, reply: Reply) -> None:
        del reply
        raise error(request.method)

    client = Client(exchanges(answer))
    client.send()
    assert client.status == status
    assert len(caplog.records) == 1


def test_other_origins_and_hosts_are_let_in_as_on_all_pages() -> None:
    client = Client(exchanges(echo), origin="http://a")
    client.send(b"1")
    assert b"access-control-allow-origin: http://a\r\n" in client.line.sent
    client = Client(exchanges(echo), origin="http://b")
    client.send(b"1")
    assert b"access-control" not in client.line.sent
    client = Client(exchanges(nobody), origin="http://a", method="OPTIONS")
    client.send()
    assert client.status == 200
    assert b"access-control-allow-methods" in client.line.sent
    client = Client(exchanges(nobody, hosts=("good",)), host="evil")
    client.send()
    assert client.status == 421


def test_an_answer_that_comes_when_the_client_has_gone_goes_nowhere() -> None:
    replies: list[Reply] = []
    client = Client(exchanges(lambda _request, reply: replies.append(reply)))
    client.send()
    client.line.is_gone = True
    client.exchange.on_gone()
    closed: list[str] = []
    replies[0](Answer(200, b"late"))
    replies[0](Streaming((), Pieces().each(), lambda: closed.append("closed")))
    assert client.line.sent == b""
    assert closed == ["closed"]


class Pieces:
    """An answer that is given piece by piece, as a test says."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes] = asyncio.Queue()
        self.is_closed = False

    async def each(self) -> AsyncIterator[bytes]:
        while piece := await self.given.get():
            if piece == b"fail":
                raise ValueError(piece)
            yield piece

    def close(self) -> None:
        self.is_closed = True
        self.given.put_nowait(b"")

    def answer(self, request: Request, reply: Reply) -> None:
        del request
        reply(Streaming(((b"x", b"y"),), self.each(), self.close))


@pytest.mark.parametrize("is_made", [True, False])
def test_what_is_made_is_sent_whether_its_client_takes_it_or_not(*, is_made: bool) -> None:
    """It counts with what clients have not read then, where whoever has the most is given up."""

    async def story() -> None:
        pieces = Pieces()

        def answer(_request: Request, reply: Reply) -> None:
            reply(Streaming((), pieces.each(), pieces.close, is_made=is_made))

        client = Client(exchanges(answer))
        client.line.is_full = True
        client.send()
        for it in (b"one", b"two", b""):
            pieces.given.put_nowait(it)
        await until_idle()
        assert client.line.sent.endswith(b"0\r\n\r\n") == is_made
        client.line.read()
        await until_idle()
        assert client.line.sent.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    run_virtually(story())


@pytest.mark.parametrize("how", ["ends", "leaves", "stops", "fails"])
def test_pieces_are_sent_as_they_come_until_there_are_no_more_or_the_client_goes(how: str) -> None:
    async def story() -> None:
        pieces = Pieces()
        made = exchanges(pieces.answer)
        client = Client(made)
        client.send()
        head = b"HTTP/1.1 200 OK\r\nx: y\r\nvary: origin\r\ntransfer-encoding: chunked\r\n\r\n"
        assert client.line.take() == head, "the head does not wait"
        pieces.given.put_nowait(b"1")
        await until_idle()
        assert client.line.take() == b"1\r\n1\r\n"
        client.line.is_full = True
        pieces.given.put_nowait(b"2")
        pieces.given.put_nowait(b"3")
        await until_idle()
        assert client.line.take() == b"1\r\n2\r\n", "it reads nothing"
        client.line.read()
        await until_idle()
        assert client.line.take() == b"1\r\n3\r\n"
        match how:
            case "ends":
                pieces.given.put_nowait(b"")
            case "leaves":
                client.exchange.on_gone()
            case "stops":
                client.exchange.on_stop()
            case _:
                pieces.given.put_nowait(b"fail")
        await until_idle()
        assert pieces.is_closed
        assert client.turn.is_over
        assert client.line.take() == (b"" if how == "fails" else b"0\r\n\r\n")
        assert client.turn.keeps_alive is (how != "fails")
        await made.close()

    run_virtually(story())


class News:
    """Pieces that are told to whoever hears of them; those that are long come by a task."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.is_over = self.is_closed = False
        self._on_news: Callable[[], None] | None = None

    def answer(self, _request: Request, reply: Reply) -> None:
        reply(Streaming((), self._pieces(), self._close, quick=self))

    def tell(self, *pieces: bytes, is_last: bool = False) -> None:
        self.told += pieces
        self.is_over = is_last and not self.told
        self._is_last = is_last
        on_news, self._on_news = self._on_news, None
        if on_news is not None:
            on_news()

    def take(self) -> bytes | None:
        if self.told and self.told[0] == b"fail":
            raise ValueError("it fails")
        if self.told and self.told[0] == b"long":
            return None
        piece = self.told.pop(0) if self.told else b""
        self.is_over = self._is_last and not self.told
        return piece

    _is_last = False

    def hear(self, on_news: Callable[[], None]) -> bool:
        if self.told:
            return False
        self._on_news = on_news
        return True

    async def _pieces(self) -> AsyncIterator[bytes]:
        while self.told:
            yield self.told.pop(0)

    def _close(self) -> None:
        self.is_closed = True


HEAD = b"HTTP/1.1 200 OK\r\nvary: origin\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def test_what_is_quick_is_sent_when_it_is_told_and_needs_no_task() -> None:
    async def story() -> None:
        news = News()
        made = exchanges(news.answer)
        client = Client(made)
        client.send()
        assert client.line.take() == HEAD, "the head does not wait"
        news.tell(b"1", b"22")
        assert client.line.take() == b"1\r\n1\r\n2\r\n22\r\n", "both, in the same turn"
        news.tell(b"3", is_last=True)
        assert client.line.take() == b"1\r\n3\r\n" + END
        assert len(made.tasks) == 0
        assert client.turn.is_over
        assert client.turn.keeps_alive
        assert news.is_closed
        await made.close()

    run_virtually(story())


@pytest.mark.parametrize("why", ["full", "long"])
def test_what_cannot_be_sent_at_once_goes_piece_by_piece(why: str) -> None:
    async def story() -> None:
        news = News()
        made = exchanges(news.answer)
        client = Client(made)
        client.send()
        client.line.take()
        client.line.is_full = why == "full"
        news.tell(b"long", b"22")
        assert client.line.take() == b"", "nothing is sent where all are told"
        await until_idle()
        if why == "full":
            assert client.line.take() == b"4\r\nlong\r\n", "it reads nothing"
            client.line.read()
            await until_idle()
            assert client.line.take() == b"2\r\n22\r\n" + END
        else:
            assert client.line.take() == b"4\r\nlong\r\n2\r\n22\r\n" + END
        assert news.is_closed
        await made.close()

    run_virtually(story())


def test_whoever_tells_never_hears_that_sending_failed() -> None:
    async def story() -> None:
        news = News()
        made = exchanges(news.answer)
        client = Client(made)
        client.send()
        client.line.take()
        news.tell(b"fail")
        assert client.turn.is_over
        assert not client.turn.keeps_alive, "its client sees that something is missing"
        assert client.line.take() == b""
        assert news.is_closed
        await made.close()

    run_virtually(story())


def test_whoever_has_gone_is_told_nothing_more() -> None:
    async def story() -> None:
        news = News()
        made = exchanges(news.answer)
        client = Client(made)
        client.send()
        client.line.take()
        client.line.is_gone = True
        news.tell(b"1")
        assert news.told == [b"1"], "nobody has taken it"
        assert news.is_closed
        await made.close()

    run_virtually(story())
