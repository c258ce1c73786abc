"""What of windows is made of each of their points: percentiles, and how counters go up.

`rows` are what is summed up of the windows that have numbers, by the numbers of the windows.  Where
a window has other numbers of points than its row says, some are gone (`retention`): nobody knows
then, and what is answered is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from roost.series.extra import Floats, Ints, Mask, np
from roost.series.summaries import COUNT
from roost.series.tables import Table, joined


@dataclass(frozen=True, slots=True)
class _Places:
    """Of each row the place of its first point and the one behind its last; whether it has all."""

    begins: Ints
    ends: Ints
    is_whole: Mask


def _placed(rows: Table, places: Ints) -> _Places:
    begins, ends = (np.searchsorted(places, rows.times, side=it) for it in ("left", "right"))
    return _Places(begins, ends, ends - begins == rows.columns[COUNT])


def _numbers(points: Table) -> Table:
    return points.at(~np.isnan(points.values))


def percentiles(percent: float, windows: Ints, rows: Table, points: Table) -> Floats:
    """Of the numbers in each window that has some; between two of them it is in proportion."""
    held = _numbers(points)
    places = np.searchsorted(windows, held.times, side="right") - 1
    order = np.lexsort((held.values, places))
    values, places = held.values[order], places[order]
    found: Floats = np.full(len(rows), np.nan)
    placed = _placed(rows, places)
    begins = placed.begins[placed.is_whole]
    counts = placed.ends[placed.is_whole] - begins
    at = (counts - 1) * (percent / 100)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, counts - 1)
    with np.errstate(invalid="ignore"):
        below, above = values[begins + low], values[begins + high]
        found[placed.is_whole] = np.where(
            below == above, below, below + (above - below) * (at - low)
        )
    return found


def increases(windows: Ints, rows: Table, points: Table, before: Table) -> Table:
    """By how much a counter has gone up in each window: one column, a row for each of `rows`.

    A number that is lower than the one before it is of a counter that has begun anew at 0.
    `before` has the last number before the first window, if there is one: a step belongs to the
    window in which it is seen, so windows add up.  Of the first number of all nothing is known, and
    it counts as 0.
    """
    held = _numbers(points)
    values = np.concatenate((before.values, held.values))
    with np.errstate(invalid="ignore"):
        steps = np.diff(values, prepend=values[:1])
    steps = np.where(steps < 0, values, steps)[len(before) :]
    placed = _placed(rows, np.searchsorted(windows, held.times, side="right") - 1)
    bounds = np.stack((placed.begins, placed.ends), axis=1)[placed.is_whole]
    found = np.full(len(rows), np.nan)
    found[placed.is_whole] = np.add.reduceat(np.append(steps, 0.0), bounds.ravel())[::2]
    return Table(rows.times, found.reshape(1, -1))


def added(tables: Sequence[Table]) -> Floats:
    """Increases of several series in the windows that any of them has, added up."""
    both = joined(tables, 1)
    if len(tables) == 1:
        return both.values
    order = np.argsort(both.times, kind="stable")
    times, values = both.times[order], both.values[order]
    begins = np.flatnonzero(np.append(True, times[1:] != times[:-1]))[: len(times)]
    found: Floats = np.add.reduceat(values, begins) if len(times) else values
    return found
