"""The asyncio face of dictionaries and counters."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Generic, TypeVar, overload

from roost.faces import KeyedWrite
from roost.objects.aio import dicts as aio
from roost.objects.blocking.handle import Handle
from roost.objects.brackets import CountBrackets
from roost.objects.orders import MISSING

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Keyed(Handle, KeyedWrite[K, V], Generic[K, V]):
    """Keys to values, in the order in which the keys came."""

    _inner: aio.Keyed[K, V]

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or `default`.  One round trip, one row.

        Raises:
            BadKey: it is no key of this object.

        """
        return self._loop.call(self._inner.get(key, default))

    def has(self, key: K) -> bool:
        """Whether there is such a key.  One round trip, one row."""
        return self._loop.call(self._inner.has(key))

    def count(self) -> int:
        """How many keys there are.  One round trip, one row."""
        return self._loop.call(self._inner.count())

    def put(self, key: K, value: V) -> None:
        """Set the value of a key.  One round trip; a new key is three rows, an old one is one.

        Raises:
            BadKey, BadValue: they are none of this object's.
            Refused: they are too large, or the object is something else.

        """
        self._loop.call(self._inner.put(key, value))

    def setdefault(self, key: K, default: V) -> V:
        """The value of a key, which becomes `default` when it is new.  Costs what `put` does."""
        return self._loop.call(self._inner.setdefault(key, default))

    def delete(self, key: K) -> bool:
        """Remove a key; whether it was there.  One round trip, three rows."""
        return self._loop.call(self._inner.delete(key))

    @overload
    def pop(self, key: K) -> V: ...

    @overload
    def pop(self, key: K, default: D) -> V | D: ...

    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Remove a key; the value that it had, else `default`.  One round trip, three rows.

        Raises:
            KeyError: it was not there, and there is no default.

        """
        return self._loop.call(self._inner.pop(key, default))

    def popitem(self) -> tuple[K, V]:
        """Remove the key that came last, and return it.  One round trip, three rows.

        Raises:
            KeyError: there is none.

        """
        return self._loop.call(self._inner.popitem())

    def clear(self) -> None:
        """Remove all keys.  One round trip, two rows, whatever it removes."""
        self._loop.call(self._inner.clear())

    def first(self) -> tuple[K, V] | None:
        """The key that came first of those that are there, or None; as walking begins."""
        return self._loop.call(self._inner.first())

    def last(self) -> tuple[K, V] | None:
        """The key that came last, or None; as walking begins."""
        return self._loop.call(self._inner.last())

    def pages(self, *, reverse: bool = False) -> Generator[list[tuple[K, V]], None, None]:
        """Keys and values in the order of the keys' coming, some at a time, of one state.

        One round trip, two for many; two rows read for each key.

        """
        return self._loop.iterate(self._inner.pages(reverse=reverse))

    def key_pages(self, *, reverse: bool = False) -> Generator[list[K], None, None]:
        """Keys in the order of their coming, some at a time, of one state; one row read for each.

        One round trip, two for many.

        """
        return self._loop.iterate(self._inner.key_pages(reverse=reverse))

    def items(self, *, reverse: bool = False) -> Generator[tuple[K, V], None, None]:
        """Keys and values in the order of the keys' coming; read as `pages`."""
        for page in self.pages(reverse=reverse):
            for row in page:
                yield row

    def keys(self, *, reverse: bool = False) -> Generator[K, None, None]:
        """Keys in the order of their coming; read as `key_pages`."""
        for page in self.key_pages(reverse=reverse):
            for key in page:
                yield key

    def values(self, *, reverse: bool = False) -> Generator[V, None, None]:
        """Values in the order of their keys' coming; read as `pages`."""
        for page in self.pages(reverse=reverse):
            for _, value in page:
                yield value

    def copy(self) -> dict[K, V]:
        """All of it as a plain dictionary, of one state; read as `pages`."""
        return self._loop.call(self._inner.copy())


class Dict(Keyed[K, V], Generic[K, V]):
    """As `dict`: keys to values, in the order in which the keys came."""

    _inner: aio.Dict[K, V]

    def update(self, rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> None:
        """Set many keys at once: all of them, or none.  One round trip; rows as `put`.

        Very many are sent, and put, in parts.

        """
        self._loop.call(self._inner.update(rows))


class Counter(Keyed[K, int], CountBrackets[K], Generic[K]):
    """As `collections.Counter`: how often there is what; what is not there counts 0."""

    _inner: aio.Counter[K]

    def add(self, key: K, number: int = 1) -> int:
        """Add to a count; the count that it is now.  Costs what `put` does.

        Raises:
            BadArgument: it is no number of 64 bits.
            Refused: the count would have more than 64 bits.

        """
        return self._loop.call(self._inner.add(key, number))

    def update(self, counts: Mapping[K, int] | Iterable[K]) -> None:
        """Add counts, or count what is given: all at once.  One round trip; rows as `put`.

        Raises as `add`.

        """
        self._loop.call(self._inner.update(counts))

    def subtract(self, counts: Mapping[K, int] | Iterable[K]) -> None:
        """As `update`, but take away; counts may become less than 0."""
        self._loop.call(self._inner.subtract(counts))

    def total(self) -> int:
        """The sum of all counts; it walks over them, as `pages`."""
        return self._loop.call(self._inner.total())

    def most_common(self, number: int | None = None) -> list[tuple[K, int]]:
        """The keys with the highest counts, None = all of them, in the order of their counts.

        It walks over all, as `pages`, and sorts them here: memory for all, whatever `number` is.

        """
        return self._loop.call(self._inner.most_common(number))

    def elements(self) -> Generator[K, None, None]:
        """Each key as often as it counts; read as `pages`."""
        for page in self.pages():
            for key, count in page:
                for _ in range(count):
                    yield key
