"""What is still to be done to the blocks of a series: points appended, ranges deleted, thinned.

All are staged in the order of the log.  A range that is deleted has no effect on what comes
later, so what is left are ranges that are removed from the blocks, and points that are laid over.
Doing it twice is doing it once.

A series is thinned to a horizon: of what is before it only sums are left, by quarters of an hour.
So from that record on a point that comes for a time before the horizon is none, and a deletion that
cuts a quarter there deletes all of it: nobody could say what of a sum is to go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from roost.series.levels import QUARTER_NS
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
class Thinning:
    """A series of which points before a horizon go, and sums stay; it is a day's beginning."""

    sid: int
    horizon: int


@dataclass(frozen=True, slots=True)
class Effects:
    """First these ranges go, then these points come, and then it is thinned to `horizon`."""

    points: Table
    deleted: Ranges
    keeps_highest: bool = False
    horizon: int = TIME_MIN

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do, but for thinning."""
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
            self.horizon,
        )


NO_EFFECTS = Effects(empty(1), NO_RANGES)


Step = Table | Deletion | Thinning


def effects(steps: Iterable[Step], *, keeps_highest: bool, horizon: int = TIME_MIN) -> Effects:
    """What steps in the order of the log come to, on a series that was thinned to `horizon`.

    The points of one step need not be in order.
    """
    tables: list[Table] = []
    deleted: list[tuple[int, int]] = []
    for step in steps:
        if isinstance(step, Thinning):
            horizon = max(horizon, step.horizon)
        elif isinstance(step, Deletion):
            start, stop = widened(step, horizon)
            deleted.append((start, stop))
            tables = [it.at((it.times < start) | (it.times >= stop)) for it in tables]
        elif horizon > TIME_MIN:
            tables.append(step.at(step.times >= horizon))
        else:
            tables.append(step)
    points = overlaid(empty(1), joined(tables, 1), keeps_highest=keeps_highest)
    ranges = united([start for start, _ in deleted], [stop for _, stop in deleted])
    return Effects(points, ranges, keeps_highest, horizon)


def widened(given: Deletion, horizon: int) -> tuple[int, int]:
    """A range that is deleted, by whole quarters where there are no points any more."""
    start, stop = given.start, given.stop
    if start < horizon:
        start = start // QUARTER_NS * QUARTER_NS
    if stop < horizon:
        stop = -(-stop // QUARTER_NS) * QUARTER_NS
    return start, stop


def followed(first: Effects, second: Effects) -> Effects:
    """Effects, and behind them others of the same series, which know how far the first thin."""
    assert second.horizon >= first.horizon, "a horizon never goes back"
    kept = first.points.at(~second.deleted.holds(first.points.times))
    starts = [*first.deleted.starts.tolist(), *second.deleted.starts.tolist()]
    stops = [*first.deleted.stops.tolist(), *second.deleted.stops.tolist()]
    points = overlaid(kept, second.points, keeps_highest=second.keeps_highest)
    return Effects(points, united(starts, stops), second.keeps_highest, second.horizon)
