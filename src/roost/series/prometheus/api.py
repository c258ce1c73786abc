"""Prometheus' HTTP API: queries of PromQL, and what series and labels there are.

A query is parsed, its leaves are read in slices on the loop (`loading`), and what is left is
computed on a thread (`evaluating`).  QUERIES_MAX of them go on at a time, for each may hold some
tens of megabytes; WAITING_MAX wait for their turn, and whoever comes then is told to come again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from roost.errors import Overloaded, RoostError
from roost.exchange import Answer, Request, Streaming, not_allowed, not_found
from roost.series.describing import METRICS_MAX, Described
from roost.series.engine import Engine
from roost.series.extra import Floats, Ints, np
from roost.series.prometheus.answers import (
    Points,
    failure,
    matrix_rows,
    moments,
    point_rows,
    scalar,
    streamed,
    success,
    vector_rows,
)
from roost.series.prometheus.asked import Asked, asked_of
from roost.series.prometheus.cataloguing import CUT, Cataloguing
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.loading import Budget, Loading, spans_of
from roost.series.prometheus.parsing import parsed
from roost.series.prometheus.plan import Aggregate, Leaf, Plan, Text
from roost.series.prometheus.ranges import is_stale, windows_of
from roost.series.prometheus.subqueries import value_of
from roost.series.prometheus.vectors import Vector

QUERIES_MAX, WAITING_MAX = 2, 64
TIMEOUT_S = 30.0
# How long a point is the newest one, unless a query says otherwise.
LOOKBACK_NS = 300 * 10**9
# What a member says it is: the language is that of Prometheus 3, as far as it goes.
BUILD = {
    "version": "3.0.0",
    "revision": "roost",
    "branch": "",
    "buildUser": "",
    "buildDate": "",
    "goVersion": "",
}
PREFIX = "/api/v1/"


class Api:
    """Answers those who ask in PromQL."""

    def __init__(self, engine: Engine) -> None:
        """Ask `engine`."""
        self._engine = engine
        self._cataloguing = Cataloguing(engine)
        self._places = asyncio.Semaphore(QUERIES_MAX)
        self._waiting_count = 0
        self.query_count = self.failed_count = 0

    @property
    def waiting_count(self) -> int:
        """How many queries wait for their turn."""
        return self._waiting_count

    async def answer(self, request: Request, path: str) -> Answer | Streaming:
        """Answer a request to a path behind PREFIX."""
        if request.method not in ("GET", "HEAD", "POST"):
            return not_allowed("GET", "POST")
        try:
            return await self._answer(asked_of(request, self._engine.now_ns()), path)
        except RoostError as error:
            self.failed_count += 1
            return failure(error)

    async def _answer(self, asked: Asked, path: str) -> Answer | Streaming:
        match path.split("/"):
            case ["query"]:
                return await self._instant(asked)
            case ["query_range"]:
                return await self._range(asked)
            case ["labels"]:
                return await self._cataloguing.names(asked)
            case ["label", name, "values"]:
                return await self._cataloguing.values(asked, name)
            case ["series"]:
                return await self._cataloguing.series(asked)
            case ["metadata"]:
                return await self._metadata(asked)
            case ["status", "buildinfo"]:
                return success(BUILD)
        return not_found()

    async def _instant(self, asked: Asked) -> Answer | Streaming:
        moment = asked.moment("time", self._engine.now_ns())
        steps = np.array([moment], np.int64)
        lookback_ns = asked.duration("lookback_delta", LOOKBACK_NS)
        plan = parsed(asked.text("query"), lookback_ns, (moment, moment))
        (shown,) = moments(steps)
        async with self._turn(asked) as budget:
            if isinstance(plan, Leaf) and plan.is_raw:
                return streamed("matrix", point_rows(await self._points(plan, steps, budget)))
            value = await value_of(plan, self._engine, steps, budget)
        if isinstance(value, Vector):
            return streamed("vector", vector_rows(_in_order(plan, value), shown))
        return scalar(shown, value if isinstance(value, str) else float(value[0]))

    async def _metadata(self, asked: Asked) -> Answer:
        """What is said of metrics, as this member knows it; Prometheus has a list of each."""
        limit = asked.limit(METRICS_MAX)
        found: dict[str, Described] = {}
        async for name, it in self._engine.descriptions(asked.text("metric").encode()):
            if len(found) == limit:
                return success(_metrics(found), (CUT,))
            found[name.decode()] = it
        return success(_metrics(found))

    async def _range(self, asked: Asked) -> Answer | Streaming:
        steps = asked.steps()
        lookback_ns = asked.duration("lookback_delta", LOOKBACK_NS)
        span = asked.moment("start"), asked.moment("end")
        plan = parsed(asked.text("query"), lookback_ns, span)
        if isinstance(plan, Text) or (isinstance(plan, Leaf) and plan.is_raw):
            kind = "string" if isinstance(plan, Text) else "range vector"
            raise BadQuery(f'invalid expression type "{kind}" for range query, must be Scalar or '
                           "instant Vector")  # fmt: skip
        async with self._turn(asked) as budget:
            value = await value_of(plan, self._engine, steps, budget)
        assert not isinstance(value, str), "a string is refused above"
        vector = value if isinstance(value, Vector) else _as_vector(value)
        return streamed("matrix", matrix_rows(vector, steps))

    @asynccontextmanager
    async def _turn(self, asked: Asked) -> AsyncGenerator[Budget]:
        """A place among those that are answered."""
        timeout_s = min(asked.duration("timeout", int(TIMEOUT_S * 1e9)) / 1e9, TIMEOUT_S)
        budget = Budget(self._engine.clock_s, timeout_s)
        if self._waiting_count >= WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX} queries wait already: come again")
        self._waiting_count += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting_count -= 1
        try:
            budget.look()
            self.query_count += 1
            yield budget
        finally:
            self._places.release()

    async def _points(self, leaf: Leaf, steps: Ints, budget: Budget) -> list[Points]:
        """The points of a window, as they are; stale markers are none."""
        loading = Loading(self._engine, steps, budget)
        if leaf.at_ns is not None:
            steps = np.array([leaf.at_ns], np.int64)
        spans = spans_of(windows_of(steps, leaf.range_ns, leaf.offset_ns))
        found = []
        for sid, labels in sorted((await loading.series(leaf.matchers)).items(),
                                  key=lambda it: it[1]):  # fmt: skip
            async with self._engine.reading() as reading:
                content = await reading.content(sid)
                if content is None:
                    continue
                table = await loading.points(content, spans)
            table = table.at(~is_stale(table.values))
            budget.take_cells(len(table))
            if len(table):
                found.append(Points(labels, table.times, table.values))
        return found


def _as_vector(value: Floats) -> Vector:
    """A number as a series without labels."""
    return Vector([()], value.reshape(1, -1), np.ones((1, len(value)), np.bool_))


def _in_order(plan: Plan, vector: Vector) -> Vector:
    """Series by their labels; or by their numbers, where those are what was asked for."""
    if isinstance(plan, Aggregate) and plan.name in ("topk", "bottomk"):
        last = vector.values[:, 0] if plan.name == "bottomk" else -vector.values[:, 0]
        return vector.at(np.lexsort((last, np.isnan(last))))
    if getattr(plan, "name", "") in ("sort", "sort_desc"):
        return vector
    order = sorted(range(len(vector)), key=vector.labels.__getitem__)
    return vector.at(np.array(order, np.int64))


def _metrics(found: dict[str, Described]) -> dict[str, list[dict[str, str]]]:
    return {
        name: [{"type": it.type, "help": it.help, "unit": it.unit}] for name, it in found.items()
    }
