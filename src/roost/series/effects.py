"""What is still to be done to the blocks of a series: points that were appended, ranges deleted.

Both are staged in the order of the log.  A range that is deleted has no effect on what comes
later, so what is left are ranges that are removed from the blocks, and points that are laid over.
Doing it twice is doing it once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from roost.series.tables import (
    NO_RANGES,
    TIME_MIN,
    TIME_STOP,
    Ranges,
    Table,
    empty,
    joined,
    overlaid,
    united,
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A range of a series that is deleted."""

    sid: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Effects:
    """First these ranges go, then these points come."""

    points: Table
    deleted: Ranges
    keeps_highest: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not len(self.points) and not len(self.deleted)

    def applied(self, old: Table, start: int, stop: int) -> Table:
        """Points of a range as they are with the effects; `old` has those of the range."""
        if len(self.deleted):
            old = old.at(~self.deleted.holds(old.times))
        new = self.points.between(start, stop)
        return overlaid(old, new, keeps_highest=self.keeps_highest)

    def touches(self, start: int, stop: int) -> bool:
        """Whether anything in a range is another one by them."""
        if len(self.points.between(start, stop)):
            return True
        return len(self.deleted.clipped(start, stop)) > 0

    def after(self, time: int) -> "Effects":
        """Those from a time on."""
        if time <= TIME_MIN:
            return self
        return Effects(
            self.points.between(time, TIME_STOP),
            self.deleted.clipped(time, TIME_STOP),
            self.keeps_highest,
        )


NO_EFFECTS = Effects(empty(1), NO_RANGES)


def effects(steps: Iterable[Table | Deletion], *, keeps_highest: bool) -> Effects:
    """What steps in the order of the log come to; the points of one need not be in order."""
    tables: list[Table] = []
    deleted: list[Deletion] = []
    for step in steps:
        if isinstance(step, Table):
            tables.append(step)
            continue
        deleted.append(step)
        tables = [it.at((it.times < step.start) | (it.times >= step.stop)) for it in tables]
    points = overlaid(empty(1), joined(tables, 1), keeps_highest=keeps_highest)
    ranges = united([it.start for it in deleted], [it.stop for it in deleted])
    return Effects(points, ranges, keeps_highest)


def followed(first: Effects, second: Effects) -> Effects:
    """Effects, and behind them others of the same series."""
    kept = first.points.at(~second.deleted.holds(first.points.times))
    starts = [*first.deleted.starts.tolist(), *second.deleted.starts.tolist()]
    stops = [*first.deleted.stops.tolist(), *second.deleted.stops.tolist()]
    points = overlaid(kept, second.points, keeps_highest=second.keeps_highest)
    return Effects(points, united(starts, stops), second.keeps_highest)
