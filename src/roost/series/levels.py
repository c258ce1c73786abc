"""The levels of a series: its points, and what is summed up of them by 15 minutes, hours and days.

Of an offset from UTC a quarter of an hour is all that a time zone of today needs: days of any zone
are made of these.  A level's rows lie in blocks, which belong to a series, and to a group: blocks
of points to a month or so (a partition, `PARTITION_BITS`), so that what is written now lies
together, and what is old goes in one piece; those of the others to their level.

The row of a bucket is kept when its series has gone on to a later bucket (`State.summed`), and when
it sums up ROW_NUMBERS_MIN numbers at least: fewer are summed up again as quickly as a row is read.
So of each bucket before that one there is a row that is exact, or there are few points.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from roost.series.summaries import COLUMN_COUNT
from roost.series.tables import TIME_MIN, TIME_STOP

POINTS_TREE = "series.points"
ROWS_TREE = "series.rows"
# 26 days of nanoseconds.
PARTITION_BITS = 51
_FIRST_PARTITION = -(1 << (63 - PARTITION_BITS))
ROW_NUMBERS_MIN = 30
KEY = Struct(">HIQ")
_SHIFT = 1 << 63
SID_MAX = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of a series that lie together: its number, and the times that can be in it."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Level:
    """A level; `width_ns` is that of a bucket, 0 of points."""

    number: int
    width_ns: int
    column_count: int
    tree: str

    def group(self, time: int) -> Group:
        """The group of a time."""
        if self.number:
            return Group(self.number, TIME_MIN, TIME_STOP)
        part = time >> PARTITION_BITS
        start = part << PARTITION_BITS
        return Group(part - _FIRST_PARTITION, start, start + (1 << PARTITION_BITS))

    def groups(self, start: int, stop: int) -> Iterator[Group]:
        """Groups that have times of a range, in order."""
        while start < stop:
            found = self.group(start)
            yield found
            start = found.stop


_MINUTE_NS = 60 * 10**9
POINTS = Level(0, 0, 1, POINTS_TREE)
ROLLUPS = (
    Level(1, 15 * _MINUTE_NS, COLUMN_COUNT, ROWS_TREE),
    Level(2, 60 * _MINUTE_NS, COLUMN_COUNT, ROWS_TREE),
    Level(3, 24 * 60 * _MINUTE_NS, COLUMN_COUNT, ROWS_TREE),
)


# What is left of points that were thinned: the finest rows, of which all others can be made.
QUARTER_NS = ROLLUPS[0].width_ns
# Horizons of thinning lie on days, so that no row is ever half.
DAY_NS = ROLLUPS[-1].width_ns


def block_key(group: int, sid: int, time: int) -> bytes:
    """The key of a block that begins at a time; group first, then series."""
    return KEY.pack(group, sid, time + _SHIFT)
