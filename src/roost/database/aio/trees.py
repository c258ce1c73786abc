"""The asyncio face of trees: reads, a round to a majority each, and writes of a single tree.

A read sees everything that was acknowledged before it began, on whichever member; of `db.local`,
what this member has applied.  Bounds are keys of the tree's type: `first` is in the range, `stop`
is not, `prefix` is what keys begin with.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Generic, overload

from roost.database import builtin
from roost.database.bounds import PAGE_ROWS, D, K, Shape, V, check_limit, check_users_name, shape_of
from roost.database.codecs import value_codec
from roost.database.conventions import ENDS_KEY, QUEUE_KEYS, ends_of, held_at, multi_shape, place_of
from roost.database.ordered import after_parts
from roost.database.source import Asker, Source
from roost.database.updates import put_if_many
from roost.faces import KeyedRead, KeyedWrite, WithLength, also, translated

# Keys that are counted in one go: about a millisecond (record 0009).
COUNTED_ROWS = 1000


@also(KeyedRead[K, V])
class ReadTree(Generic[K, V]):
    """One tree, to be read; see the module."""

    def __init__(self, name: str, key: type[K], value: type[V], source: Source) -> None:
        """Read from `source`."""
        self._shape: Shape[K, V] = shape_of(name, key, value)
        self._source = source

    @property
    def name(self) -> str:
        """The tree's name."""
        return self._shape.name

    async def _open(self) -> int | None:
        """Wait until the tree may be read; its id."""
        await self._source.ready()
        return self._source.open(self.name, self._shape.keys.name, self._shape.values.name)

    @overload
    async def get(self, key: K) -> V | None: ...
    @overload
    async def get(self, key: K, default: D) -> V | D: ...
    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or `default`.

        Raises:
            BadKey: it is no key of this tree.
            OtherCodec, NotYourTree: the tree holds something else.
            NoLeader: no majority could be asked in time.

        """
        encoded = self._shape.keys.encode(key)
        held = self._source.get(await self._open(), encoded)
        return default if held is None else self._shape.values.decode(held)

    async def has(self, key: K) -> bool:
        """Whether there is such a key."""
        encoded = self._shape.keys.encode(key)
        return self._source.get(await self._open(), encoded) is not None

    async def pages(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[list[tuple[K, V]], None]:
        """Rows of a range in order, up to PAGE_ROWS, or 256 KiB; from the end with `reverse`.

        Each page is of one state; a later page may show a later one.
        """
        check_limit(limit)
        found, row, left = self._shape.range(first, stop, prefix), self._shape.row, limit
        tree_id = await self._open()
        parts = self._source.parts(tree_id, found.first, found.stop, reverse=reverse)
        while left is None or left > 0:
            page = parts.take(PAGE_ROWS if left is None else min(left, PAGE_ROWS))
            if page:
                yield [row(*it) for it in page]
            if parts.is_done:
                return
            left = None if left is None else left - len(page)
            await asyncio.sleep(0)

    @translated
    async def items(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[tuple[K, V], None]:
        """Keys and values of a range in order, from the end with `reverse`; read as `pages`."""
        async for page in self.pages(
            first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit
        ):
            for row in page:
                yield row

    @translated
    async def keys(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[K, None]:
        """Keys of a range in order, from the end with `reverse`; read as `pages`."""
        async for page in self.pages(
            first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit
        ):
            for key, _ in page:
                yield key

    @translated
    async def values(
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncGenerator[V, None]:
        """Values of a range in the order of their keys; read as `pages`."""
        async for page in self.pages(
            first=first, stop=stop, prefix=prefix, reverse=reverse, limit=limit
        ):
            for _, value in page:
                yield value

    async def first(self) -> tuple[K, V] | None:
        """The first row, or None."""
        return await self._end(reverse=False)

    async def last(self) -> tuple[K, V] | None:
        """The last row, or None."""
        return await self._end(reverse=True)

    async def _end(self, *, reverse: bool) -> tuple[K, V] | None:
        parts = self._source.parts(await self._open(), b"", None, reverse=reverse)
        while True:
            found = parts.take(1)
            if found:
                return self._shape.row(*found[0])
            if parts.is_done:
                return None
            await asyncio.sleep(0)

    async def count(
        self, *, first: K | None = None, stop: K | None = None, prefix: Any = None
    ) -> int:
        """How many keys are in a range; it walks over them, some at a time."""
        found = self._shape.range(first, stop, prefix)
        tree_id = await self._open()
        parts = self._source.parts(tree_id, found.first, found.stop, keys_only=True)
        total = 0
        while True:
            total += len(parts.take(COUNTED_ROWS))
            if parts.is_done:
                return total
            await asyncio.sleep(0)


@also(KeyedWrite[K, V])
class Tree(ReadTree[K, V], Generic[K, V]):
    """One tree, to be read and written; each write is an operation of its own.

    What has to happen together is one operation (`Operations`), not several of these.
    """

    def __init__(
        self, name: str, key: type[K], value: type[V], source: Source, asker: Asker
    ) -> None:
        """Read from `source`, write by `asker`."""
        super().__init__(name, key, value, source)
        self._asker = asker

    def _said(self) -> tuple[str, str]:
        """How keys and values are written."""
        return self._shape.keys.name, self._shape.values.name

    async def put(self, key: K, value: V) -> None:
        """Set the value of a key; it is durable on a majority when this returns.

        Raises:
            BadKey, BadValue: they are none of this tree's.
            Refused: they are too large, or the tree holds something else.
            OutcomeUnknown: it may have been done.
            NotExecuted: it was not.

        """
        row = self._shape.keys.encode(key), self._shape.values.encode(value)
        await self._asker.ask(builtin.PUT, self.name, *self._said(), [row])

    async def update(self, rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> None:
        """Set many keys at once: all of them, or none; many are sent, and put, in parts.

        Raises:
            BadArgument: they are no pairs.
            BadKey, BadValue, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        left = await put_if_many(rows, self._shape, self._asker)
        if left is not None:
            await self._asker.ask(builtin.PUT, self.name, *self._said(), left)

    async def delete(self, key: K) -> bool:
        """Remove a key; whether it was there.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        encoded = self._shape.keys.encode(key)
        return await self._asker.ask(builtin.DELETE, self.name, *self._said(), encoded)

    async def delete_range(
        self, *, first: K | None = None, stop: K | None = None, prefix: Any = None
    ) -> None:
        """Remove all keys of a range; it costs one row, whatever it removes.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `put`.

        """
        found = self._shape.range(first, stop, prefix)
        said = self._said()
        await self._asker.ask(builtin.DELETE_RANGE, self.name, *said, found.first, found.stop)


class ReadMultiTree(Generic[K, V]):
    """Many values under a key, each once, in order; to be read."""

    def __init__(self, name: str, key: type[K], value: type[V], source: Source) -> None:
        """Read from `source`."""
        self._shape = multi_shape(name, key, value)
        self._source = source

    @property
    def name(self) -> str:
        """The tree's name."""
        return self._shape.name

    async def _open(self) -> int | None:
        await self._source.ready()
        return self._source.open(self.name, self._shape.keys.name, self._shape.values.name)

    async def has(self, key: K, value: V) -> bool:
        """Whether that value is under that key."""
        encoded = self._shape.encode(key, value)
        return self._source.get(await self._open(), encoded) is not None

    async def pages(self, key: K) -> AsyncGenerator[list[V], None]:
        """The values under a key in order, up to PAGE_ROWS at a time."""
        begin = self._shape.encode_key(key)
        stop = after_parts(begin)
        tree_id = await self._open()
        parts = self._source.parts(tree_id, begin, stop)
        while True:
            page = parts.take(PAGE_ROWS)
            if page:
                yield [self._shape.value(row) for row, _ in page]
            if parts.is_done:
                return
            await asyncio.sleep(0)

    @translated
    async def values(self, key: K) -> AsyncGenerator[V, None]:
        """The values under a key, in order; read as `pages`."""
        async for page in self.pages(key):
            for value in page:
                yield value

    async def count(self, key: K) -> int:
        """How many values are under a key; it walks over them."""
        total = 0
        async for page in self.pages(key):
            total += len(page)
        return total


class MultiTree(ReadMultiTree[K, V], Generic[K, V]):
    """Many values under a key, each once, in order; each change is an operation of its own."""

    def __init__(
        self, name: str, key: type[K], value: type[V], source: Source, asker: Asker
    ) -> None:
        """Read from `source`, write by `asker`."""
        super().__init__(name, key, value, source)
        self._asker = asker

    def _said(self) -> tuple[str, str]:
        """How its rows are written."""
        return self._shape.keys.name, self._shape.values.name

    async def add(self, key: K, value: V) -> None:
        """Put a value under a key; it may be there already.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        row = self._shape.encode(key, value), b""
        await self._asker.ask(builtin.PUT, self.name, *self._said(), [row])

    async def discard(self, key: K, value: V) -> bool:
        """Remove a value from under a key; whether it was there.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        encoded = self._shape.encode(key, value)
        return await self._asker.ask(builtin.DELETE, self.name, *self._said(), encoded)

    async def discard_all(self, key: K) -> None:
        """Remove all values from under a key; it costs one row.

        Raises:
            BadKey, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        begin = self._shape.encode_key(key)
        said = self._said()
        await self._asker.ask(builtin.DELETE_RANGE, self.name, *said, begin, after_parts(begin))


@also(WithLength)
class Queue(Generic[V]):
    """What is appended at the end is taken from the start; each is an operation of its own."""

    def __init__(self, name: str, value: type[V], source: Source, asker: Asker) -> None:
        """Read from `source`, write by `asker`."""
        check_users_name(name)
        self._name = name
        self._values = value_codec(value)
        self._source = source
        self._asker = asker

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._name

    async def append(self, value: V) -> int:
        """Put a value at the end; return its position, which says how many came before.

        Raises:
            BadValue, Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        content = self._values.encode(value)
        return await self._asker.ask(builtin.APPEND, self._name, self._values.name, content)

    async def take(self) -> V | None:
        """Take the value at the start; None when there is none.

        After `OutcomeUnknown` it may be gone without having been seen: where that matters, take
        and note it in one operation.

        Raises:
            Refused, OutcomeUnknown, NotExecuted: as `Tree.put`.

        """
        held = await self._asker.ask(builtin.TAKE, self._name, self._values.name)
        return None if held is None else self._values.decode(held)

    async def peek(self) -> V | None:
        """The value at the start, which stays; None when there is none."""
        tree_id = await self._open()
        ends = ends_of(self._source.get(tree_id, ENDS_KEY))
        if not ends:
            return None
        held = held_at(self._source.get(tree_id, place_of(ends.head)), ends.head)
        return self._values.decode(held)

    async def length(self) -> int:
        """How many there are; it reads one row."""
        return len(ends_of(self._source.get(await self._open(), ENDS_KEY)))

    async def _open(self) -> int | None:
        await self._source.ready()
        return self._source.open(self._name, QUEUE_KEYS, self._values.name)
