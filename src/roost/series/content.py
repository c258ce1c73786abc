"""What is in one series: its blocks with what is staged above them; points of ranges, and sums.

Ranges are summed up from the coarsest rows that fit into them, then from finer ones, then from
blocks by their statistics, and from points only where nothing else is: at the edges, where few
points are, and where something is staged that rows do not know of yet.
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
from roost.series.levels import POINTS, ROLLUPS, Level
from roost.series.summaries import COLUMN_COUNT, merged, summed
from roost.series.tables import Ranges, Table, empty, joined

# Ranges of a level with no more buckets than this between them are read in one go.
GAP_BUCKETS = 128


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

    def chain(self, level: Level) -> Chain:
        """The blocks of a level."""
        return Chain(self._drafts[level.tree], level, self._sid)

    async def points(self, start: int, stop: int) -> AsyncGenerator[Table, None]:
        """Points of a range in order, about a block at a time."""
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
                    yield self.effects.applied(empty(1), done, block.first)
                self.work.summed_block_count += 1
                yield block.summary
                done = end
                continue
            await chain.draft.spend(1 + block.row_count // 64)
            yield self.effects.applied(self._rows(chain, block).between(start, stop), done, end)
            done = end
        if done < stop:
            yield self.effects.applied(empty(1), done, stop)

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

    async def _rollup(self, level: Level, ranges: Ranges) -> Table:
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
        parts: list[Table] = []
        left = ranges
        for level in reversed(levels):
            width = level.width_ns
            inner = Ranges(-(-left.starts // width) * width, left.stops // width * width)
            kept = inner.starts < inner.stops
            inner = Ranges(inner.starts[kept], inner.stops[kept])
            if len(inner):
                rows = await self._rollup(level, inner)
                parts.append(rows)
                left = left.without(Ranges(rows.times, rows.times + width))
        for span in _spans(left):
            bounds = np.append(span.starts, span.stops[-1])
            pieces = self._pieces(int(bounds[0]), int(bounds[-1]), bounds)
            parts += [_rows_of(it, span.starts) async for it in pieces]
        rows = joined(parts, COLUMN_COUNT)
        rows = rows.at(np.argsort(rows.times, kind="stable"))
        return merged(rows, np.searchsorted(ranges.starts, rows.times, side="right") - 1)


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
