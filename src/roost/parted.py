"""Maps that grow without a long step.

A dictionary that is full moves all that it has in one step: 6 ms for 175,000 keys, 85 ms for 1.4
million (2026-11-28), and whoever is a member's loop has 5.  So a map of many keys is several
dictionaries, each key in one of them.  None has more than PART_COUNT_MAX, and whoever adds many at
once adds a bounded number; so what is moved at once are half as many, 1.5 ms.  Nearly all maps are
small and have one part, and then each call is the dictionary's own.

`PartedMap` remembers in which order its keys came, like a dictionary, and is for what grows and
then is gone: a part that is full gets no keys in the place of those that went.  `HashedMap` is for
keys that come and go for ever: its hash says in which part a key is.

Full?  A look-up in a `PartedMap` asks each part: twenty nanoseconds for each, and a million keys
are in thirteen.  A `HashedMap` of a million has some 16,000 keys in each part.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, islice
from typing import Final, Generic, TypeVar

# A dictionary grows when two thirds of a power of two are taken: at 43,690 keys, then at 87,381.
PART_COUNT_MAX: Final = 80_000
# Prime: a dictionary goes by the last bits of a hash, which all keys of a part must not share.
HASHED_COUNT: Final = 61
SPLIT_COUNT: Final = 8192
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
        fresh: dict[K, V] = {}  # first: without memory for it nothing has changed
        self._full.append(self._newest)
        self._newest = fresh

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


class HashedMap(Generic[K, V]):
    """Keys and values, in no order; for keys that come and go."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        """Have none."""
        # One, until that has SPLIT_COUNT keys; then it is parted once and for all.
        self._parts: list[dict[K, V]] = [{}]

    def __len__(self) -> int:
        """How many keys there are."""
        return sum(map(len, self._parts))

    def __contains__(self, key: K) -> bool:
        """Whether there is such a key."""
        return key in self._part_of(key)

    def get(self, key: K, default: D) -> V | D:
        """The value of a key, or `default`."""
        return self._part_of(key).get(key, default)

    def __setitem__(self, key: K, value: V) -> None:
        """Set a key."""
        part = self._part_of(key)
        part[key] = value
        if len(part) >= SPLIT_COUNT and len(self._parts) == 1:
            self._split(part)

    def pop(self, key: K, default: D) -> V | D:
        """Forget a key; its value, or `default`."""
        return self._part_of(key).pop(key, default)

    def some(self, count: int) -> list[K]:
        """So many of the keys, or all."""
        return list(islice(chain.from_iterable(self._parts), count))

    def forget_some(self, count: int) -> int:
        """Forget so many keys; of how many."""
        left = count
        for part in self._parts:
            for _ in range(min(left, len(part))):
                part.popitem()
                left -= 1
        return count - left

    def _part_of(self, key: K) -> dict[K, V]:
        parts = self._parts
        return parts[hash(key) % len(parts)] if len(parts) > 1 else parts[0]

    def _split(self, whole: dict[K, V]) -> None:
        try:
            parts: list[dict[K, V]] = [{} for _ in range(HASHED_COUNT)]
            for key, value in whole.items():
                parts[hash(key) % HASHED_COUNT][key] = value
        except MemoryError:
            return  # the key is there all the same, and the next one may find room
        self._parts = parts
