"""Which rows of a source a derived tree has still to look at: keys, and ranges of keys.

A key is noted with the log position at which it was first changed since it was last looked at.
When its turn comes its newest value is read, so a key that changes again has nothing more to note,
and order does not matter.  A range is looked at from its beginning to its end; what changes in the
part that is still to come is not noted, since it will be read.

Full?  More than KEYS_MAX keys, or BYTES_MAX of them, become one range that has them all in it, and
more than RANGES_MAX ranges become one: nothing is forgotten, more is looked at.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

KEYS_MAX = 50_000
BYTES_MAX = 8 << 20
RANGES_MAX = 16


@dataclass(slots=True)
class DirtyRange:
    """Keys from `first` to before `stop`, None = the end, since log position `index`."""

    first: bytes
    stop: bytes | None
    index: int

    def covers(self, key: bytes) -> bool:
        """Whether a key is in it."""
        return self.first <= key and (self.stop is None or key < self.stop)


class Dirty:
    """See the module."""

    __slots__ = ("_bytes", "_keys", "ranges")

    def __init__(self) -> None:
        """All was looked at."""
        # In the order of the log positions, which only grow.  A plain dictionary would look for its
        # first key behind all that were removed before it.
        self._keys: OrderedDict[bytes, int] = OrderedDict()
        self._bytes = 0
        # The first is being looked at.
        self.ranges: deque[DirtyRange] = deque()

    @property
    def has_keys(self) -> bool:
        """Whether single keys wait."""
        return bool(self._keys)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._keys and not self.ranges

    @property
    def key_count(self) -> int:
        """How many single keys wait."""
        return len(self._keys)

    def note(self, key: bytes, index: int) -> None:
        """A key was changed at `index`, or may have been."""
        if key in self._keys or any(it.covers(key) for it in self.ranges):
            return
        self._keys[key] = index
        self._bytes += len(key)
        if len(self._keys) > KEYS_MAX or self._bytes > BYTES_MAX:
            self._make_a_range()

    def _make_a_range(self) -> None:
        keys = self._keys
        first, last, index = min(keys), max(keys), next(iter(keys.values()))
        self._keys, self._bytes = OrderedDict(), 0
        self.note_range(first, last + b"\0", index)

    def note_range(self, first: bytes, stop: bytes | None, index: int) -> None:
        """Keys of a range were changed at `index`, or may have been."""
        if stop is not None and first >= stop:
            return
        self.ranges.append(DirtyRange(first, stop, index))
        if len(self.ranges) > RANGES_MAX:
            begin = min(it.first for it in self.ranges)
            stops = [it.stop for it in self.ranges if it.stop is not None]
            end = max(stops) if len(stops) == len(self.ranges) else None
            oldest = min(it.index for it in self.ranges)
            self.ranges = deque([DirtyRange(begin, end, oldest)])

    @property
    def oldest_key_index(self) -> int | None:
        """The position of the oldest change of a single key; None = there is none."""
        return next(iter(self._keys.values()), None)

    @property
    def oldest_index(self) -> int | None:
        """The position of the oldest change; None = there is none."""
        indexes = [it.index for it in self.ranges]
        if self._keys:
            indexes.append(next(iter(self._keys.values())))
        return min(indexes, default=None)

    def take_key(self) -> bytes:
        """The key that waits for longest; it waits no more."""
        key, _ = self._keys.popitem(last=False)
        self._bytes -= len(key)
        return key

    def go_on_at(self, place: bytes | None) -> None:
        """The first range was looked at up to before `place`; None = all of it."""
        found = self.ranges[0]
        if place is None or (found.stop is not None and place >= found.stop):
            self.ranges.popleft()
        else:
            found.first = place

    def clear(self) -> None:
        """Nothing waits."""
        self._keys.clear()
        self._bytes = 0
        self.ranges.clear()
