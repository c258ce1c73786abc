"""One slice of sealing: what of a frozen generation becomes blocks in one operation.

Whoever asks for it, on whichever member, reads what is committed here, makes blocks of it and
hands them over; `staging.put_blocks` takes them if nobody else was faster.  A slice ends when it
has so many points or bytes, or when it has looked at so many series, in the middle of one, too.
So the work is counted by what is staged, and driven by the log: no clock decides what is in it.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from roost.series.content import Content
from roost.series.draft import Draft, Spend
from roost.series.effects import Effects
from roost.series.errors import SeriesDamaged
from roost.series.generations import Records, Sorted, sort
from roost.series.head import END, STATES_TREE, Mark, State, sid_key
from roost.series.levels import DAY_NS, PARTITION_BITS
from roost.series.names import Info
from roost.series.sealing import STEP_POINTS, Sealing
from roost.series.staging import Rewrite
from roost.series.tables import Ranges
from roost.series.trees import Trees

T = TypeVar("T")
SLICE_POINTS, SLICE_BYTES, SLICE_SERIES = 1 << 14, 96 << 10, 256
# What a series costs beside its points and blocks: as much as so many rows that are read.
SERIES_ROWS = 24
# A range that is deleted goes so many partitions at a time.
STEP_PARTITIONS = 64
# Runs something on a thread, while the loop goes on.
Aside = Callable[[Callable[[], T]], Awaitable[T]]


class Slicing:
    """Makes one slice after another; what it keeps is only the generation that it has sorted."""

    def __init__(
        self, trees: Trees, records: Records, aside: "Aside[Sorted]", spend: Spend
    ) -> None:
        """Read `trees`, which are what this member has applied."""
        self._trees = trees
        self._records = records
        self._aside = aside
        self._spend = spend
        self._sorted: tuple[int, Sorted] | None = None

    async def slice(self) -> Rewrite | None:
        """The next slice, or None when nothing is frozen.

        Raises:
            SeriesDamaged: something in the trees is not what was written.

        """
        head = await self._trees.read_head()
        if head.frozen is None:
            self._sorted = None
            return None
        if self._sorted is None or self._sorted[0] != head.frozen.number:
            try:
                held = await self._records.read(self._trees.staged, head.frozen, self._spend)
            except SeriesDamaged:
                if (await self._trees.read_head()).frozen == head.frozen:
                    raise
                return await self.slice()  # somebody else has sealed all of it meanwhile
            self._sorted = (head.frozen.number, await self._aside(lambda: sort(held)))
        drafts = self._trees.drafts(self._spend)
        done = await _Cut(self._trees, drafts, self._sorted[1], self._spend).go_on(head.mark)
        edits = [it.edits() for it in drafts.values()]
        return Rewrite(head.frozen.number, head.mark, done, [it for it in edits if not it.is_empty])


class _Cut:
    """One slice on its way."""

    def __init__(
        self, trees: Trees, drafts: dict[str, Draft], generation: Sorted, spend: Spend
    ) -> None:
        self._trees = trees
        self._spend = spend
        self._drafts = drafts
        self._generation = generation
        self._point_count = 0

    @property
    def _is_enough(self) -> bool:
        return (
            self._point_count >= SLICE_POINTS
            or sum(it.edited_bytes for it in self._drafts.values()) >= SLICE_BYTES
        )

    async def go_on(self, mark: Mark) -> Mark:
        """Seal from a mark on; up to where it is."""
        sids = self._generation.all_sids(mark.sid)
        known = await self._trees.read_many(sids[:SLICE_SERIES])
        for sid, (info, state) in zip(sids, known, strict=False):
            if self._is_enough:
                return Mark(sid)
            await self._spend(SERIES_ROWS)
            reached = await self._series(info, state, mark if sid == mark.sid else Mark(sid))
            if reached.sid == sid:
                return reached
        return END if len(sids) <= len(known) else Mark(sids[len(known)])

    async def _series(self, info: Info | None, state: State, mark: Mark) -> Mark:
        sid = mark.sid
        keeps_highest = info is not None and info.keeps_highest
        effects = self._generation.effects(sid, keeps_highest=keeps_highest, horizon=state.horizon)
        sealing = Sealing(Content(self._drafts, sid, state))
        reached = await self._carry_out(sealing, effects, mark)
        if info is None and reached.sid != sid:
            self._drafts[STATES_TREE].remove(sid_key(sid), sid_key(sid + 1))
        elif sealing.content.state != state:
            row = msgspec.msgpack.encode(sealing.content.state)
            self._drafts[STATES_TREE].put(sid_key(sid), row)
        return reached

    async def _carry_out(self, sealing: Sealing, effects: Effects, mark: Mark) -> Mark:
        if not mark.is_inserting:
            steps = _steps(effects.deleted, sealing.content.state, mark.time)
            for step in steps:
                if self._is_enough:
                    return Mark(mark.sid, is_inserting=False, time=int(step.starts[0]))
                await sealing.delete(step)
            mark = Mark(mark.sid, is_inserting=True)
        points = effects.after(mark.time).points
        for place in range(0, len(points), STEP_POINTS):
            if self._is_enough:
                return Mark(mark.sid, is_inserting=True, time=int(points.times[place]))
            new = points.at(slice(place, place + STEP_POINTS))
            await sealing.insert(new, keeps_highest=effects.keeps_highest)
            self._point_count += len(new)
        while sealing.content.state.horizon < effects.horizon:
            if self._is_enough:
                return mark.thinned(sealing.content.state.horizon)
            read = sealing.content.work.point_count
            await sealing.thin(effects.horizon)
            self._point_count += sealing.content.work.point_count - read
        return mark.behind()


def _steps(deleted: Ranges, state: State, begin: int) -> list[Ranges]:
    """Ranges in steps of so many partitions, as far as there are points."""
    if not len(deleted):
        return []
    held = deleted.clipped(max(begin, state.first), state.last + 1)
    # Days, so that no step ends within a quarter of which there is only a row.
    width = (STEP_PARTITIONS << PARTITION_BITS) // DAY_NS * DAY_NS
    return [
        held.clipped(place, min(stop, place + width))
        for start, stop in zip(held.starts.tolist(), held.stops.tolist(), strict=True)
        for place in range(start, stop, width)
    ]
