"""Blocks made of what is staged: for one series, over drafts.

Deletions first, from all levels, then points; each goes on from a time, so a slice may end
anywhere.  Points that come behind all others become small blocks, and those are made one when
together they are a full one, or many.  Points that come late are merged into the block that has
their time, and the rows of their buckets are summed up anew, finer levels first: those of a coarser
one are made of them.  Rows of new buckets are made when ROWS_POINTS points have come since the last
ones were (`State.summed`): some hours at a time are few bytes, and one by one they are many.

Last a series is thinned, day by day: each quarter of an hour that has numbers and no row gets one,
and then its points go.  From then on nobody makes that row anew (`State.horizon`).
"""

from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from roost.series import blocks
from roost.series.blocks import BYTES_MAX, Block
from roost.series.chain import Chain
from roost.series.content import Content, by_quarters
from roost.series.extra import Ints, np
from roost.series.levels import (
    DAY_NS,
    POINTS,
    QUARTER_NS,
    ROLLUPS,
    ROW_NUMBERS_MIN,
    Group,
    Level,
)
from roost.series.summaries import COLUMN_COUNT, COUNT, summed
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges, Table, empty, joined, overlaid

# So many small blocks may stand at the end of a chain.
SMALL_MAX = 32
# Points that are put into blocks in one step.
STEP_POINTS = 8192
# After so many points rows are made of the buckets that are closed.  Until then they are read.
ROWS_POINTS = 8192
# Days that are thinned in one step: of their quarters without rows 22,000 points are read at most.
STEP_DAYS = 8
# What a row of sums takes in a block, about; of points it is measured (`State.row_bytes`).
_SUMS_ROW_BYTES = 12.0


@dataclass(slots=True)
class Sealing:
    """One series on its way; `content.state` is what has become of it."""

    content: Content

    async def delete(self, deleted: Ranges) -> None:
        """Remove ranges from all levels."""
        chain = self.content.chain(POINTS)
        held = deleted.clipped(self.content.state.first, self.content.state.last + 1)
        if not len(held):
            return
        for start, stop in zip(held.starts.tolist(), held.stops.tolist(), strict=True):
            await _remove(chain, start, stop)
        for level in ROLLUPS:
            width = level.width_ns
            rows = self.content.chain(level)
            starts, stops = -(-held.starts // width) * width, held.stops // width * width
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                if start < stop:
                    await _remove(rows, start, stop)
            edges = np.unique(np.concatenate((held.starts, held.stops)) // width * width)
            await self._sum_up(level, edges, had_rows=edges)
        if held.starts[0] <= self.content.state.first:
            first = min(int(held.stops[0]), self.content.state.last)
            self.content.state = msgspec.structs.replace(self.content.state, first=first)

    async def insert(self, points: Table, *, keeps_highest: bool) -> None:
        """Lay points over what there is; STEP_POINTS at most."""
        if not len(points):
            return
        before = self.content.state
        await self._put_points(points, keeps_highest=keeps_highest)
        first, last = int(points.times[0]), int(points.times[-1])
        summed_to = before.summed if before.last >= TIME_MIN else first
        self.content.state = msgspec.structs.replace(
            self.content.state,
            first=min(before.first, first),
            last=max(before.last, last),
            summed=summed_to,
            pending=before.pending + len(points),
        )
        for level in ROLLUPS:
            closed_to = summed_to // level.width_ns * level.width_ns
            if first < closed_to:
                places = points.times // level.width_ns * level.width_ns
                late = np.unique(places[places < closed_to])
                await self._sum_up(level, late, had_rows=late)
        if self.content.state.pending >= ROWS_POINTS:
            await self._sum_up_pending()

    async def thin(self, horizon: int) -> None:
        """Thin STEP_DAYS more, to a horizon at most; `content.state` says how far that is."""
        # Of what is thinned there are quarters only, and nobody could tell where rows are missing.
        await self._sum_up_pending()
        state = self.content.state
        start = await self._first_day(horizon)
        stop = min(horizon, start + STEP_DAYS * DAY_NS)
        if start < stop:
            await self._put_quarters(np.arange(start, stop, QUARTER_NS))
            await _remove(self.content.chain(POINTS), start, stop)
        first, last = by_quarters(state.first, state.last, stop)
        self.content.state = msgspec.structs.replace(state, first=first, last=last, horizon=stop)

    async def _first_day(self, horizon: int) -> int:
        """The first day that has points to be thinned; `horizon` when there is none."""
        state = self.content.state
        begin = max(state.first, state.horizon)
        held = self.content.chain(POINTS).span(begin, min(horizon, state.last + 1))
        async with aclosing(held):
            async for block in held:
                return max(begin, block.first) // DAY_NS * DAY_NS
        return horizon

    async def _put_quarters(self, quarters: Ints) -> None:
        """Make the rows of those that have numbers and none."""
        whole = Ranges(quarters, quarters + QUARTER_NS)
        held = await self.content.rows(ROLLUPS[0], whole)
        missing = whole.without(Ranges(held.times, held.times + QUARTER_NS))
        found = await self.content.summed(missing, ())
        rows = Table(missing.starts[found.times], found.columns)
        await _put_rows(self.content.chain(ROLLUPS[0]), rows)

    async def _sum_up_pending(self) -> None:
        """Make the rows of the buckets that were closed since rows were made last."""
        state = self.content.state
        self.content.state = msgspec.structs.replace(state, summed=state.last, pending=0)
        begin = state.summed // QUARTER_NS * QUARTER_NS
        if begin == state.last // QUARTER_NS * QUARTER_NS:
            return
        held = self.content.points(begin, state.last + 1)
        points = joined([it async for it in held], 1)
        for level in ROLLUPS:
            # In the first bucket there may be more than these points, behind it there is not.
            width = level.width_ns
            mark = state.summed // width * width
            places = points.times // width * width
            is_new = (places > mark) & (places < state.last // width * width)
            rows = summed(points.at(is_new), places[is_new])
            rows = rows.at(rows.columns[COUNT] >= ROW_NUMBERS_MIN)
            before = await self._rows(level, np.array([mark]))
            await _put_rows(self.content.chain(level), joined([before, rows], COLUMN_COUNT))

    async def _put_points(self, points: Table, *, keeps_highest: bool) -> None:
        """Merge points into the blocks beside them, gap by gap."""
        chain = self.content.chain(POINTS)
        row_bytes, done = self.content.state.row_bytes, 0
        while done < len(points):
            time = int(points.times[done])
            group = POINTS.group(time)
            held = await chain.before(group, time, SMALL_MAX + 1)
            behind = await chain.behind(group, time) if time <= self.content.state.last else None
            stop = group.stop if behind is None else behind.first
            new = points.at(slice(done, int(np.searchsorted(points.times, stop))))
            old = _merged_with(held, new, row_bytes)
            row_bytes = await _replace(
                chain, old, new, row_bytes, is_last=behind is None, keeps_highest=keeps_highest
            )
            done += len(new)
        self.content.state = msgspec.structs.replace(self.content.state, row_bytes=row_bytes)

    async def _sum_up(self, level: Level, buckets: Ints, *, had_rows: Ints) -> None:
        """Make the rows of buckets anew; some of them had rows before, maybe."""
        rows = await self._rows(level, buckets)
        chain = self.content.chain(level)
        for start in np.setdiff1d(self._closed(level, had_rows), rows.times).tolist():
            await _remove(chain, start, start + 1)
        await _put_rows(chain, rows)

    def _closed(self, level: Level, buckets: Ints) -> Ints:
        """Those of which rows are made, if they have enough numbers."""
        closed = buckets[buckets < self.content.state.summed // level.width_ns * level.width_ns]
        if level.width_ns == QUARTER_NS:
            # Of those before it there is nothing that a row could be made of.
            closed = closed[closed >= self.content.state.horizon]
        return closed

    async def _rows(self, level: Level, buckets: Ints) -> Table:
        """The rows of buckets, made of finer ones and points."""
        closed = self._closed(level, buckets)
        if not len(closed):
            return empty(COLUMN_COUNT)
        ranges = Ranges(closed, closed + level.width_ns)
        found = await self.content.summed(ranges, ROLLUPS[: level.number - 1])
        found = found.at(found.columns[COUNT] >= ROW_NUMBERS_MIN)
        return Table(closed[found.times], found.columns)


def _merged_with(held: list[Block], new: Table, row_bytes: float) -> list[Block]:
    """Which of the blocks before are made one with new points; `held` is from the latest on."""
    if held and held[0].last >= new.times[0]:
        return held[:1]
    small: list[Block] = []
    for block in held:
        if block.is_full:
            break
        small.append(block)
    new_bytes = len(new) * row_bytes
    is_much = sum(len(it.body) for it in small) + new_bytes >= BYTES_MAX
    return small[::-1] if is_much or len(small) >= SMALL_MAX else []


async def _replace(
    chain: Chain, old: list[Block], new: Table, row_bytes: float, *, is_last: bool,
    keeps_highest: bool = False,
) -> float:  # fmt: skip
    """Put blocks of `old` with `new` laid over it in their place; what a row took."""
    held = joined([chain.decode(it) for it in old], len(new.columns))
    rows = overlaid(held, new, keeps_highest=keeps_highest)
    await chain.draft.spend(1 + len(rows) // 16)
    for block in old:
        chain.remove(block)
    for block in blocks.cut(rows, old[0].row_bytes if old else row_bytes, is_even=not is_last):
        chain.put(block)
        row_bytes = block.row_bytes
    return row_bytes


async def _put_rows(chain: Chain, rows: Table) -> None:
    """Lay rows over those that there are, as points."""
    done = 0
    while done < len(rows):
        time = int(rows.times[done])
        group = chain.level.group(time)
        held = await chain.before(group, time, SMALL_MAX + 1)
        behind = await chain.behind(group, time)
        stop = group.stop if behind is None else behind.first
        new = rows.at(slice(done, int(np.searchsorted(rows.times, stop))))
        old = _merged_with(held, new, _SUMS_ROW_BYTES)
        await _replace(chain, old, new, _SUMS_ROW_BYTES, is_last=behind is None)
        done += len(new)


async def _remove(chain: Chain, start: int, stop: int) -> None:
    """Remove all rows of a range."""
    for group in chain.level.groups(start, stop):
        await _remove_from(chain, group, max(start, group.start), min(stop, group.stop))


async def _remove_from(chain: Chain, group: Group, start: int, stop: int) -> None:
    held = await chain.before(group, stop - 1, 1)
    if not held or held[0].last < start:
        return  # nothing begins before its end, or goes on after its beginning
    edges = [it for it in held if it.last >= stop or it.first < start]
    for block in await chain.before(group, start - 1, 1):
        edges += [block] if block.last >= start and block.first != held[0].first else []
    kept = []
    for block in edges:
        rows = chain.decode(block)
        kept.append(rows.between(TIME_MIN, start))
        kept.append(rows.between(stop, TIME_STOP))
        chain.remove(block)
    chain.remove_between(group, start, stop)
    await chain.draft.spend(1 + sum(map(len, kept)) // 16)
    for rows in kept:
        for block in blocks.cut(rows, BYTES_MAX / blocks.ROWS_MAX):
            chain.put(block)
