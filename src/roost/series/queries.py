"""What people ask of series: which of them, of when, in which windows, and what of each window.

    await collected(run(engine, Query(names=("sensor1.heat",), start=..., stop=...,
                                      window=Calendar(Unit.DAY), aggregates=("mean", "max"))))

A name without labels is every series of that name, whatever its labels; with some, those that have
them.  Names together with tags are what has both.  A window that is partly outside the range has
what is inside, and is called by its own beginning.

Nobody who is slow to take an answer holds a state of the store: an answer is made page by page,
each of one state, read as a whole before it is handed over.  So a series in one page is of one
state, and pages follow each other; what is written meanwhile may be in the later ones.

    count sum mean min max range stddev first last    of what is summed up (`summaries`)
    p0 … p100, median, increase, rate                 of each point (`pointwise`): slow where many
                                                      are, NaN where a retention has dropped some

What takes longer than a turn has, once all is read, is done on a thread.

Full?  AGGREGATES_MAX are asked for at once.  Of what is made of each point, a series, or a group,
has READ_POINTS_MAX.

Merged by a tag (`group`), series with one value of it are one: counts, sums, means, extremes and
deviations exactly so.  Increases and rates are added up.  First and last are refused there, for
what is summed up has no times.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from enum import Enum
from functools import partial

from roost.series.content import Content
from roost.series.engine import Engine, Turns
from roost.series.errors import BadWindow
from roost.series.extra import Floats, Ints, np
from roost.series.names import Info, Tag
from roost.series.pointwise import added, increases, percentiles
from roost.series.selecting import select
from roost.series.spelling import parse_series
from roost.series.summaries import (
    COUNT,
    FIRST,
    LAST,
    LEAST,
    MOST,
    SUM,
    deviations,
    means,
    together,
)
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges, Table, joined
from roost.series.windows import Window, edges_in_turns
from roost.series.windows import check as check_window

# Points, or windows, of a page; series of one.
PAGE_ROWS, PAGE_SERIES = 16_384, 64
# What one question has at most; points take 16 bytes each, while they are put in order twice that.
AGGREGATES_MAX, READ_POINTS_MAX = 32, 1 << 22
# Windows, of all aggregates, that are made where the loop is; more are made on a thread.  So many
# rows of a group are kept: a row has 64 bytes, and a group ten thousand series.
ASIDE_ROWS, KEPT_ROWS = 4096, 1 << 18
AGGREGATES = ("count", "sum", "mean", "min", "max", "range", "stddev", "first", "last")
# Of counters: by how much they have gone up in a window, and that by the second.
COUNTERS = ("increase", "rate")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?|100)")
_PLACES = {"count": COUNT, "sum": SUM, "min": LEAST, "max": MOST, "first": FIRST, "last": LAST}
_ORDERED = frozenset(("first", "last"))


class Fill(Enum):
    """What stands in a window without numbers."""

    NONE = "none"
    NULL = "null"
    PREVIOUS = "previous"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question; without a window it asks for the points themselves."""

    names: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    start: int
    stop: int
    window: Window | None = None
    tz: tzinfo = UTC
    aggregates: tuple[str, ...] = ("mean",)
    fill: Fill = Fill.NONE
    group: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a series: `values[c]` are those of column c; NaN is no number."""

    name: str
    labels: Sequence[Tag]
    columns: tuple[str, ...]
    times: Ints
    values: Floats


@dataclass(slots=True)
class _Group:
    """Series that are merged, or one, and what was read of them."""

    title: Info | None = None
    rows: list[Table] = field(default_factory=list)
    points: list[Table] = field(default_factory=list)
    increases: list[Table] = field(default_factory=list)
    # How many points were read, and how much there is to be put together.
    point_count: int = 0
    size: int = 0

    def add_row(self, row: Table) -> None:
        """Windows of a series."""
        self.rows.append(row)
        self.size += 1 + len(row)


def check(query: Query) -> Query:
    """Refuse a question that has no answer; the question.

    Raises:
        BadWindow: a range, a window or an aggregate is none.

    """
    if not TIME_MIN <= query.start < query.stop <= TIME_STOP:
        raise BadWindow("a range has a start before its end, from 1678 to 2261")
    if not query.names and not query.tags:
        raise BadWindow("say which series: by name= or by tag=")
    for name in query.names:
        parse_series(name)
    if len(query.aggregates) > AGGREGATES_MAX:
        raise BadWindow(f"{len(query.aggregates)} aggregates: ask for {AGGREGATES_MAX} at a time")
    for it in query.aggregates:
        known = (*AGGREGATES, *COUNTERS, "median")
        if it not in known and not _PERCENTILE.fullmatch(it):
            raise BadWindow(f"{it!r} is no aggregate: {', '.join(known)}, p95")
        if query.group and it in _ORDERED:
            raise BadWindow(f"{it!r} of series that are merged: sums of them have no times")
    if query.window is None and query.group:
        raise BadWindow("points are not merged: say a window")
    if query.window is None and query.fill is not Fill.NONE:
        raise BadWindow("points are not filled: say a window")
    if query.window is not None:
        check_window(query.window, query.start, query.stop)
    return query


async def run(engine: Engine, query: Query) -> AsyncGenerator[list[Part], None]:
    """What is asked for, a page at a time; a series without rows has a part without any.

    Raises:
        BadWindow, BadSeries: it has no answer.
        NoLeader, Overloaded, ViewClosed: as `Engine.reading`.
        SeriesDamaged: something in the trees is not what was written.

    """
    check(query)
    sids = await _selected(engine, query)
    if query.window is None:
        for sid in sids:
            async for page in _points(engine, query, sid):
                yield [page]
        return
    groups = [[it] for it in sids] if not query.group else await _grouped(engine, query, sids)
    windows = await edges_in_turns(query.window, query.start, query.stop, query.tz, Turns().spend)
    # Points that are read one by one are of one group at a time.
    most = 1 if _needs_points(query) else PAGE_SERIES
    count = max(1, min(most, PAGE_ROWS // len(windows)))
    chosen: list[list[int]] = []
    size = 0
    for group in groups:
        chosen.append(group)
        size += len(group)
        if size >= count:
            yield await _page(engine, query, windows, chosen)
            chosen, size = [], 0
    if chosen:
        yield await _page(engine, query, windows, chosen)


async def _selected(engine: Engine, query: Query) -> list[int]:
    async with engine.reading() as reading:
        return [it async for it in select(reading, query.names, query.tags)]


async def _points(engine: Engine, query: Query, sid: int) -> AsyncIterator[Part]:
    """The points of one series, in pages of which each is of one state.

    While one is taken nothing is kept of what it was read from, which may be much (`staging`).
    """
    start, is_first = query.start, True
    while start < query.stop:
        part, start = await _points_page(engine, query, sid, start)
        if part is None:
            return
        if len(part.times) or is_first:
            yield part
        is_first = False


async def _points_page(
    engine: Engine, query: Query, sid: int, start: int
) -> tuple[Part | None, int]:
    """A page of points from a time on, and up to which; None = there is no such series any more."""
    tables, count, stop = list[Table](), 0, query.stop
    async with engine.reading() as reading:
        info = await reading.trees.read_info(sid)
        content = await reading.content(sid)
        if info is None or content is None:
            return None, stop
        async for it in content.points(start, query.stop):
            # A piece is seen through a larger table, which would be kept with it.
            tables.append(Table(it.times.copy(), it.columns.copy()))
            count += len(it)
            if count >= PAGE_ROWS:
                stop = int(it.times[-1]) + 1
                break
    table = joined(tables, 1)
    return Part(info.name, info.labels, ("value",), table.times, table.columns), stop


async def _grouped(engine: Engine, query: Query, sids: Sequence[int]) -> list[list[int]]:
    """Series by the value of a tag; those without it are one group, too."""
    found: dict[str, list[int]] = {}
    for begin in range(0, len(sids), PAGE_SERIES):
        async with engine.reading() as reading:
            for sid in sids[begin : begin + PAGE_SERIES]:
                info = await reading.trees.read_info(sid)
                if info is not None:
                    found.setdefault(_value_of(info, query.group), []).append(sid)
    return [found[it] for it in sorted(found)]


def _value_of(info: Info, key: str) -> str:
    return next((it.value for it in (*info.labels, *info.tags) if it.key == key), "")


async def _page(
    engine: Engine, query: Query, windows: Ints, groups: Sequence[Sequence[int]]
) -> list[Part]:
    """Groups of series in windows; one that is larger than a page is read in several states."""
    clipped = Ranges(np.maximum(windows[:-1], query.start), np.minimum(windows[1:], query.stop))
    found = [_Group() for _ in groups]
    flat = [(group, sid) for group, sids in zip(found, groups, strict=True) for sid in sids]
    for begin in range(0, len(flat), PAGE_SERIES):
        async with engine.reading() as reading:
            for group, sid in flat[begin : begin + PAGE_SERIES]:
                info = await reading.trees.read_info(sid)
                content = await reading.content(sid)
                if info is None or content is None:
                    continue  # it was deleted meanwhile
                group.title = group.title or _title(query, info)
                group.add_row(await content.summed(clipped))
                if _needs_points(query):
                    await _add_points(engine, query, content, windows, group)
        for group in found:
            if group.size - group.point_count > KEPT_ROWS and len(group.rows) > 1:
                group.size = group.point_count
                group.add_row(await engine.aside(partial(together, group.rows)))
                del group.rows[:-1]

    def parts() -> list[Part]:
        return [_part(query, it.title, windows, it) for it in found if it.title is not None]

    width = len(query.aggregates) * (len(windows) if query.fill is not Fill.NONE else 1)
    size = sum(width + len(query.aggregates) * it.size for it in found)
    return parts() if size <= ASIDE_ROWS else await engine.aside(parts)


async def _add_points(
    engine: Engine, query: Query, content: Content, windows: Ints, group: _Group
) -> None:
    """Read the points of a series, for what is made of each of them.

    Raises:
        BadWindow: with those of its group they are too many.

    """
    read: list[Table] = []
    async for it in content.points(query.start, query.stop):
        group.point_count += len(it)
        group.size += len(it)
        if group.point_count > READ_POINTS_MAX:
            raise BadWindow(
                f"more than {READ_POINTS_MAX} points, of which each has to be read for percentiles "
                "and increases: ask for a shorter range, or for fewer series in a group"
            )
        read.append(it)
    if any(it in COUNTERS for it in query.aggregates):
        before = await content.last_point(query.start, is_number=True)
        rows = group.rows[-1]

        def counted() -> Table:
            return increases(windows, rows, joined(read, 1), before)

        is_short = sum(map(len, read)) + len(windows) <= ASIDE_ROWS
        group.increases.append(counted() if is_short else await engine.aside(counted))
    if any(it not in (*AGGREGATES, *COUNTERS) for it in query.aggregates):
        group.points += read


def _title(query: Query, info: Info) -> Info:
    """How a group is called: as its series, or by the tag that it has in common."""
    if not query.group:
        return info
    value = _value_of(info, query.group)
    return Info(info.name if len(query.names) == 1 else "", [Tag(query.group, value)])


def _needs_points(query: Query) -> bool:
    return any(it not in AGGREGATES for it in query.aggregates)


def _part(query: Query, title: Info, windows: Ints, group: _Group) -> Part:
    rows, points = together(group.rows), joined(group.points, 1)
    places = rows.times
    columns = [
        _increases(it, query, windows, group) if it in COUNTERS
        else _column(it, windows, rows, points)
        for it in query.aggregates
    ]  # fmt: skip
    values = np.array(columns)
    values = values.reshape(len(query.aggregates), len(places))
    if query.fill is not Fill.NONE:
        values = _filled(query, values, places, len(windows) - 1)
        places = np.arange(len(windows) - 1)
    return Part(title.name, title.labels, query.aggregates, windows[places], values)


def _increases(name: str, query: Query, windows: Ints, group: _Group) -> Floats:
    """By how much counters have gone up in each window, or that by the second."""
    found = added(group.increases)
    if name == "increase":
        return found
    starts, stops = np.maximum(windows[:-1], query.start), np.minimum(windows[1:], query.stop)
    places = np.unique(np.concatenate([it.times for it in group.increases]))
    rates: Floats = found / ((stops - starts)[places] / 1e9)
    return rates


def _column(name: str, windows: Ints, rows: Table, points: Table) -> Floats:
    place = _PLACES.get(name)
    if place is not None:
        found: Floats = rows.columns[place]
        return found
    match name:
        case "mean":
            return means(rows)
        case "stddev":
            return deviations(rows)
        case "range":
            with np.errstate(invalid="ignore"):
                width: Floats = rows.columns[MOST] - rows.columns[LEAST]
            return width
    return percentiles(50.0 if name == "median" else float(name[1:]), windows, rows, points)


def _filled(query: Query, values: Floats, places: Ints, count: int) -> Floats:
    """All windows; in those without numbers, what was asked for."""
    found = np.full((len(values), count), np.nan)
    found[:, places] = values
    if "count" in query.aggregates:
        row = found[query.aggregates.index("count")]
        row[np.isnan(row)] = 0.0
    for name, row in zip(query.aggregates, found, strict=True):
        if name == "count" or not len(places):
            continue
        if query.fill is Fill.PREVIOUS:
            last = np.maximum.accumulate(np.where(np.isin(np.arange(count), places),
                                                  np.arange(count), -1))  # fmt: skip
            row[last >= 0] = row[last[last >= 0]]
        elif query.fill is Fill.LINEAR:
            inner = np.arange(places[0], places[-1] + 1)
            row[inner] = np.interp(inner, places, row[places])
    return found


async def collected(pages: AsyncIterator[list[Part]]) -> list[Part]:
    """All of an answer, each series once."""
    found: dict[tuple[str, str], Part] = {}
    async for page in pages:
        for part in page:
            key = (part.name, repr(part.labels))
            held = found.get(key)
            if held is not None:
                part = replace(
                    held,
                    times=np.concatenate((held.times, part.times)),
                    values=np.concatenate((held.values, part.values), axis=1),
                )
            found[key] = part
    return list(found.values())
