"""A map that grows without a long step.

A dictionary that is full moves all that it has in one step: 6 ms for 175,000 keys, 85 ms for 1.4
million (2026-11-28), and whoever is a member's loop has 5.  So a map of many keys is several
dictionaries, each key in one of them.  None has more than PART_COUNT_MAX, and whoever adds many at
once adds a bounded number; so what is moved at once are half as many, 1.5 ms.  Nearly all maps are
small and have one part, and then each call is the dictionary's own.

Like a dictionary it remembers in which order its keys came.

Full?  A look-up asks each part: twenty nanoseconds for each, and a million keys are in thirteen.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, islice
from typing import Final, Generic, TypeVar

# A dictionary grows when two thirds of a power of two are taken: at 43,690 keys, then at 87,381.
PART_COUNT_MAX: Final = 80_000
K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class _Missing(Enum):
    MISSING = "missing"


_MISSING: Final = _Missing.MISSING


class PartedMap(Generic[K, V]):
    """Keys and values; a value may be None."""

    __slots__ = ("_count_max", "_full", "_newest")

    def __init__(self, count_max: int = PART_COUNT_MAX) -> None:
        """Have none; a part gets no more keys once it has `count_max`."""
        self._count_max = count_max
        # Parts that get no more keys, oldest first; values of theirs change and keys go away.
        self._full: list[dict[K, V]] = []
        self._newest: dict[K, V] = {}

    @property
    def parts(self) -> list[dict[K, V]]:
        """All parts, oldest first; for reading."""
        return [*self._full, self._newest]

    def __len__(self) -> int:
        """How many keys there are."""
        count = len(self._newest)
        for part in self._full:
            count += len(part)
        return count

    def __iter__(self) -> Iterator[K]:
        """The keys, as they came."""
        return chain.from_iterable(self.parts)

    def items(self) -> Iterator[tuple[K, V]]:
        """Keys and values, as the keys came."""
        return chain.from_iterable(part.items() for part in self.parts)

    def values(self) -> Iterator[V]:
        """The values, in the same order."""
        return chain.from_iterable(part.values() for part in self.parts)

    def latest(self, count: int) -> Iterator[K]:
        """The keys that came last, those first."""
        return islice(chain.from_iterable(map(reversed, reversed(self.parts))), count)

    def get(self, key: K, default: D) -> V | D:
        """The value of a key, or `default`."""
        value: V | D | _Missing = self._newest.get(key, _MISSING)
        if value is _MISSING:
            for part in self._full:
                value = part.get(key, _MISSING)
                if value is not _MISSING:
                    break
            else:
                return default
        return value

    def __contains__(self, key: K) -> bool:
        """Whether there is such a key."""
        for part in self._full:
            if key in part:
                return True
        return key in self._newest

    def __getitem__(self, key: K) -> V:
        """The value of a key that is there."""
        return self._part_of(key)[key] if self._full else self._newest[key]

    def __setitem__(self, key: K, value: V) -> None:
        """Set a key."""
        if self._full:
            self._part_of(key)[key] = value
        else:
            self._newest[key] = value
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def remove(self, keys: Iterable[K]) -> None:
        """Forget keys that are known."""
        newest = self._newest
        for key in keys:
            if self._full:
                del self._part_of(key)[key]
            else:
                del newest[key]

    def update(self, rows: Iterable[tuple[K, V]]) -> None:
        """Set some thousands of keys at most."""
        if self._full:
            self._add(dict(rows))
        else:
            self._newest.update(rows)
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def cover(self, above: "PartedMap[K, V]") -> None:
        """Take over some thousands of keys at most."""
        for part in above.parts:
            if self._full:
                self._add(part.copy())
            else:
                self._newest.update(part)  # without a look at each
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def _add(self, rows: dict[K, V]) -> None:
        """Set keys where each stands already, and those that stand nowhere in the newest part."""
        for part in self._full:
            known = part.keys()
            if not known.isdisjoint(rows):  # which most are, and that is C's to see
                for key in known & rows.keys():
                    part[key] = rows.pop(key)
        self._newest.update(rows)

    def _part_of(self, key: K) -> dict[K, V]:
        """The part that has a key, or that gets it."""
        for part in self._full:
            if key in part:
                return part
        return self._newest

    def _begin_part(self) -> None:
        self._full.append(self._newest)
        self._newest = {}

    def forget_latest(self, count: int) -> int:
        """Forget so many keys, those that came last first; of how many."""
        left = count = min(count, len(self))
        while left:
            part = self._newest
            for _ in range(min(left, len(part))):
                part.popitem()
                left -= 1
            if left:
                self._newest = self._full.pop()
        if len(self._newest) >= self._count_max:
            self._begin_part()  # one that is full gets no more, now as before
        return count
