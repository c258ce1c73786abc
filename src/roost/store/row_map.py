"""Keys and values of a layer: a map that grows without a long step (D14).

A dictionary that is full moves all that it has in one step: 6 ms for 175,000 keys, 85 ms for 1.4
million (2026-11-28).  So a map of many keys is several dictionaries, each key in one of them.  None
has more than PART_COUNT_MAX, and whoever adds many at once adds a bounded number; so what is moved
at once are half as many, 1.5 ms.  Nearly all maps are small and have one part, and then each call
is the dictionary's own.

Like a dictionary it remembers in which order its keys came; `KeyOrder` lives by that.

Full?  A look-up asks each part: twenty nanoseconds for each, and a layer of LAYER_BYTES_MAX has
ninety.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, islice
from typing import Final

# A dictionary grows when two thirds of a power of two are taken: at 43,690 keys, then at 87,381.
PART_COUNT_MAX: Final = 80_000


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
# A value, None for "deleted here", or MISSING for "not known here".
Found = bytes | None | _Missing


class RowMap:
    """Keys, each with a value or None for "deleted here"."""

    __slots__ = ("_count_max", "_full", "_newest")

    def __init__(self, count_max: int = PART_COUNT_MAX) -> None:
        """Have none; a part gets no more keys once it has `count_max`."""
        self._count_max = count_max
        # Parts that get no more keys, oldest first; values of theirs change and keys go away.
        self._full: list[dict[bytes, bytes | None]] = []
        self._newest: dict[bytes, bytes | None] = {}

    @property
    def parts(self) -> list[dict[bytes, bytes | None]]:
        """All parts, oldest first; for reading."""
        return [*self._full, self._newest]

    def __len__(self) -> int:
        """How many keys there are."""
        count = len(self._newest)
        for part in self._full:
            count += len(part)
        return count

    def __iter__(self) -> Iterator[bytes]:
        """The keys, as they came."""
        return chain.from_iterable(self.parts)

    def items(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys and values, as the keys came."""
        return chain.from_iterable(part.items() for part in self.parts)

    def values(self) -> Iterator[bytes | None]:
        """The values, in the same order."""
        return chain.from_iterable(part.values() for part in self.parts)

    def latest(self, count: int) -> Iterator[bytes]:
        """The keys that came last, those first."""
        return islice(chain.from_iterable(map(reversed, reversed(self.parts))), count)

    def get(self, key: bytes) -> Found:
        """What a key is set to."""
        value: Found = self._newest.get(key, MISSING)
        if value is MISSING and self._full:
            for part in self._full:
                value = part.get(key, MISSING)
                if value is not MISSING:
                    break
        return value

    def __contains__(self, key: bytes) -> bool:
        """Whether a key is known, if only as deleted."""
        return self.get(key) is not MISSING

    def __getitem__(self, key: bytes) -> bytes | None:
        """What a key that is known is set to."""
        return self._part_of(key)[key] if self._full else self._newest[key]

    def __setitem__(self, key: bytes, value: bytes | None) -> None:
        """Set a key."""
        if self._full:
            self._part_of(key)[key] = value
        else:
            self._newest[key] = value
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget keys that are known."""
        newest = self._newest
        for key in keys:
            if self._full:
                del self._part_of(key)[key]
            else:
                del newest[key]

    def update(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set some thousands of keys at most."""
        if self._full:
            self._add(dict(rows))
        else:
            self._newest.update(rows)
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def cover(self, above: "RowMap") -> None:
        """Take over some thousands of keys at most."""
        for part in above.parts:
            if self._full:
                self._add(part.copy())
            else:
                self._newest.update(part)  # without a look at each
        if len(self._newest) >= self._count_max:
            self._begin_part()

    def _add(self, rows: dict[bytes, bytes | None]) -> None:
        """Set keys where each stands already, and those that stand nowhere in the newest part."""
        for part in self._full:
            known = part.keys()
            if not known.isdisjoint(rows):  # which most are, and that is C's to see
                for key in known & rows.keys():
                    part[key] = rows.pop(key)
        self._newest.update(rows)

    def _part_of(self, key: bytes) -> dict[bytes, bytes | None]:
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
