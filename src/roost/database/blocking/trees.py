"""The asyncio face of trees: reads, a round to a majority each, and writes of a single tree.

A read sees everything that was acknowledged before it began, on whichever member; of `db.local`,
what this member has applied.  Bounds are keys of the tree's type: `first` is in the range, `stop`
is not, `prefix` is what keys begin with.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Generic, overload

from roost.database.aio import trees as aio
from roost.database.bounds import D, K, V
from roost.faces import Face, KeyedRead, KeyedWrite, WithLength


class ReadTree(Face, KeyedRead[K, V], Generic[K, V]):
    """One tree, to be read; see the module."""

    _inner: aio.ReadTree[K, V]

    @property
    def name(self) -> str:
        """The tree's name."""
        return self._inner.name

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or `default`.

        Raises:
            BadKey: it is no key of this tree.
            OtherCodec, NotYourTree: the tree holds something else.
            NoLeader: no majority could be asked in time.

        """
        return self._loop.call(self._inner.get(key, default))

    def has(self, key: K) -> bool:
        """Whether there is such a key."""
        return self._loop.call(self._inner.has(key))

    def pages(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Generator[list[tuple[K, V]], None, None]:
        """Rows of a range in order, up to PAGE_ROWS, or 256 KiB; from the end with `reverse`.

        Each page is of one state; a later page may show a later one.

        """
        return self._loop.iterate(
            self._inner.pages(first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit)
        )

    def items(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Generator[tuple[K, V], None, None]:
        """Keys and values of a range in order, from the end with `reverse`; read as `pages`."""
        for page in self.pages(first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit):
            for row in page:
                yield row

    def keys(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Generator[K, None, None]:
        """Keys of a range in order, from the end with `reverse`; read as `pages`."""
        for page in self.pages(first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit):
            for key, _ in page:
                yield key

    def values(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Generator[V, None, None]:
        """Values of a range in the order of their keys; read as `pages`."""
        for page in self.pages(first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit):
            for _, value in page:
                yield value

    def first(self) -> tuple[K, V] | None:
        """The first row, or None."""
        return self._loop.call(self._inner.first())

    def last(self) -> tuple[K, V] | None:
        """The last row, or None."""
        return self._loop.call(self._inner.last())

    def count(self, *, first: K | None = None, stop: K | None = None, prefix: Any = None) -> int:
        """How many keys are in a range; it walks over them, some at a time."""
        return self._loop.call(self._inner.count(first=first, stop=stop, prefix=prefix))


class Tree(ReadTree[K, V], KeyedWrite[K, V], Generic[K, V]):
    """One tree, to be read and written; each write is an operation of its own.

    What has to happen together is one operation (`Operations`), not several of these.

    """

    _inner: aio.Tree[K, V]

    def put(self, key: K, value: V) -> None:
        """Set the value of a key; it is durable on a majority when this returns.

        Raises:
            BadKey, BadValue: they are none of this tree's.
            Refused: they are too large, or the tree holds something else.
            OutcomeUnknown: it may have been done.
            NotExecuted: it was not.

        """
        self._loop.call(self._inner.put(key, value))

    def update(self, rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> None:
        """Set many keys at once: all of them, or none; many are sent, and put, in parts.

        Raises:
            BadArgument: they are no pairs.
            BadKey, BadValue, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        self._loop.call(self._inner.update(rows))

    def delete(self, key: K) -> bool:
        """Remove a key; whether it was there.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        return self._loop.call(self._inner.delete(key))

    def delete_range(
        self, *, first: K | None = None, stop: K | None = None, prefix: Any = None
    ) -> None:
        """Remove all keys of a range; it costs one row, whatever it removes.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        self._loop.call(self._inner.delete_range(first=first, stop=stop, prefix=prefix))


class ReadMultiTree(Face, Generic[K, V]):
    """Many values under a key, each once, in order; to be read."""

    _inner: aio.ReadMultiTree[K, V]

    @property
    def name(self) -> str:
        """The tree's name."""
        return self._inner.name

    def has(self, key: K, value: V) -> bool:
        """Whether that value is under that key."""
        return self._loop.call(self._inner.has(key, value))

    def pages(self, key: K) -> Generator[list[V], None, None]:
        """The values under a key in order, up to PAGE_ROWS at a time."""
        return self._loop.iterate(self._inner.pages(key))

    def values(self, key: K) -> Generator[V, None, None]:
        """The values under a key, in order; read as `pages`."""
        for page in self.pages(key):
            for value in page:
                yield value

    def count(self, key: K) -> int:
        """How many values are under a key; it walks over them."""
        return self._loop.call(self._inner.count(key))


class MultiTree(ReadMultiTree[K, V], Generic[K, V]):
    """Many values under a key, each once, in order; each change is an operation of its own."""

    _inner: aio.MultiTree[K, V]

    def add(self, key: K, value: V) -> None:
        """Put a value under a key; it may be there already.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        self._loop.call(self._inner.add(key, value))

    def discard(self, key: K, value: V) -> bool:
        """Remove a value from under a key; whether it was there.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        return self._loop.call(self._inner.discard(key, value))

    def discard_all(self, key: K) -> None:
        """Remove all values from under a key; it costs one row.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        self._loop.call(self._inner.discard_all(key))


class Queue(Face, WithLength, Generic[V]):
    """What is appended at the end is taken from the start; each is an operation of its own."""

    _inner: aio.Queue[V]

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._inner.name

    def append(self, value: V) -> int:
        """Put a value at the end; return its position, which says how many came before.

        Raises:
            BadValue, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        return self._loop.call(self._inner.append(value))

    def take(self) -> V | None:
        """Take the value at the start; None when there is none.

        After `OutcomeUnknown` it may be gone without having been seen: where that matters, take
        and note it in one operation.

        Raises:
            Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        return self._loop.call(self._inner.take())

    def peek(self) -> V | None:
        """The value at the start, which stays; None when there is none."""
        return self._loop.call(self._inner.peek())

    def length(self) -> int:
        """How many there are; it reads one row."""
        return self._loop.call(self._inner.length())
