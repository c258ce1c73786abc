"""What a role permits, in an order in which it can be searched.

A role's row names ranges as they were granted: in the order of their keys, overlapping as they
please, some to read and some to write.  Whoever asks whether a range is permitted wants them
apart, each kind by itself, those that touch made one.  That takes 2 microseconds a permission, and
a role has thousands, so it is made in steps, once for what is written, and remembered.

Full?  So many bytes are remembered; then that goes which was asked for the longest ago.
"""

from bisect import bisect_right
from typing import NamedTuple

from roost.etcd.model.costs import BYTES_A_ROW_LOG2, Costs
from roost.etcd.model.mvcc import range_stop
from roost.proto import auth_pb2

READS = frozenset((auth_pb2.Permission.READ, auth_pb2.Permission.READWRITE))
WRITES = frozenset((auth_pb2.Permission.WRITE, auth_pb2.Permission.READWRITE))
# So many permissions are looked at in a step, each of which takes as long as reading a row.
_STEP_COUNT = 100
# All roles of a cluster of many; what a range takes beside the bytes that name it.
REMEMBERED_BYTES_MAX, _RANGE_BYTES = 32 << 20, 128


class _Granted(NamedTuple):
    """One permission of a role."""

    first: bytes
    stop: bytes | None
    kind: int


class Ranges:
    """Ranges of keys, in order and apart.

    A search is a matter of a microsecond, so whoever makes many counts several as a row.
    """

    __slots__ = ("_firsts", "_stops")

    def __init__(self) -> None:
        """There is none."""
        self._firsts: list[bytes] = []
        # None is the end of all keys, and of the last range only.
        self._stops: list[bytes | None] = []

    def __len__(self) -> int:
        """How many."""
        return len(self._firsts)

    def add(self, first: bytes, stop: bytes | None) -> None:
        """Behind all that begin before it, or with the last one if they touch."""
        if stop is not None and stop <= first:
            return  # an empty range permits nothing
        if self._firsts:
            assert first >= self._firsts[-1], "ranges are added in the order of their first keys"
            held = self._stops[-1]
            if held is None:
                return
            if first <= held:
                self._stops[-1] = None if stop is None else max(held, stop)
                return
        self._firsts.append(first)
        self._stops.append(stop)

    def reach(self, key: bytes) -> bytes | None:
        """Up to where all is permitted from a key on; the key itself where nothing is.

        None is the end of all keys.
        """
        place = bisect_right(self._firsts, key)
        if not place:
            return key
        stop = self._stops[place - 1]
        return None if stop is None else max(stop, key)

    def following(self, key: bytes) -> int:
        """The place of the first range that begins behind a key."""
        return bisect_right(self._firsts, key)

    def at(self, place: int) -> tuple[bytes, bytes | None]:
        """First key and stop of the range at a place."""
        return self._firsts[place], self._stops[place]


class Permitted:
    """What a role permits to read, and to write."""

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        """Nothing."""
        self.reads, self.writes = Ranges(), Ranges()

    def __len__(self) -> int:
        """How many ranges there are of both."""
        return len(self.reads) + len(self.writes)


def permitted_by(row: bytes) -> Costs[Permitted]:
    """What is permitted by the role of that row, in steps."""
    held = auth_pb2.Role.FromString(row).keyPermission
    yield len(row) >> BYTES_A_ROW_LOG2
    found: list[_Granted] = []
    for place in range(0, len(held), _STEP_COUNT):
        part = held[place : place + _STEP_COUNT]
        found += [_Granted(it.key, range_stop(it.key, it.range_end), it.permType) for it in part]
        yield len(part)
    found.sort(key=lambda it: it.first)  # they are, as we and etcd write them
    permitted = Permitted()
    for place, (first, stop, kind) in enumerate(found):
        if kind in READS:
            permitted.reads.add(first, stop)
        if kind in WRITES:
            permitted.writes.add(first, stop)
        if place % _STEP_COUNT == _STEP_COUNT - 1:
            yield _STEP_COUNT // 2
    return permitted


class Remembered:
    """What the roles of a cluster permit, by what is written of them."""

    __slots__ = ("_by_row", "_bytes", "_bytes_max")

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        """Nothing is remembered."""
        self._bytes, self._bytes_max = 0, bytes_max
        # In the order in which they were asked for.
        self._by_row: dict[bytes, Permitted] = {}

    def __len__(self) -> int:
        """How many bytes are remembered."""
        return self._bytes

    def of(self, row: bytes) -> Costs[Permitted]:
        """What is permitted by the role of that row, in steps that are few when it is known."""
        yield 1 + (len(row) >> BYTES_A_ROW_LOG2)
        found = self._by_row.pop(row, None)
        if found is None:
            found = yield from permitted_by(row)
            self._bytes += _size_of(row, found)
            while self._by_row and self._bytes > self._bytes_max:
                oldest = next(iter(self._by_row))
                self._bytes -= _size_of(oldest, self._by_row.pop(oldest))
            beside = self._by_row.pop(row, None)  # who else has made it in these turns
            self._bytes -= 0 if beside is None else _size_of(row, beside)
        self._by_row[row] = found
        return found


def _size_of(row: bytes, permitted: Permitted) -> int:
    return len(row) + _RANGE_BYTES * (1 + len(permitted))
