"""Exchanges over HTTP/1.1: bodies with bounds, answers whole or piece by piece, clients that go."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.types import Message as Event

from roost.exchange import Answer, Answerer, Request, Streaming
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.server.admission import Admission
from roost.server.bodies import Bodies
from roost.server.exchanges import Exchanges
from roost.sim.members.loop import run_virtually, until_idle
from roost.tasks import Tasks

BODY_BYTES_MAX = 100


class Client:
    """One request, and what it is told."""

    def __init__(self, app: Exchanges, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        named = (headers or {}).items()
        self._headers = [(name.encode(), value.encode()) for name, value in named]
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.heads: list[Event] = []
        self.pieces: list[bytes] = []
        self.is_over = False

    def send(self, body: bytes = b"", *, is_last: bool = True) -> None:
        self._events.put_nowait({"type": "http.request", "body": body, "more_body": not is_last})

    def leave(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})

    async def _take(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.heads.append(event)
        else:
            self.pieces.append(event["body"])
            self.is_over = not event.get("more_body", False)

    async def talk(self) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "PUT",
            "raw_path": b"/v2/keys/a%20b",
            "query_string": b"x=%20",
            "headers": [(b"authorization", b"Bearer t"), (b"content-type", b"k"), *self._headers],
            "client": ("10.0.0.9", 4711),
        }
        await self._app(scope, self._events.get, self._take)


def exchanges(
    answer: Answerer, *, bodies: Bodies | None = None, admission: Admission | None = None
) -> Exchanges:
    return Exchanges(
        answer,
        admission=admission or Admission(),
        bodies=bodies or Bodies(1 << 20),
        body_bytes_max=BODY_BYTES_MAX,
    )


async def nobody(request: Request) -> Answer:
    raise AssertionError(f"nobody is asked {request}")


def test_a_request_is_handed_over_as_it_came_and_answered_whole() -> None:
    asked: list[Request] = []

    async def answer(request: Request) -> Answer:
        asked.append(request)
        return Answer(201, b"done", ((b"x", b"y"),))

    async def story() -> None:
        client = Client(exchanges(answer))
        client.send(b"bo", is_last=False)
        client.send(b"dy")
        await client.talk()
        [head] = client.heads
        assert (head["status"], client.pieces, client.is_over) == (201, [b"done"], True)
        assert head["headers"] == [(b"x", b"y"), (b"content-length", b"4")]
        [request] = asked
        assert (request.method, request.raw_path, request.query) == (
            "PUT",
            b"/v2/keys/a%20b",
            b"x=%20",
        )
        assert (request.body, request.headers[b"content-type"]) == (b"body", b"k")
        assert (request.caller.token, request.caller.address) == ("t", "10.0.0.9")
        assert request.caller.flow.owner == "10.0.0.9"

    run_virtually(story())


def test_a_body_at_the_bound_is_taken_and_a_byte_more_is_refused() -> None:
    async def answer(request: Request) -> Answer:
        return Answer(200, request.body)

    async def story() -> None:
        for size, status in ((BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)):
            client = Client(exchanges(answer))
            client.send(b"x" * size)
            await client.talk()
            assert client.heads[0]["status"] == status

    run_virtually(story())


def test_bodies_for_which_there_is_no_room_are_refused_and_all_give_theirs_back() -> None:
    bodies = Bodies(200)

    async def story() -> None:
        client = Client(exchanges(nobody, bodies=bodies))
        client.send(b"x" * 60, is_last=False)
        client.send(b"x" * 30)
        await client.talk()
        assert client.heads[0]["status"] == 503
        gone = Client(exchanges(nobody, bodies=bodies))
        gone.send(b"x" * 10, is_last=False)
        gone.leave()
        await gone.talk()
        assert gone.heads == []

    run_virtually(story())
    assert bodies.bytes == 0


def test_while_memory_is_short_a_request_is_refused_unread() -> None:
    memory = Memory(
        [Limit(1 << 30, "a test", lambda it: it.anonymous_bytes)],
        lambda: Taken(anonymous_bytes=1 << 30),
    )

    async def story() -> None:
        client = Client(exchanges(nobody, admission=Admission(memory)))
        await client.talk()
        assert client.heads[0]["status"] == 503
        assert b"a test" in client.pieces[0]

    run_virtually(story())


def test_a_request_that_is_given_no_memory_is_told_so() -> None:
    async def answer(request: Request) -> Answer:
        raise MemoryError(request.method)

    async def story() -> None:
        client = Client(exchanges(answer))
        client.send()
        await client.talk()
        assert client.heads[0]["status"] == 503

    run_virtually(story())


class Pieces:
    """An answer that is given piece by piece, as a test says."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes] = asyncio.Queue()
        self.is_closed = False

    async def _each(self) -> AsyncIterator[bytes]:
        while piece := await self.given.get():
            yield piece

    def _close(self) -> None:
        self.is_closed = True

    async def answer(self, request: Request) -> Streaming:
        del request
        return Streaming(((b"x", b"y"),), self._each(), self._close)


def test_each_piece_of_an_answer_has_a_turn_of_its_own() -> None:
    """A client that reads as fast as they are made had a hundred made in one step, 1.8 s."""
    count = 20

    async def story() -> None:
        turn, turns, tasks = 0, list[int](), Tasks()

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if not talking.done():
                asyncio.get_running_loop().call_soon(next_turn)

        async def made() -> AsyncIterator[bytes]:
            for _ in range(count):
                turns.append(turn)
                yield b"piece"

        async def answer(_request: Request) -> Streaming:
            return Streaming((), made(), lambda: None)

        client = Client(exchanges(answer))
        client.send()
        talking = tasks.start(client.talk())
        next_turn()
        await talking
        assert len(set(turns)) == len(turns) == count

    run_virtually(story())


@pytest.mark.parametrize("leaves", [True, False])
def test_pieces_are_sent_as_they_come_until_there_are_no_more_or_the_client_goes(
    *, leaves: bool
) -> None:
    async def story() -> None:
        pieces, tasks = Pieces(), Tasks()
        client = Client(exchanges(pieces.answer))
        client.send()
        talking = tasks.start(client.talk())
        await until_idle()
        assert [it["status"] for it in client.heads] == [200], "the head does not wait"
        pieces.given.put_nowait(b"1")
        await until_idle()
        assert client.pieces == [b"1"]
        if leaves:
            client.leave()
        else:
            pieces.given.put_nowait(b"")
        await talking
        assert pieces.is_closed
        assert client.is_over == (not leaves)

    run_virtually(story())
