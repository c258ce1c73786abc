"""What is in one series: its blocks with what is staged above them; points of ranges, and sums.

Ranges are summed up from the coarsest rows that fit into them, then from finer ones, then from
blocks by their statistics, and from points only where nothing else is: at the edges, where few
points are, and where something is staged that rows do not know of yet.

Where a series is thinned, or is to be (`Effects.horizon`), there are no points to be read, and a
quarter of an hour is in a range as a whole or not at all.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from roost.series.blocks import Block
from roost.series.chain import Chain
from roost.series.draft import Draft
from roost.series.effects import NO_EFFECTS, Effects
from roost.series.extra import Ints, np
from roost.series.head import State
from roost.series.levels import POINTS, QUARTER_NS, ROLLUPS, Level
from roost.series.summaries import COLUMN_COUNT, COUNT, merged, summed
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges, Table, empty, joined

# Ranges of a level with no more buckets than this between them are read in one go.
GAP_BUCKETS = 128
# Of what is staged, so many points are handed over at a time; and of ranges so many are summed up,
# which costs as much as so many rows, whatever is in them.
PIECE_POINTS = 1 << 13
STEP_RANGES, STEP_ROWS, RANGES_A_ROW = 1 << 12, 50, 32


@dataclass(slots=True)
class Work:
    """What was read: rows of levels, statistics of blocks, points one by one."""

    row_count: int = 0
    summed_block_count: int = 0
    point_count: int = 0


class Content:
    """One series."""

    def __init__(
        self, drafts: Mapping[str, Draft], sid: int, state: State, effects: Effects = NO_EFFECTS
    ) -> None:
        """Read `drafts`, by the names of their trees; `state` says where blocks can be."""
        self.state = state
        self._sid = sid
        self._drafts = drafts
        self.effects = effects
        self.work = Work()
        self._decoded: tuple[Block, Table] | None = None

    @property
    def horizon(self) -> int:
        """Before it there are sums only."""
        return max(self.state.horizon, self.effects.horizon)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last moment that can have something; the other way round for none."""
        points = self.effects.points
        first, last = self.state.first, self.state.last
        if len(points):
            first, last = min(first, int(points.times[0])), max(last, int(points.times[-1]))
        return by_quarters(first, last, self.horizon)

    def chain(self, level: Level) -> Chain:
        """The blocks of a level."""
        return Chain(self._drafts[level.tree], level, self._sid)

    async def points(self, start: int, stop: int) -> AsyncGenerator[Table, None]:
        """Points of a range in order, about a block at a time."""
        start = max(start, self.horizon)
        if start >= stop:
            return
        async for piece in self._pieces(start, stop, None):
            if len(piece):
                yield piece

    async def _pieces(
        self, start: int, stop: int, bounds: Ints | None
    ) -> AsyncGenerator[Table, None]:
        """Points of a range; or, of a block that has them all in it, the row that sums them up.

        That is for ranges which follow each other from one of `bounds` to the next: the block lies
        in one of them.
        """
        done = start
        chain = self.chain(POINTS)
        # A range may have centuries in it, and each partition of them would be looked for.
        held = max(start, self.state.first), min(stop, self.state.last + 1)
        async for block in chain.span(*held):
            end = min(block.last + 1, stop)
            if bounds is not None and block.summary is not None and self._is_summed(block, bounds):
                if done < block.first:
                    async for piece in self._cut(empty(1), done, block.first):
                        yield piece
                self.work.summed_block_count += 1
                yield block.summary
                done = end
                continue
            await chain.draft.spend(1 + block.row_count // 64)
            async for piece in self._cut(self._rows(chain, block).between(start, stop), done, end):
                yield piece
            done = end
        if done < stop:
            async for piece in self._cut(empty(1), done, stop):
                yield piece

    async def _cut(self, rows: Table, start: int, stop: int) -> AsyncGenerator[Table, None]:
        """Rows of a range with what is staged for it, which may be much, some at a time."""
        whole = self.effects.applied(rows, start, stop)
        for begin in range(0, len(whole), PIECE_POINTS):
            if begin:
                await self.chain(POINTS).draft.spend(PIECE_POINTS // 64)
            yield whole.at(slice(begin, begin + PIECE_POINTS))

    def _is_summed(self, block: Block, bounds: Ints) -> bool:
        """Whether the statistics of a block are those of points of one range."""
        first, last = np.searchsorted(bounds, (block.first, block.last), side="right").tolist()
        is_within = first == last and 0 < first < len(bounds)
        return is_within and not self.effects.touches(block.first, block.last + 1)

    def _rows(self, chain: Chain, block: Block) -> Table:
        """The points of a block; of two ranges beside each other it is often the same one."""
        held = self._decoded
        if held is None or held[0].body != block.body:
            self.work.point_count += block.row_count
            held = self._decoded = (block, chain.decode(block))
        return held[1]

    async def rows(self, level: Level, ranges: Ranges) -> Table:
        """The rows of a level that lie in ranges, and are as the points are."""
        gaps = np.flatnonzero(ranges.starts[1:] - ranges.stops[:-1] > GAP_BUCKETS * level.width_ns)
        firsts, lasts = np.append(0, gaps + 1), np.append(gaps, len(ranges) - 1)
        chain, found = self.chain(level), []
        starts, stops = ranges.starts[firsts], ranges.stops[lasts]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            async for block in chain.span(start, stop):
                await chain.draft.spend(1 + block.row_count // 64)
                self.work.row_count += block.row_count
                # What is in it of other ranges is read for them.
                found.append(chain.decode(block).between(start, stop))
        rows = joined(found, COLUMN_COUNT)
        rows = rows.at(ranges.holds(rows.times))
        stops = rows.times + level.width_ns
        if len(self.effects.points):
            places = np.searchsorted(self.effects.points.times, (rows.times, stops))
            rows = rows.at(places[0] == places[1])
            stops = rows.times + level.width_ns
        if len(self.effects.deleted):
            rows = rows.at(~self.effects.deleted.touches(rows.times, stops))
        return rows

    async def summed(self, ranges: Ranges, levels: tuple[Level, ...] = ROLLUPS) -> Table:
        """Sums of ranges; a row's time is its range's number, and a range without has no row."""
        parts, spend = list[Table](), self.chain(POINTS).draft.spend
        for begin in range(0, max(len(ranges), 1), STEP_RANGES):
            span = slice(begin, begin + STEP_RANGES)
            some = Ranges(ranges.starts[span], ranges.stops[span])
            await spend(STEP_ROWS + len(some) // RANGES_A_ROW)
            rows = await self._summed(some, levels)
            parts.append(Table(rows.times + begin, rows.columns) if begin else rows)
        return joined(parts, COLUMN_COUNT)

    async def _summed(self, ranges: Ranges, levels: tuple[Level, ...]) -> Table:
        """The same of a few ranges."""
        parts: list[Table] = []
        left = _whole_before(ranges, self.horizon)
        for level in reversed(levels):
            width = level.width_ns
            inner = Ranges(-(-left.starts // width) * width, left.stops // width * width)
            kept = inner.starts < inner.stops
            inner = Ranges(inner.starts[kept], inner.stops[kept])
            if len(inner):
                rows = await self.rows(level, inner)
                parts.append(rows)
                left = left.without(Ranges(rows.times, rows.times + width))
        # Where it is thinned there is nothing but rows.
        for span in _spans(left.clipped(self.state.horizon, TIME_STOP)):
            bounds = np.append(span.starts, span.stops[-1])
            pieces = self._pieces(int(bounds[0]), int(bounds[-1]), bounds)
            parts += [_rows_of(it, span.starts) async for it in pieces]
        rows = joined(parts, COLUMN_COUNT)
        rows = rows.at(np.argsort(rows.times, kind="stable"))
        return merged(rows, np.searchsorted(ranges.starts, rows.times, side="right") - 1)

    async def last_point(self, stop: int = TIME_STOP, *, is_number: bool = False) -> Table:
        """The last point before a time; an empty table when there is none, or only sums of them.

        With `is_number` it is one that is not NaN.
        """
        staged = self.effects.points
        if stop == TIME_STOP and len(staged) and not is_number:
            newest = int(staged.times[-1])
            if newest >= max(self.state.last, self.horizon):
                return staged.at(slice(len(staged) - 1, None))
        first, last = self.span
        oldest = max(first, self.horizon)
        stop, width = min(stop, last + 1), 3600 * 10**9
        while stop > oldest:
            start = max(stop - width, TIME_MIN)
            found: Table | None = None
            async for it in self.points(start, stop):
                part = it.at(~np.isnan(it.values)) if is_number else it
                found = part if len(part) else found
            if found is not None:
                return found.at(slice(len(found) - 1, None))
            stop, width = start, width * 16
        return empty(1)

    async def count(self, start: int, stop: int) -> int:
        """How many numbers a range has."""
        if start >= stop:
            return 0
        rows = await self.summed(Ranges(np.array([start]), np.array([stop])))
        return int(rows.columns[COUNT].sum())


def by_quarters(first: int, last: int, horizon: int) -> tuple[int, int]:
    """The first and the last moment of something, of which there are quarters before a horizon."""
    if first > last:
        return first, last
    if first < horizon:
        first = first // QUARTER_NS * QUARTER_NS
    if last < horizon:
        last = last // QUARTER_NS * QUARTER_NS + QUARTER_NS - 1
    return first, last


def _whole_before(ranges: Ranges, horizon: int) -> Ranges:
    """Ranges without the quarters that they cut before a horizon."""
    if horizon <= TIME_MIN:
        return ranges
    starts, stops = ranges.starts, ranges.stops
    starts = np.where(starts < horizon, -(-starts // QUARTER_NS) * QUARTER_NS, starts)
    stops = np.where(stops < horizon, stops // QUARTER_NS * QUARTER_NS, stops)
    kept = starts < stops
    return Ranges(starts[kept], stops[kept])


def _spans(ranges: Ranges) -> Iterator[Ranges]:
    """Ranges that follow each other without a gap, together."""
    begins = np.flatnonzero(np.append(True, ranges.starts[1:] != ranges.stops[:-1]))
    for begin, end in pairwise([*begins.tolist(), len(ranges)]):
        if begin < end:
            yield Ranges(ranges.starts[begin:end], ranges.stops[begin:end])


def _rows_of(piece: Table, starts: Ints) -> Table:
    """Points as a row for each range, at its beginning; or the row of a block."""
    places = np.searchsorted(starts, piece.times, side="right") - 1
    found = summed(piece, places) if len(piece.columns) == 1 else Table(places, piece.columns)
    return Table(starts[found.times], found.columns)
