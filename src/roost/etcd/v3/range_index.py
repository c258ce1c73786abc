"""Watchers of ranges that are neither a key nor a prefix, found by a key that lies in them.

An interval tree laid out in sorted arrays: the middle of a part is the root of its tree, and
knows how far to the right anything in the part reaches.  It is built anew when as many have come
or gone as its square root; until then the newcomers are few enough to be looked at one by one.
"""

from collections.abc import Iterator
from math import isqrt
from typing import Generic, Protocol, TypeVar


class Ranged(Protocol):
    """What has a range; `stop` None = to the end."""

    @property
    def first(self) -> bytes: ...
    @property
    def stop(self) -> bytes | None: ...


Item = TypeVar("Item", bound=Ranged)


class RangeIndex(Generic[Item]):
    """Items by the keys in their ranges."""

    def __init__(self) -> None:
        """Nothing is there."""
        self._items: dict[Item, None] = {}
        self._fresh: dict[Item, None] = {}
        self._gone_count = 0
        self._rows: list[Item] = []
        # How far the part whose middle this is reaches.
        self._reaches: list[bytes | None] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """All of them."""
        return iter(self._items)

    def __contains__(self, item: Item) -> bool:
        """Whether it is there."""
        return item in self._items

    def add(self, item: Item) -> None:
        """Find it from now on."""
        self._items[item] = self._fresh[item] = None

    def discard(self, item: Item) -> None:
        """Find it no more, if it was there."""
        if item not in self._items:
            return
        del self._items[item]
        if item in self._fresh:
            del self._fresh[item]
        else:
            self._gone_count += 1

    def at(self, key: bytes) -> Iterator[Item]:
        """Those whose range has the key in it."""
        if len(self._fresh) + self._gone_count > 8 + isqrt(len(self._items)):
            self._build()
        for item in self._fresh:
            if key >= item.first and _reaches(item.stop, key):
                yield item
        rows, reaches, items = self._rows, self._reaches, self._items
        parts = [(0, len(rows))]
        while parts:
            begin, end = parts.pop()
            if begin >= end:
                continue
            middle = (begin + end) // 2
            if not _reaches(reaches[middle], key):
                continue
            parts.append((begin, middle))
            item = rows[middle]
            if key >= item.first:
                parts.append((middle + 1, end))
                if _reaches(item.stop, key) and item in items:
                    yield item

    def _build(self) -> None:
        self._fresh.clear()
        self._gone_count = 0
        self._rows = sorted(self._items, key=lambda it: it.first)
        self._reaches = [b""] * len(self._rows)
        self._measure(0, len(self._rows))

    def _measure(self, begin: int, end: int) -> bytes | None:
        """How far a part reaches; b"" when it is empty."""
        if begin >= end:
            return b""
        middle = (begin + end) // 2
        found = (
            self._measure(begin, middle),
            self._rows[middle].stop,
            self._measure(middle + 1, end),
        )
        reach = None if None in found else max(it for it in found if it is not None)
        self._reaches[middle] = reach
        return reach


def _reaches(stop: bytes | None, key: bytes) -> bool:
    return stop is None or key < stop
