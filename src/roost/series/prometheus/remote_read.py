"""Prometheus' remote read: points of the series that matchers mean, as they are.

The answer is a `ReadResponse` with samples; chunks, which newer ones can take as well, are not
made.  A moment is a millisecond: of several points in one the last is told.  Both ends of a
range are in it.  Stale markers are told as they are, as Prometheus expects it.

What is bounded of one request: queries, series of each, samples of all, bytes of the answer.
"""

import asyncio
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from roost.errors import RoostError
from roost.exchange import Answer, Request
from roost.proto import prometheus_pb2 as pb
from roost.series.engine import Engine
from roost.series.extra import Floats, Ints, np
from roost.series.prometheus.answers import failure
from roost.series.prometheus.asked import MILLISECOND_NS
from roost.series.prometheus.errors import BadQuery, QueryTooLarge
from roost.series.prometheus.loading import Budget, Loading
from roost.series.prometheus.packing import pack, packed_kind, unpacked
from roost.series.prometheus.plan import Matcher, MatchKind
from roost.series.prometheus.remote_write import FIRST_MS, LAST_MS
from roost.series.prometheus.vectors import Labels
from roost.series.queries import PAGE_SERIES
from roost.series.tables import Table

QUERIES_MAX, SAMPLES_MAX = 16, 1_000_000
TIMEOUT_S = 60.0
SAMPLES = 0
# Samples that are encoded in one turn.
STEP_SAMPLES = 2000


class RemoteRead:
    """Answers what Prometheus reads."""

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`."""
        self._engine = engine

    async def answer(self, request: Request) -> Answer:
        """Answer a request."""
        try:
            packed_kind(request)
            asked = parsed(await unpacked(self._engine, request))
            found = pb.ReadResponse()
            budget = Budget(self._engine.clock_s, TIMEOUT_S)
            left = SAMPLES_MAX
            for query in asked.queries:
                result = pb.QueryResult()
                left = await self._read(query, budget, result, left)
                found.results.append(result.SerializeToString())
            body = await self._engine.aside(lambda: pack(found.SerializeToString()))
        except RoostError as error:
            return failure(error)
        headers = ((b"content-type", b"application/x-protobuf"), (b"content-encoding", b"snappy"))
        return Answer(200, body, headers)

    async def _read(
        self, query: pb.Query, budget: Budget, result: pb.QueryResult, left: int
    ) -> int:
        """Read what one query asks for; how many samples there may still be."""
        start = max(query.start_timestamp_ms, FIRST_MS) * MILLISECOND_NS
        stop = (min(query.end_timestamp_ms, LAST_MS) + 1) * MILLISECOND_NS
        if start >= stop:
            return left
        loading = Loading(self._engine, np.empty(0, np.int64), budget)
        series = await loading.series(matchers_of(query))
        ordered = sorted(series.items(), key=lambda it: it[1])
        for begin in range(0, len(ordered), PAGE_SERIES):
            page: list[tuple[Labels, Table]] = []
            async with self._engine.reading() as reading:
                for sid, labels in ordered[begin : begin + PAGE_SERIES]:
                    content = await reading.content(sid)
                    if content is not None:
                        page.append((labels, await loading.points(content, [(start, stop)])))
                        left -= len(page[-1][1])
                        if left < 0:
                            raise QueryTooLarge(f"more than {SAMPLES_MAX} samples: ask for less")
            for labels, table in page:
                if len(table):
                    result.timeseries.append(await _encoded(labels, table))
        return left


def parsed(data: bytes) -> pb.ReadRequest:
    """A request.

    Raises:
        BadQuery: it is none, or wants what is not made.

    """
    try:
        asked = pb.ReadRequest.FromString(data)
    except DecodeError as error:
        raise BadQuery(f"the body is no ReadRequest: {error}") from error
    if len(asked.queries) > QUERIES_MAX:
        raise BadQuery(f"{len(asked.queries)} queries at once: {QUERIES_MAX} are the most")
    if asked.accepted_response_types and SAMPLES not in asked.accepted_response_types:
        raise BadQuery("only answers with samples are made: accept SAMPLES, too")
    return asked


def matchers_of(query: pb.Query) -> list[Matcher]:
    """What a query matches.

    Raises:
        BadQuery: a matcher is none.

    """
    try:
        return [Matcher(it.name, MatchKind(it.type), it.value) for it in query.matchers]
    except ValueError as error:
        raise BadQuery(f"a matcher is none: {error}") from error


def by_milliseconds(table: Table) -> tuple[Ints, Floats]:
    """Points as samples: of those of one millisecond the last."""
    times = table.times // MILLISECOND_NS
    is_last = np.append(times[1:] != times[:-1], True)
    return times[is_last], table.values[is_last]


async def _encoded(labels: Labels, table: Table) -> bytes:
    times, values = by_milliseconds(table)
    pieces = [
        pb.Read(
            labels=[pb.Label(name=name.encode(), value=value.encode()) for name, value in labels]
        ).SerializeToString()
    ]
    for begin in range(0, len(times), STEP_SAMPLES):
        chosen = slice(begin, begin + STEP_SAMPLES)
        pieces.append(samples(times[chosen].tolist(), values[chosen].tolist()))
        await asyncio.sleep(0)
    # A message is the fields of its parts, one after the other.
    return b"".join(pieces)


def samples(times: Sequence[int], values: Sequence[float]) -> bytes:
    """Samples of a series, as a part of it."""
    part = pb.Read()
    add = part.samples.add
    for time, value in zip(times, values, strict=True):
        add(timestamp=time, value=value)
    return part.SerializeToString()
