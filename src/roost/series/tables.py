"""Tables: rows of a time and some numbers, in the order of their times, each time once.

Points are tables of one column, their values; what is summed up of points has seven
(`summaries`).  So blocks, merging and cutting are written once for both.

Times are nanoseconds since 1970, from TIME_MIN to before TIME_STOP: 1677 to 2262, without a month
at each end, so that every bucket that has a point in it is a range of int64, too.  Ranges have
their first time in them, and not their last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from roost.series.extra import Floats, Ints, Mask, np

TIME_MIN = -(1 << 63) + (1 << 52)
TIME_STOP = (1 << 63) - (1 << 52)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows: `columns[c][r]` is the number of row r in column c."""

    times: Ints
    columns: Floats

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.times)

    @property
    def values(self) -> Floats:
        """The values of points."""
        values: Floats = self.columns[0]
        return values

    def at(self, chosen: "Ints | Mask | slice") -> "Table":
        """Some of the rows, in their order."""
        return Table(self.times[chosen], self.columns[:, chosen])

    def between(self, start: int, stop: int) -> "Table":
        """The rows of a range."""
        first, last = np.searchsorted(self.times, (start, stop))
        return self.at(slice(int(first), int(last)))


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of time in order, none empty, and none in another."""

    starts: Ints
    stops: Ints

    def __len__(self) -> int:
        """How many there are."""
        return len(self.starts)

    def holds(self, times: Ints) -> Mask:
        """Which of these times are in one of them."""
        place = np.searchsorted(self.starts, times, side="right") - 1
        found: Mask = np.zeros(len(times), np.bool_)
        if len(self):
            found = (place >= 0) & (times < self.stops[np.maximum(place, 0)])
        return found

    def touches(self, starts: Ints, stops: Ints) -> Mask:
        """Which of these ranges have something in common with one of them."""
        found: Mask = np.searchsorted(self.stops, starts, side="right") < np.searchsorted(
            self.starts, stops
        )
        return found

    def clipped(self, start: int, stop: int) -> "Ranges":
        """What is between these."""
        starts, stops = np.maximum(self.starts, start), np.minimum(self.stops, stop)
        kept = starts < stops
        return Ranges(starts[kept], stops[kept])

    def without(self, inner: "Ranges") -> "Ranges":
        """What is left of them when ranges are cut out, each of which lies in one of them.

        Beginnings and ends of what is left, both in order, belong together one by one.
        """
        starts = np.sort(np.concatenate((self.starts, inner.stops)), kind="stable")
        stops = np.sort(np.concatenate((self.stops, inner.starts)), kind="stable")
        kept = starts < stops
        return Ranges(starts[kept], stops[kept])


NO_RANGES = Ranges(np.empty(0, np.int64), np.empty(0, np.int64))


def united(starts: Sequence[int], stops: Sequence[int]) -> Ranges:
    """Ranges that may lie in each other, or be empty, as those that do not."""
    if not starts:
        return NO_RANGES
    found: list[tuple[int, int]] = []
    for start, stop in sorted(zip(starts, stops, strict=True)):
        if start >= stop:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return Ranges(
        np.array([it for it, _ in found], np.int64), np.array([it for _, it in found], np.int64)
    )


def points(times: Ints, values: Floats) -> Table:
    """Points that are in order."""
    return Table(times, values.reshape(1, -1))


def empty(column_count: int) -> Table:
    """No rows."""
    return Table(np.empty(0, np.int64), np.empty((column_count, 0)))


def joined(tables: Sequence[Table], column_count: int) -> Table:
    """The rows of tables that follow each other."""
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return empty(column_count)
    return Table(
        np.concatenate([it.times for it in tables]),
        np.concatenate([it.columns for it in tables], axis=1),
    )


def overlaid(old: Table, new: Table, *, keeps_highest: bool = False) -> Table:
    """The rows of both; of two of one time the new one, or of points the higher, if that is asked.

    In no order within one of them, too: of rows of one time the last counts.
    """
    if not len(new):
        return old
    is_behind = not len(old) or old.times[-1] < new.times[0]
    both = new if not len(old) else joined((old, new), len(new.columns))
    if is_behind and bool((new.times[1:] > new.times[:-1]).all()):
        return both
    if keeps_highest:
        # A number is higher than none, and 0.0 than -0.0.
        values = both.values
        order = np.lexsort((~np.signbit(values), values, ~np.isnan(values), both.times))
    else:
        order = np.argsort(both.times, kind="stable")
    times = both.times[order]
    is_last = np.append(times[1:] != times[:-1], True)
    return Table(times[is_last], both.columns[:, order[is_last]])
