"""What the leaves of a query read: points of their series, made into a number a step at once.

A series' points are dropped when its row of the vector is made, so a query holds as many cells, a
series and a step each, as its answer needs, and the points of a page of series besides.  Series are
read in pages of one state each, as all questions are (docs/decisions/0024): few states can be held.

What is bounded of one query, and then it is refused by name: series of a leaf
(`queries.SERIES_MAX`), cells CELLS_MAX, points of one series HELD_POINTS_MAX, points and rows that
are decoded READ_MAX, and time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roost.series.content import Content
from roost.series.engine import Engine
from roost.series.extra import Ints, np
from roost.series.levels import QUARTER_NS
from roost.series.prometheus.errors import QueryTimeout, QueryTooLarge
from roost.series.prometheus.matching import chosen, matching
from roost.series.prometheus.plan import Leaf, Matcher
from roost.series.prometheus.ranges import (
    KEEPS_NAME,
    OF_SUMS,
    Windows,
    over,
    over_sums,
    windows_of,
)
from roost.series.prometheus.vectors import Labels, Vector, united, unnamed
from roost.series.queries import PAGE_SERIES
from roost.series.summaries import COLUMN_COUNT
from roost.series.tables import TIME_MIN, Ranges, Table, joined

CELLS_MAX = 2_000_000
HELD_POINTS_MAX, READ_MAX = 2_000_000, 20_000_000
# Points of a page of series; what is less than that is computed on the loop, a millisecond or two.
PAGE_POINTS, ASIDE_CELLS = 200_000, 4096
# Between two windows as far apart as that, points are not read.
GAP_NS = 3600 * 10**9


class Budget:
    """What one query may still do."""

    def __init__(self, clock_s: Callable[[], float], timeout_s: float) -> None:
        """All is left, and so much time."""
        self._clock_s = clock_s
        self._timeout_s = timeout_s
        self._stop_s = clock_s() + timeout_s
        self._cells, self._read = CELLS_MAX, READ_MAX

    def look(self) -> None:
        """Refuse to go on when the time is over.

        Raises:
            QueryTimeout: it is.

        """
        if self._clock_s() >= self._stop_s:
            raise QueryTimeout(f"the query took longer than {self._timeout_s:g} s: ask for less")

    def take_cells(self, count: int) -> None:
        """So many cells are made.

        Raises:
            QueryTooLarge: they are too many.

        """
        self._cells -= count
        if self._cells < 0:
            raise QueryTooLarge(
                f"more than {CELLS_MAX} numbers, series times steps: more labels, or a longer step"
            )

    def take_read(self, count: int) -> None:
        """So many points or rows were decoded.

        Raises:
            QueryTooLarge: they are too many.

        """
        self._read -= count
        if self._read < 0:
            raise QueryTooLarge(f"more than {READ_MAX} points to read: ask for a shorter time, or "
                                "fewer series")  # fmt: skip
        self.look()


def _edges(windows: Windows) -> tuple[Ints, Ints]:
    """Of each window its first time, and the first one behind it."""
    begins: Ints = np.maximum(windows.starts + 1, TIME_MIN)
    ends: Ints = np.maximum(windows.stops + 1, TIME_MIN)
    return begins, ends


@dataclass(frozen=True, slots=True)
class Cuts:
    """Windows cut where any of them begins or ends; window i is parts `lows[i]` to `highs[i]`."""

    parts: Ranges
    lows: Ints
    highs: Ints


def cuts_of(windows: Windows) -> Cuts:
    """Windows as parts that do not lie in each other."""
    begins, ends = _edges(windows)
    edges = np.unique(np.concatenate((begins, ends)))
    starts, stops = edges[:-1], edges[1:]
    latest = np.searchsorted(begins, starts, side="right") - 1
    kept = starts < ends[latest]
    parts = Ranges(starts[kept], stops[kept])
    lows, highs = np.searchsorted(parts.starts, begins), np.searchsorted(parts.starts, ends)
    return Cuts(parts, lows, highs)


def is_of_sums(leaf: Leaf, steps: Ints) -> bool:
    """Whether rows that sum up quarters of an hour and more can answer it."""
    step = int(steps[1] - steps[0]) if len(steps) > 1 else QUARTER_NS
    return leaf.function in OF_SUMS and min(step, leaf.range_ns) >= QUARTER_NS


class Loading:
    """Reads for one query."""

    def __init__(self, engine: Engine, steps: Ints, budget: Budget) -> None:
        """Read as far as `budget` goes."""
        self._engine = engine
        self._steps = steps
        self._budget = budget

    async def vector(self, leaf: Leaf) -> Vector:
        """What a leaf comes to.

        Raises:
            BadQuery, QueryTooLarge, QueryTimeout: it has no answer.
            QueryFailed: two series are the same without their names.
            RoostError: as `Engine.reading`.

        """
        series = await self.series(leaf.matchers)
        self._budget.take_cells(len(series) * len(self._steps))
        steps = self._steps if leaf.at_ns is None else np.array([leaf.at_ns], np.int64)
        shape = len(series), len(steps)
        sids, labels = list(series), list(series.values())
        values, is_there = np.full(shape, np.nan), np.zeros(shape, np.bool_)
        windows = windows_of(steps, leaf.range_ns, leaf.offset_ns)
        cuts = cuts_of(windows) if is_of_sums(leaf, steps) else None
        begin = 0
        while begin < len(sids):
            page = await self._page(sids[begin : begin + PAGE_SERIES], windows, cuts)

            def compute(page: Sequence[Table] = page, begin: int = begin) -> None:
                for place, table in enumerate(page, begin):
                    if cuts is None:
                        found = over(leaf.function, table, windows, leaf.parameter)
                    else:
                        lows, highs = np.searchsorted(table.times, (cuts.lows, cuts.highs))
                        found = over_sums(leaf.function, table, lows, highs)
                    values[place], is_there[place] = found

            if sum(map(len, page)) + len(page) * shape[1] > ASIDE_CELLS:
                await self._engine.aside(compute)
            else:
                compute()
            begin += len(page)
            self._budget.look()
        found = Vector(labels, values, is_there)
        return named(leaf.function, found if leaf.at_ns is None else found.at_all(self._steps))

    async def series(self, matchers: Sequence[Matcher]) -> dict[int, Labels]:
        """The series that matchers mean, by their numbers.

        Raises:
            BadQuery, QueryTooLarge: they are none, or too many.

        """
        wanted = matching(matchers)
        async with self._engine.reading() as reading:
            return await chosen(reading, wanted)

    async def _page(self, sids: Sequence[int], windows: Windows, cuts: Cuts | None) -> list[Table]:
        """Points of some series, or rows of parts; of fewer series when they have many points."""
        found: list[Table] = []
        count = 0
        spans = spans_of(windows)
        async with self._engine.reading() as reading:
            for sid in sids:
                content = await reading.content(sid)
                if content is None:
                    # It was deleted meanwhile.
                    table = joined([], 1 if cuts is None else COLUMN_COUNT)
                elif cuts is None:
                    table = await self.points(content, spans)
                else:
                    table = await content.summed(cuts.parts)
                    self._budget.take_read(content.work.row_count + content.work.point_count)
                found.append(table)
                count += len(table)
                if count >= PAGE_POINTS:
                    break
        return found

    async def points(self, content: Content, spans: Sequence[tuple[int, int]]) -> Table:
        """The points of a series in some spans.

        Raises:
            QueryTooLarge: they are too many.

        """
        tables: list[Table] = []
        count = read = 0
        first, last = content.span
        for start, stop in spans:
            if stop <= first or start > last:
                continue
            async for it in content.points(start, stop):
                tables.append(it)
                count += len(it)
                self._budget.take_read(max(content.work.point_count - read, len(it)))
                read = content.work.point_count
                if count > HELD_POINTS_MAX:
                    raise QueryTooLarge(
                        f"more than {HELD_POINTS_MAX} points of one series: ask for a shorter time"
                    )
        return joined(tables, 1)


def spans_of(windows: Windows) -> list[tuple[int, int]]:
    """What has to be read for windows: all between them, or each by itself when they lie apart."""
    begins, ends = _edges(windows)
    gaps = np.flatnonzero(begins[1:] - ends[:-1] >= GAP_NS)
    firsts, lasts = np.append(0, gaps + 1), np.append(gaps, len(begins) - 1)
    return [(int(start), int(stop)) for start, stop in
            zip(begins[firsts], ends[lasts], strict=True)]  # fmt: skip


def named(function: str, vector: Vector) -> Vector:
    """With the name of the metric, or without; without series that have nothing."""
    kept = vector.at(np.flatnonzero(vector.is_there.any(axis=1)))
    return united(kept) if function in KEEPS_NAME else unnamed(kept)
