"""What is staged, read back: records as they were decoded, and a whole generation by series.

A record that is committed has its number for good, so what was decoded once is kept here by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roost.series import records
from roost.series.draft import Bytes, Spend
from roost.series.effects import (
    NO_EFFECTS,
    Deletion,
    Effects,
    Step,
    Thinning,
    effects,
    followed,
)
from roost.series.errors import SeriesDamaged
from roost.series.extra import Floats, Ints, np
from roost.series.head import Generation, Head, Mark, State, record_key
from roost.series.records import Batch, Record
from roost.series.tables import Table, points

# Points of records that are kept decoded: two generations, and as much again for older views.
KEPT_POINTS_MAX = 1 << 21
# What a record costs to be decoded, however little it has; and how many of them are looked through
# for a series for what a row costs.
RECORD_ROWS, RECORDS_A_ROW = 10, 2
# To put more points in order than that takes longer than a turn has.
ASIDE_POINTS = 1 << 13


class Records:
    """Records of one member's trees, decoded once."""

    def __init__(self) -> None:
        """Nothing is kept."""
        self._held: dict[int, Record] = {}
        self._point_count = 0

    async def read(self, tree: Bytes, generation: Generation, spend: Spend) -> list[Record]:
        """The records of a generation in their order, as `tree` has them.

        Raises:
            SeriesDamaged: one is missing, or is none.

        """
        found = []
        for number in generation.records:
            held = self._held.get(number)
            if held is None:
                body = await tree.get(record_key(generation.number, number))
                if body is None:
                    raise SeriesDamaged(f"the staged record {number} is missing")
                held = records.decode(body)
                self._keep(number, held)
                await spend(RECORD_ROWS + len(held) // 64)
            found.append(held)
        return found

    def _keep(self, number: int, record: Record) -> None:
        self._held[number] = record
        self._point_count += len(record)
        while self._point_count > KEPT_POINTS_MAX:
            oldest = next(iter(self._held))
            self._point_count -= len(self._held.pop(oldest))


def steps_of(held: Sequence[Record], sid: int) -> Iterator[Step]:
    """What records say of one series, in their order."""
    for record in held:
        if isinstance(record, Batch):
            found = record.of(sid)
            if found is not None:
                yield found
        else:
            yield from (it for it in record if it.sid == sid)


@dataclass(frozen=True, slots=True)
class Staged:
    """What is staged: records of both generations, and how far the first one is sealed."""

    head: Head
    frozen: Sequence[Record]
    active: Sequence[Record]

    @property
    def row_count(self) -> int:
        """What it costs to look for what belongs to a series."""
        return (len(self.frozen) + len(self.active)) // RECORDS_A_ROW

    def of(self, sid: int) -> "StagedSteps":
        """What belongs to a series."""
        is_left = self.head.frozen is not None and sid >= self.head.mark.sid
        first = list(steps_of(self.frozen, sid)) if is_left else None
        return StagedSteps(self.head.mark, sid, first, list(steps_of(self.active, sid)))


@dataclass(frozen=True, slots=True)
class StagedSteps:
    """What is staged for one series; `first` is None where the first generation is sealed."""

    mark: Mark
    sid: int
    first: Sequence[Step] | None
    second: Sequence[Step]

    @property
    def point_count(self) -> int:
        """How many points there are in it."""
        return sum(len(it) for it in (*(self.first or ()), *self.second) if isinstance(it, Table))

    def effects(self, state: State, *, keeps_highest: bool) -> Effects:
        """What is still to be done to its blocks."""
        mark, first, horizon = self.mark, NO_EFFECTS, state.horizon
        if self.first is not None:
            first = effects(self.first, keeps_highest=keeps_highest, horizon=horizon)
            horizon = first.horizon
            if self.sid == mark.sid and mark.is_inserting:
                first = first.after(mark.time)
        second = effects(self.second, keeps_highest=keeps_highest, horizon=horizon)
        return second if first.is_nothing else followed(first, second)


@dataclass(frozen=True, slots=True)
class Sorted:
    """A generation by series; what belongs to one lies together, in the order of the log."""

    sids: Ints
    starts: Ints
    times: Ints
    values: Floats
    # Of each point, and of each deletion or thinning, the place of its record.
    places: Ints
    ranges: dict[int, list[tuple[int, Deletion | Thinning]]]

    def all_sids(self, least: int) -> list[int]:
        """The series that have something to do, from `least` on."""
        found = set(self.sids[np.searchsorted(self.sids, least) :].tolist())
        return sorted(found | {it for it in self.ranges if it >= least})

    def effects(self, sid: int, *, keeps_highest: bool, horizon: int) -> Effects:
        """What is to be done to one that was thinned to `horizon`."""
        place = int(np.searchsorted(self.sids, sid))
        has_points = place < len(self.sids) and self.sids[place] == sid
        begin, end = (self.starts[place : place + 2]).tolist() if has_points else (0, 0)
        steps: list[Step] = []
        for record, step in self.ranges.get(sid, ()):
            until = begin + int(np.searchsorted(self.places[begin:end], record))
            steps += [points(self.times[begin:until], self.values[begin:until]), step]
            begin = until
        steps.append(points(self.times[begin:end], self.values[begin:end]))
        return effects(steps, keeps_highest=keeps_highest, horizon=horizon)


def sort(held: Sequence[Record]) -> Sorted:
    """A generation by series: half a million points take some 50 ms, so not on a loop."""
    batches, places = [], []
    ranges: dict[int, list[tuple[int, Deletion | Thinning]]] = {}
    for place, record in enumerate(held):
        if isinstance(record, Batch):
            batches.append(record)
            places.append(np.full(len(record), place))
            continue
        for it in record:
            ranges.setdefault(it.sid, []).append((place, it))
    if not batches:
        none = np.empty(0, np.int64)
        return Sorted(none, np.zeros(1, np.int64), none, np.empty(0), none, ranges)
    sids = np.concatenate([np.repeat(it.sids, np.diff(it.starts)) for it in batches])
    order = np.argsort(sids, kind="stable")
    sids = sids[order]
    begins = np.flatnonzero(np.append(True, sids[1:] != sids[:-1]))
    return Sorted(
        sids[begins],
        np.append(begins, len(sids)),
        np.concatenate([it.times for it in batches])[order],
        np.concatenate([it.values for it in batches])[order],
        np.concatenate(places)[order],
        ranges,
    )
