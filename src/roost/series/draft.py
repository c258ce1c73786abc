"""What a tree will be: its rows as they are, with changes that are not written yet.

Whoever makes new blocks of old ones reads what he has written himself, and hands all of it over as
one `Edits`: ranges that are removed, then rows that are put.  Nothing is known of the changes by
anybody else.  A draft without changes is simply a tree that is read.
"""

from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

__all__ = ["Bytes", "Draft", "Edits", "Row", "Spend", "spend_nothing"]

Row = tuple[bytes, bytes]
# Called with what was done, in rows; it waits when a turn of the loop has had enough.
Spend = Callable[[int], Awaitable[None]]


class Bytes(Protocol):
    """A tree of bytes, as `roost.database.aio.ReadTree` is one."""

    async def get(self, key: bytes) -> bytes | None:
        """The value of a key."""

    def pages(
        self,
        *,
        first: bytes | None = None,
        stop: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[list[Row]]:
        """Rows of a range, some at a time."""


class Edits(msgspec.Struct, frozen=True, array_like=True):
    """Changes of one tree: ranges are removed first, then rows are put."""

    tree: str
    removed: list[tuple[bytes, bytes]]
    rows: list[Row]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is changed."""
        return not self.removed and not self.rows


async def spend_nothing(_rows: int) -> None:
    """For whoever has time."""


class Draft:
    """One tree, and changes of it."""

    def __init__(self, name: str, tree: Bytes, spend: Spend = spend_nothing) -> None:
        """Read `tree`; nothing is changed."""
        self.name = name
        self.spend = spend
        self._tree = tree
        self._removed: list[tuple[bytes, bytes]] = []
        self._rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self.edited_bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        if key not in self._rows:
            insort(self._keys, key)
        self._rows[key] = value
        self.edited_bytes += len(key) + len(value)

    def remove(self, first: bytes, stop: bytes) -> None:
        """Remove the keys from `first` to before `stop`."""
        for key in self._own(first, stop):
            del self._rows[key]
        begin = bisect_left(self._keys, first)
        del self._keys[begin : bisect_left(self._keys, stop)]
        self._removed.append((first, stop))
        self.edited_bytes += len(first) + len(stop)

    def _own(self, first: bytes, stop: bytes) -> list[bytes]:
        return self._keys[bisect_left(self._keys, first) : bisect_left(self._keys, stop)]

    async def scan(
        self, first: bytes, stop: bytes, limit: int, *, reverse: bool = False
    ) -> list[Row]:
        """`limit` rows of a range at most, in order, or from its end."""
        own = self._own(first, stop)
        rows = [(key, self._rows[key]) for key in own]
        while first < stop and limit > 0:
            page = [
                it
                async for part in self._tree.pages(
                    first=first, stop=stop, reverse=reverse, limit=limit
                )
                for it in part
            ]
            await self.spend(1 + len(page))
            hidden = None
            for key, value in page:
                hidden = self._hiding(key)
                if hidden is not None:
                    break
                if key not in self._rows:
                    rows.append((key, value))
            if hidden is None:
                break
            # What was removed may be long: go on behind it.
            first, stop = (first, hidden[0]) if reverse else (hidden[1], stop)
        rows.sort(reverse=reverse)
        return rows[:limit]

    def _hiding(self, key: bytes) -> tuple[bytes, bytes] | None:
        """A range that was removed and has this key in it."""
        return next((it for it in self._removed if it[0] <= key < it[1]), None)

    def edits(self) -> Edits:
        """All changes."""
        return Edits(self.name, self._removed, [(key, self._rows[key]) for key in self._keys])
