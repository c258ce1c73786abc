"""Time series over HTTP: which request is answered by whom (docs/reference/series.md).

Whoever carries requests gives whole ones to `answer`, and those whose body is a stream to `flow`;
`is_streamed` says which is which, by the path.  `admit` says who may: it is asked once a request,
whether to read or to write, and raises a refusal that has a code of gRPC's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import copy
from typing import TYPE_CHECKING, Self

from roost.call import Caller
from roost.errors import RoostError
from roost.exchange import Answer, Request, Streaming, not_allowed, not_found
from roost.series.asked import Parameters, parameters, path_of, refusal, said
from roost.series.asking import Asking
from roost.series.driving import Driver
from roost.series.engine import Engine
from roost.series.errors import SeriesUnavailable
from roost.series.intake import Intake
from roost.series.queries import Part
from roost.series.writing import Writing

if TYPE_CHECKING:
    from roost.series.prometheus import Prometheus

# (who asks, whether to write): returns when he may, and raises a refusal when he may not.
Admit = Callable[[Caller, bool], Awaitable[None]]
APPEND, PROMETHEUS = b"/series/append", "/api/v1/"
# Words of InfluxDB's clients that say nothing here: a database is a member's one.
_LINE_WORDS = ("db", "bucket", "org", "orgID", "rp", "consistency", "u", "p")
_READS = ("GET", "HEAD")


async def _everybody(_caller: Caller, _writes: bool) -> None:  # noqa: FBT001 - as it is called
    """All may do everything."""


def is_streamed(path: bytes) -> bool:
    """Whether the body of a request to a path is taken as it comes."""
    return path == APPEND


class Interface:
    """Time series of one member, as its clients ask for them."""

    def __init__(self, engine: Engine, admit: Admit) -> None:
        """Stand on `engine`."""
        self.engine = engine
        self.intake = Intake(engine)
        self.driver = Driver(engine)
        self._admit = admit
        self._writing = Writing(engine, self.intake)
        self._asking = Asking(engine)
        self._loading = asyncio.Lock()
        self._prometheus: Prometheus | None = None

    async def close(self) -> None:
        """Take no more points."""
        await self.intake.close()

    def for_all(self) -> Self:
        """The same, for a program whose member this is: it may do everything."""
        found = copy(self)
        found._admit = _everybody  # noqa: SLF001 - our own
        return found

    async def pages(self, request: Request) -> AsyncIterator[list[Part]]:
        """What `GET /series/query` answers, as columns; see `queries.run`.

        Raises:
            RoostError: there is no answer.

        """
        await self._admit(request.caller, False)
        return await self._asking.pages(parameters(request, self.engine.now_ns()))

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer a whole request."""
        try:
            path = path_of(request)
            if path.startswith(PROMETHEUS):
                return await self._for_prometheus(request, path.removeprefix(PROMETHEUS))
            asked = parameters(request, self.engine.now_ns())
            if path in ("/write", "/api/v2/write"):
                return await self._lines(request, asked)
            if path == "/ping":
                return Answer(204, b"", ((b"x-influxdb-version", b"1.8.10"),))
            if not path.startswith("/series"):
                return not_found()
            await self._admit(request.caller, request.method not in _READS)
            return await self._series(request, path.removeprefix("/series"), asked)
        except RoostError as error:
            return refusal(error)

    async def flow(self, request: Request, body: AsyncIterator[bytes]) -> Answer | Streaming:
        """Answer a request whose body comes while it is answered."""
        try:
            if request.method != "POST":
                return not_allowed("POST")
            await self._admit(request.caller, True)
            asked = parameters(request, self.engine.now_ns())
            return await self._writing.stream(request, asked, body)
        except RoostError as error:
            return refusal(error)

    async def _for_prometheus(self, request: Request, path: str) -> Answer | Streaming:
        """Answer what Prometheus and its clients ask, by packages that are loaded for it."""
        async with self._loading:
            if self._prometheus is None:
                try:
                    kind = await self.engine.aside(_prometheus)
                except SeriesUnavailable as error:
                    return said(501, {"error": "unavailable", "message": str(error)})
                self._prometheus = kind(self.engine, self.intake)
        return await self._prometheus.answer(request, path, self._admit)

    def counts(self) -> dict[str, int]:
        """What this member has done, for figures."""
        found = {
            "points": self.intake.point_count,
            "records": self.intake.record_count,
            "slices": self.driver.slice_count,
        }
        return found if self._prometheus is None else {**found, **self._prometheus.counts()}

    async def _lines(self, request: Request, asked: Parameters) -> Answer:
        if request.method != "POST":
            return not_allowed("POST")
        await self._admit(request.caller, True)
        for word in _LINE_WORDS:
            asked.text(word)
        asked.unit()
        asked.check()
        return await self._writing.lines(request, asked)

    async def _series(self, request: Request, path: str, asked: Parameters) -> Answer | Streaming:
        match (request.method, path):
            case ("GET" | "HEAD", "" | "/"):
                return await self._asking.series(request, asked)
            case ("GET" | "HEAD", "/query"):
                return await self._asking.query(request, asked)
            case ("GET" | "HEAD", "/last"):
                return await self._asking.last(request, asked)
            case ("GET", "/tail"):
                return await self._asking.tail(asked)
            case ("GET" | "HEAD", "/retention"):
                return await self._asking.rules()
            case ("GET" | "HEAD", "/jobs"):
                return await self._asking.jobs()
            case ("GET" | "HEAD", "/stats"):
                return await self._statistics()
            case ("PUT", "/retention"):
                return await self._writing.keep(request)
            case ("POST", "/tags"):
                return await self._writing.tags(request)
            case ("GET" | "HEAD", "/notes"):
                return await self._asking.notes()
            case ("PUT", "/notes"):
                return await self._writing.note(request)
            case ("PUT", "/dedup"):
                return await self._writing.dedup(request)
            case ("DELETE", "/points"):
                return await self._writing.delete_points(asked)
            case ("DELETE", _) if path.startswith("/jobs/"):
                return await self._writing.cancel_job(path.removeprefix("/jobs/"))
            case ("DELETE", _) if path.startswith("/") and len(path) > 1:
                return await self._writing.delete_series(path[1:])
        allowed = {
            "": ("GET",), "/query": ("GET",), "/last": ("GET",), "/retention": ("GET", "PUT"),
            "/tail": ("GET",), "/tags": ("POST",), "/points": ("DELETE",), "/stats": ("GET",),
            "/jobs": ("GET",), "/dedup": ("PUT",), "/notes": ("GET", "PUT"),
        }.get(path)  # fmt: skip
        return not_found() if allowed is None else not_allowed(*allowed)

    async def _statistics(self) -> Answer:
        """How far staging and sealing are, and what this member has done for it."""
        head = await self.engine.head()
        frozen = head.frozen
        return said(
            200,
            {
                "staged_points": head.active.point_count,
                "staged_records": head.active.record_count,
                "frozen_points": 0 if frozen is None else frozen.point_count,
                "series_made": head.next_sid - 1,
                "appended_points": self.intake.point_count,
                "appended_records": self.intake.record_count,
                "sealed_slices": self.driver.slice_count,
                "is_leader": self.engine.is_leader,
            },
        )


def _prometheus() -> "type[Prometheus]":
    """Load it; on a thread."""
    from roost.series.prometheus import Prometheus

    return Prometheus
