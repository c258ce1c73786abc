"""The way of a client for time series to the member in its own process (`client.series.ways`).

Requests are those of the client over HTTP, answered by the same code without a port between them;
only what is asked of points and windows comes as columns, and is not written down as JSON.  A
program whose member it is may do everything, so nobody asks who it is.

Full?  Frames that were sent and not taken are PIECES_MAX at most; then whoever sends waits.
Answers that nobody reads are as many as flushes that were sent, which the connection bounds.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from roost.client.errors import OutcomeUnknown
from roost.client.series.answers import Answer, Table
from roost.client.series.members import decoded, refusal_of
from roost.client.series.points import COLUMNS
from roost.client.series.questions import Asked
from roost.database.embedded import Embedded
from roost.database.errors import BadOpening
from roost.errors import RoostError
from roost.exchange import Answer as Answered
from roost.exchange import Request, Streaming
from roost.faces import Closed
from roost.flow import OWN, Flow
from roost.server.embedding import Embedding
from roost.server.models.series import SeriesDesk

if TYPE_CHECKING:  # the desk loads what needs numpy, on a thread
    from roost.series.queries import Part

PIECES_MAX = 4


@dataclass(frozen=True, slots=True)
class _Program:
    """Who asks."""

    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN


def _request(
    method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Request:
    path, _, query = target.partition("?")
    said = {name.encode(): text.encode() for name, text in (headers or {}).items()}
    return Request(
        method=method,
        raw_path=path.encode(),
        query=query.encode(),
        caller=_Program(),
        headers=said,
        body=body,
    )


class Here:
    """The way to one member; see `client.series.ways.Way`."""

    def __init__(self, embedded: Embedded, timeout_s: float) -> None:
        """Nothing is asked.

        Raises:
            BadOpening: the database was opened without services, as in a simulation.

        """
        rooms = embedded.rooms
        if not isinstance(rooms, Embedding):
            raise BadOpening("there are no time series here: open it with roost.open")
        desk = rooms.inside("series")
        assert isinstance(desk, SeriesDesk), "it has what stands there"
        self._embedded = embedded
        self._desk = desk
        self._timeout_s = timeout_s

    async def stream(self) -> "Stream":
        """Begin a request of points.

        Raises:
            SeriesRefused: it is not taken.
            Closed, SeriesUnavailable: nobody is there to take it.

        """
        self._embedded.check()
        inside = await self._desk.inside()
        found = Stream(self._timeout_s)
        request = _request("POST", "/series/append", headers=COLUMNS)
        answer = await inside.flow(request, found.body())
        if isinstance(answer, Answered):
            raise refusal_of(answer.status, answer.body)
        found.begin(self._desk.start_inside(found.carry(answer)))
        return found

    def leave(self) -> None:
        """There is nobody else."""

    async def ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        """The whole answer to a request.

        Raises:
            SeriesRefused: it was refused.
            OutcomeUnknown: nothing came in time.
            Closed, SeriesUnavailable: nobody is there to answer.

        """
        self._embedded.check()
        inside = await self._desk.inside()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await inside.answer(_request(method, target, body))
                whole = (
                    answer.body
                    if isinstance(answer, Answered)
                    else b"".join([it async for it in answer.pieces])
                )
        except TimeoutError as error:
            raise _late(self._timeout_s) from error
        if answer.status not in (200, 202, 204):
            raise refusal_of(answer.status, whole)
        return whole

    async def ask_json(self, method: str, target: str, value: Any = None) -> dict[str, Any]:
        """The answer to a request, both JSON.

        Raises:
            RoostError: as `ask`.

        """
        body = b"" if value is None else msgspec.json.encode(value)
        return decoded(await self.ask(method, target, body))

    async def lines(self, target: str) -> AsyncGenerator[bytes, None]:
        """Lines of an answer that has no end, as they come.

        Raises:
            SeriesRefused: it was refused.
            Closed, SeriesUnavailable: nobody is there to answer, or no more.

        """
        self._embedded.check()
        inside = await self._desk.inside()
        answer = await inside.answer(_request("GET", target))
        if isinstance(answer, Answered):
            raise refusal_of(answer.status, answer.body)
        try:
            async for line in answer.pieces:
                yield line
        finally:
            answer.close()
        self._embedded.check()

    async def pieces(self, target: str) -> AsyncGenerator[bytes, None]:
        """An answer of any length, as it comes.

        Raises:
            RoostError: as `ask`; the time is that for each piece.

        """
        self._embedded.check()
        inside = await self._desk.inside()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await inside.answer(_request("GET", target))
            if isinstance(answer, Answered):
                raise refusal_of(answer.status, answer.body)
            pieces = aiter(answer.pieces)
            try:
                while True:
                    async with asyncio.timeout(self._timeout_s):
                        piece = await anext(pieces, b"")
                    if not piece:
                        return
                    yield piece
            finally:
                answer.close()
        except TimeoutError as error:
            raise _late(self._timeout_s) from error

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a question.

        Raises:
            RoostError: as `ask`.

        """
        self._embedded.check()
        inside = await self._desk.inside()
        from roost.series.asked import refusal

        tables: dict[str, Table] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                async for page in await inside.pages(_request("GET", asked.target())):
                    for part in page:
                        _add(tables, part)
        except TimeoutError as error:
            raise _late(self._timeout_s) from error
        except Closed:
            raise
        except RoostError as error:
            said = refusal(error)
            raise refusal_of(said.status, said.body) from error
        return Answer(list(tables.values()))


class Stream:
    """One request of points; see `client.series.ways.Stream`."""

    status = 200

    def __init__(self, timeout_s: float) -> None:
        """Nothing was sent."""
        self._timeout_s = timeout_s
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(PIECES_MAX)
        self._lines: asyncio.Queue[bytes | RoostError] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def begin(self, task: "asyncio.Task[None]") -> None:
        """`task` carries what is answered; at its end there is nothing more to hear."""
        self._task = task
        task.add_done_callback(lambda _: self._lines.put_nowait(b""))

    async def body(self) -> AsyncIterator[bytes]:
        """What is sent; it has no end: whoever sends no more closes."""
        while True:
            yield await self._frames.get()

    async def carry(self, answer: Streaming) -> None:
        """Take what is answered."""
        try:
            async for line in answer.pieces:
                self._lines.put_nowait(line)
        except RoostError as error:
            self._lines.put_nowait(error)  # whoever hears raises it
        finally:
            answer.close()

    async def send(self, data: bytes) -> None:
        """Send more frames.

        Raises:
            TimeoutError: they are not taken.

        """
        async with asyncio.timeout(self._timeout_s):
            await self._frames.put(data)

    async def line(self) -> bytes:
        """The next line that is answered; empty at the end.

        Raises:
            TimeoutError: it does not come.
            RoostError: something has ended it that is no answer.

        """
        async with asyncio.timeout(self._timeout_s):
            found = await self._lines.get()
        if isinstance(found, RoostError):
            raise found
        return found

    def close(self) -> None:
        """End without waiting for anything."""
        if self._task is not None:
            self._task.cancel()


def _late(timeout_s: float) -> OutcomeUnknown:
    return OutcomeUnknown("UNKNOWN", f"no whole answer came within {timeout_s:g} s")


def _add(tables: dict[str, Table], part: "Part") -> None:
    """Put rows of a page below those that are there."""
    from roost.series.parts import numbers
    from roost.series.spelling import series_text

    name = series_text(part.name, part.labels)
    table = tables.get(name)
    if table is None:
        labels = {it.key: it.value for it in part.labels}
        table = tables[name] = Table(name, labels, [], {it: [] for it in part.columns})
    table.times.extend(part.times.tolist())
    for column, values in dict(zip(part.columns, part.values, strict=True)).items():
        table.columns[column].extend(numbers(column, values))
