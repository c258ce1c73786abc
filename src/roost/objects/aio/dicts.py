"""The asyncio face of dictionaries and counters."""

import heapq
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Generic, TypeVar, overload

from roost.database import BadArgument, key_codec, value_codec
from roost.database.aio import Database
from roost.database.model import pairs_of
from roost.faces import KeyedWrite, also, translated
from roost.objects.aio.handle import Bytes, Handle
from roost.objects.brackets import CountBrackets
from roost.objects.layouts import operations as ops
from roost.objects.layouts.dicts import COUNT_MAX, COUNTS, NUMBER_BYTES, ROWS, Count, DictHead, Row
from roost.objects.layouts.heads import END, ITEM, OTHER, Shape, tree_of
from roost.objects.layouts.lists import there
from roost.objects.orders import MISSING

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
# Keys whose values are read one by one, in one turn.
KEYS_OF_PAGE = 64


@also(KeyedWrite[K, V])
class Keyed(Handle, Generic[K, V]):
    """Keys to values, in the order in which the keys came."""

    def __init__(self, db: Database, name: str, key: type[K], value: type[V], kind: str) -> None:
        """Open it; see `Objects`."""
        self._keys, self._values = key_codec(key), value_codec(value)
        super().__init__(db, Shape(tree_of(name), kind, self._keys.name, self._values.name))

    def _row(self, key: K, value: V) -> Row:
        return self._keys.encode(key), self._values.encode(value)

    def _read(self, row: bytes | None, default: Any) -> Any:
        return default if row is None else self._values.decode(row)

    @overload
    async def get(self, key: K) -> V | None: ...
    @overload
    async def get(self, key: K, default: D) -> V | D: ...
    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or `default`.  One round trip, one row.

        Raises:
            BadKey: it is no key of this object.

        """
        held = await self._tree.get(ITEM + self._keys.encode(key))
        return self._read(None if held is None else held[NUMBER_BYTES:], default)

    async def has(self, key: K) -> bool:
        """Whether there is such a key.  One round trip, one row."""
        return await self._tree.has(ITEM + self._keys.encode(key))

    async def count(self) -> int:
        """How many keys there are.  One round trip, one row."""
        return (await self._head(DictHead)).count

    async def put(self, key: K, value: V) -> None:
        """Set the value of a key.  One round trip; a new key is three rows, an old one is one.

        Raises:
            BadKey, BadValue: they are none of this object's.
            Refused: they are too large, or the object is something else.

        """
        await self._ask(ops.DICT_PUT, [self._row(key, value)])

    async def setdefault(self, key: K, default: V) -> V:
        """The value of a key, which becomes `default` when it is new.  Costs what `put` does."""
        found = await self._ask(ops.DICT_SET_DEFAULT, *self._row(key, default))
        return self._values.decode(found)

    async def delete(self, key: K) -> bool:
        """Remove a key; whether it was there.  One round trip, three rows."""
        return await self._ask(ops.DICT_POP, self._keys.encode(key)) is not None

    @overload
    async def pop(self, key: K) -> V: ...
    @overload
    async def pop(self, key: K, default: D) -> V | D: ...
    async def pop(self, key: K, default: Any = MISSING) -> Any:
        """Remove a key; the value that it had, else `default`.  One round trip, three rows.

        Raises:
            KeyError: it was not there, and there is no default.

        """
        held = await self._ask(ops.DICT_POP, self._keys.encode(key))
        if held is None and default is MISSING:
            raise KeyError(key)
        return self._read(held, default)

    async def popitem(self) -> tuple[K, V]:
        """Remove the key that came last, and return it.  One round trip, three rows.

        Raises:
            KeyError: there is none.

        """
        held = await self._ask(ops.DICT_POP_LAST)
        if held is None:
            raise KeyError("popitem(): dictionary is empty")
        return self._keys.decode(held[0]), self._values.decode(held[1])

    async def clear(self) -> None:
        """Remove all keys.  One round trip, two rows, whatever it removes."""
        await self._ask(ops.DICT_CLEAR)

    async def first(self) -> tuple[K, V] | None:
        """The key that came first of those that are there, or None; as walking begins."""
        async for page in self.pages():
            return page[0]
        return None

    async def last(self) -> tuple[K, V] | None:
        """The key that came last, or None; as walking begins."""
        async for page in self.pages(reverse=True):
            return page[0]
        return None

    async def pages(self, *, reverse: bool = False) -> AsyncGenerator[list[tuple[K, V]], None]:
        """Keys and values in the order of the keys' coming, some at a time, of one state.

        One round trip, two for many; two rows read for each key.
        """

        async def read(tree: Bytes, _head: DictHead) -> AsyncGenerator[list[tuple[K, V]], None]:
            async for keys in _keys_of(tree, reverse=reverse):
                for at in range(0, len(keys), KEYS_OF_PAGE):
                    part = keys[at : at + KEYS_OF_PAGE]
                    rows = [there(await tree.get(ITEM + it)) for it in part]
                    yield [
                        (self._keys.decode(it), self._values.decode(row[NUMBER_BYTES:]))
                        for it, row in zip(part, rows, strict=True)
                    ]

        async for page in self._pages(DictHead, read):
            yield page

    async def key_pages(self, *, reverse: bool = False) -> AsyncGenerator[list[K], None]:
        """Keys in the order of their coming, some at a time, of one state; one row read for each.

        One round trip, two for many.
        """

        async def read(tree: Bytes, _head: DictHead) -> AsyncGenerator[list[K], None]:
            async for keys in _keys_of(tree, reverse=reverse):
                yield [self._keys.decode(it) for it in keys]

        async for page in self._pages(DictHead, read):
            yield page

    @translated
    async def items(self, *, reverse: bool = False) -> AsyncGenerator[tuple[K, V], None]:
        """Keys and values in the order of the keys' coming; read as `pages`."""
        async for page in self.pages(reverse=reverse):
            for row in page:
                yield row

    @translated
    async def keys(self, *, reverse: bool = False) -> AsyncGenerator[K, None]:
        """Keys in the order of their coming; read as `key_pages`."""
        async for page in self.key_pages(reverse=reverse):
            for key in page:
                yield key

    @translated
    async def values(self, *, reverse: bool = False) -> AsyncGenerator[V, None]:
        """Values in the order of their keys' coming; read as `pages`."""
        async for page in self.pages(reverse=reverse):
            for _, value in page:
                yield value

    async def copy(self) -> dict[K, V]:
        """All of it as a plain dictionary, of one state; read as `pages`."""
        return {key: value async for page in self.pages() for key, value in page}


async def _keys_of(tree: Bytes, *, reverse: bool) -> AsyncGenerator[list[bytes], None]:
    async for page in tree.pages(first=OTHER, stop=END, reverse=reverse):
        yield [key for _, key in page]


class Dict(Keyed[K, V], Generic[K, V]):
    """As `dict`: keys to values, in the order in which the keys came."""

    def __init__(self, db: Database, name: str, key: type[K], value: type[V]) -> None:
        """Open it; see `Objects.dict`."""
        super().__init__(db, name, key, value, "dict")

    async def update(self, rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> None:
        """Set many keys at once: all of them, or none.  One round trip; rows as `put`.

        Very many are sent, and put, in parts.
        """

        def encoded(given: tuple[K, V]) -> Row:
            key, value = given
            return self._row(key, value)

        await self._ask_in_parts(ops.DICT_PUT, ops.DICT_PUT_PARTS, ROWS, pairs_of(rows), encoded)


@also(CountBrackets[K])
class Counter(Keyed[K, int], Generic[K]):
    """As `collections.Counter`: how often there is what; what is not there counts 0."""

    def __init__(self, db: Database, name: str, key: type[K]) -> None:
        """Open it; see `Objects.counter`."""
        super().__init__(db, name, key, int, "counter")

    async def add(self, key: K, number: int = 1) -> int:
        """Add to a count; the count that it is now.  Costs what `put` does.

        Raises:
            BadArgument: it is no number of 64 bits.
            Refused: the count would have more than 64 bits.

        """
        return await self._ask(ops.COUNTER_ADD, [(self._keys.encode(key), _checked(number))])

    async def update(self, counts: Mapping[K, int] | Iterable[K]) -> None:
        """Add counts, or count what is given: all at once.  One round trip; rows as `put`.

        Raises as `add`.
        """
        await self._add_all(counts, 1)

    async def subtract(self, counts: Mapping[K, int] | Iterable[K]) -> None:
        """As `update`, but take away; counts may become less than 0."""
        await self._add_all(counts, -1)

    async def _add_all(self, given: Mapping[K, int] | Iterable[K], sign: int) -> None:
        few, many, encode = ops.COUNTER_ADD, ops.COUNTER_ADD_PARTS, self._keys.encode

        def counted(row: tuple[K, int]) -> Count:
            return encode(row[0]), sign * _checked(row[1])

        def once(key: K) -> Count:
            return encode(key), sign

        if isinstance(given, Mapping):
            await self._ask_in_parts(few, many, COUNTS, pairs_of(given), counted)
        else:
            await self._ask_in_parts(few, many, COUNTS, given, once)

    async def total(self) -> int:
        """The sum of all counts; it walks over them, as `pages`."""
        return sum([count async for page in self.pages() for _, count in page])

    async def most_common(self, number: int | None = None) -> list[tuple[K, int]]:
        """The keys with the highest counts, None = all of them, in the order of their counts.

        It walks over all, as `pages`, and sorts them here: memory for all, whatever `number` is.
        """
        found = [row async for page in self.pages() for row in page]
        if number is None:
            return sorted(found, key=lambda row: row[1], reverse=True)
        return heapq.nlargest(number, found, key=lambda row: row[1])

    @translated
    async def elements(self) -> AsyncGenerator[K, None]:
        """Each key as often as it counts; read as `pages`."""
        async for page in self.pages():
            for key, count in page:
                for _ in range(count):
                    yield key


def _checked(number: int) -> int:
    """A number that counts can be raised by, and lowered by.

    Raises:
        BadArgument: it is none.

    """
    if not isinstance(number, int) or not -COUNT_MAX <= number <= COUNT_MAX:
        raise BadArgument(f"{number!r} is no count: they are whole numbers of 64 bits")
    return number
