"""Time series of a served member: loaded when they are used, driven, and asked for.

numpy and what is built on it take 30 MB and a part of a second, so whoever does not use time series
does not load them.  They are loaded, on a thread, by the first of these: a request for them here,
an operation of theirs that another member asks this one to run, or rows of theirs in its trees.
Without the extra `roost[series]` there is nothing to load: requests are told so.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from roost.call import Caller
from roost.database.aio import Database
from roost.database.model import Replica
from roost.exchange import JSON, Answer, Request, Streaming
from roost.faces import Closed
from roost.figures import Figure, read_all
from roost.server.models.model import Attached, DataModel, Ground, Page, StreamPage
from roost.server.models.series_endpoints import ENDPOINTS
from roost.store import CATALOG_ID
from roost.tasks import Tasks

if TYPE_CHECKING:
    from roost.series.engine import Engine
    from roost.series.interface import Interface

logger = logging.getLogger(__name__)
# What their operations and their first tree are called; nothing of them is loaded for that.
OPERATIONS_PREFIX, FIRST_TREE = "roost.series_", b"series.head"
PATHS = (
    "/series", "/series/{rest:path}", "/write", "/api/v2/write", "/ping", "/api/v1/{rest:path}",
)  # fmt: skip
STREAMED_PATH = "/series/append"
# A body of points, as it comes, and the keys whose rights whoever sends or asks for points has.
BODY_BYTES_MAX = 8 << 20
KEYS = (b"series/", b"series0")
Admit = Callable[[Caller, bool], Awaitable[None]]


class SeriesDesk:
    """Time series of one member, there or not yet."""

    def __init__(self, db: Database, replica: Replica, admit: Admit) -> None:
        """Nothing is loaded; `admit` says who may read, and write."""
        self._admit = admit
        self._db = db
        self._replica = replica
        self._interface: Interface | None = None
        self._why_not = ""
        self._wanted = asyncio.Event()
        self._loading = asyncio.Lock()
        self._tasks = Tasks()

    async def start(self) -> None:
        """Hear of their first tree, and drive what is there."""
        self._replica.observe(lambda _index, _changes: self._look(), (CATALOG_ID,))
        self._replica.observe_switch(lambda: self._look)
        self._look()
        self._tasks.start(self._drive())

    def _look(self) -> None:
        """Whether somebody uses them: by rows that were written elsewhere."""
        if self._replica.view.has(CATALOG_ID, FIRST_TREE):
            self._wanted.set()

    def on_unknown(self, name: str) -> None:
        """Another member has asked this one to run an operation that it does not know."""
        if name.startswith(OPERATIONS_PREFIX):
            self._wanted.set()

    async def stop(self) -> None:
        """Drive no more, and take no more points."""
        if self._interface is not None:
            await self._interface.close()
        await self._tasks.close()

    def count(self, name: str) -> int:
        """How often something was done; nothing was, before they are loaded."""
        return 0 if self._interface is None else self._interface.counts().get(name, 0)

    @property
    def is_loaded(self) -> bool:
        """Whether they are there."""
        return self._interface is not None

    async def inside(self) -> "Interface":
        """What answers a program in this process, to which everything is allowed.

        Raises:
            SeriesUnavailable: packages that they need are not installed.

        """
        found = await self._load()
        if found is None:
            from roost.series.errors import SeriesUnavailable

            raise SeriesUnavailable(self._why_not)
        return found.for_all()

    def start_inside(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run what such a program has begun; it ends with this desk, at the latest."""
        return self._tasks.start(work)

    async def _drive(self) -> None:
        with suppress(Closed):  # a database that is closed has nothing to drive
            await self._drive_when_wanted()

    async def _drive_when_wanted(self) -> None:
        await self._wanted.wait()
        interface = await self._load()
        if interface is None:
            logger.warning("there are time series here that this member cannot serve, or make "
                           "smaller when it leads: %s", self._why_not)  # fmt: skip
            return
        await interface.driver.run()

    async def _load(self) -> "Interface | None":
        """What answers, loaded when it is not there; None when it cannot be."""
        async with self._loading:
            if self._interface is None and not self._why_not:
                await self._import()
            self._wanted.set()
        return self._interface

    async def _import(self) -> None:
        try:
            engine, interface = await self._db.host.aside(_modules)
        except ImportError as error:
            self._why_not = str(error)
        else:
            self._interface = interface(engine(self._db), self._admit)

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer a whole request."""
        interface = await self._load()
        return self._no_answer() if interface is None else await interface.answer(request)

    async def flow(self, request: Request, body: AsyncIterator[bytes]) -> Answer | Streaming:
        """Answer one whose body is a stream."""
        interface = await self._load()
        return self._no_answer() if interface is None else await interface.flow(request, body)

    def _no_answer(self) -> Answer:
        value = {"error": "unavailable", "code": "unavailable", "message": self._why_not}
        return Answer(501, msgspec.json.encode(value) + b"\n", (JSON,))


def _of(name: str) -> Callable[[SeriesDesk], int]:
    return lambda desk: desk.count(name)


FIGURES: tuple[Figure[SeriesDesk], ...] = (
    Figure(
        "roost_series_points_total",
        "counter",
        "Points of time series that came in at this member and are durable.",
        _of("points"),
    ),
    Figure(
        "roost_series_records_total",
        "counter",
        "Records in the log that these points came to.",
        _of("records"),
    ),
    Figure(
        "roost_series_sealed_slices_total",
        "counter",
        "Slices of staged points that this member has made into blocks.",
        _of("slices"),
    ),
    Figure(
        "roost_prometheus_samples_total",
        "counter",
        "Samples of Prometheus' remote write that were read, with those that were not taken.",
        _of("samples"),
    ),
    Figure(
        "roost_prometheus_samples_refused_total",
        "counter",
        "Samples of remote write that can never be taken: bad labels or times, native histograms.",
        _of("samples_refused"),
    ),
    Figure(
        "roost_prometheus_descriptions_left_out_total",
        "counter",
        "What remote write said of metrics and describes none: no name, a long one, no UTF-8.",
        _of("descriptions_left_out"),
    ),
    Figure(
        "roost_prometheus_queries_total",
        "counter",
        "Queries of PromQL that were begun.",
        _of("queries"),
    ),
    Figure(
        "roost_prometheus_queries_failed_total",
        "counter",
        "Requests to Prometheus' HTTP API that were answered with an error.",
        _of("queries_failed"),
    ),
    Figure(
        "roost_prometheus_queries_waiting",
        "gauge",
        "Queries of PromQL that wait for their turn.",
        _of("queries_waiting"),
    ),
)


def _modules() -> "tuple[type[Engine], type[Interface]]":
    """Load them; on a thread."""
    from roost.series.engine import Engine
    from roost.series.interface import Interface

    return Engine, Interface


def _attach(ground: Ground) -> Attached:
    async def admit(caller: Caller, writes: bool) -> None:  # noqa: FBT001 - one of two
        await ground.gate.admit(caller, *KEYS, writes)

    desk = SeriesDesk(ground.database(), ground.member, admit)
    ground.embedded.runner.on_unknown = desk.on_unknown
    return Attached(
        start=desk.start,
        close=desk.stop,
        pages=[Page(path=it, answer=desk.answer, body_bytes_max=BODY_BYTES_MAX) for it in PATHS],
        streams=[StreamPage(path=STREAMED_PATH, answer=desk.flow)],
        endpoints=ENDPOINTS,
        collect=lambda: read_all(FIGURES, desk),
        inside=desk,
    )


SERIES = DataModel(name="series", attach=_attach, figures=FIGURES)
