"""The asyncio face of sets."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

from roost.objects.aio import sets as aio
from roost.objects.blocking.handle import Handle
from roost.objects.brackets import SetBrackets

V = TypeVar("V")
R = TypeVar("R")


class Set(Handle, SetBrackets[V], Generic[V]):
    """As `set`, in the order of its members as keys."""

    _inner: aio.Set[V]

    def has(self, member: V) -> bool:
        """Whether it is in.  One round trip, one row."""
        return self._loop.call(self._inner.has(member))

    def count(self) -> int:
        """How many there are.  One round trip, one row."""
        return self._loop.call(self._inner.count())

    def add(self, value: V) -> None:
        """Put it in.  One round trip, two rows; none when it is in already.

        Raises:
            BadKey: it is no member of this set.
            Refused: it is too large, or the object is something else.

        """
        self._loop.call(self._inner.add(value))

    def discard(self, value: V) -> None:
        """Take it out, if it is in.  One round trip, two rows."""
        self._loop.call(self._inner.discard(value))

    def remove(self, value: V) -> None:
        """Take it out.  One round trip, two rows.

        Raises:
            KeyError: it is not in.

        """
        self._loop.call(self._inner.remove(value))

    def pop(self) -> V:
        """Take the first one out.  One round trip, two rows.

        Raises:
            KeyError: there is none.

        """
        return self._loop.call(self._inner.pop())

    def clear(self) -> None:
        """Take all out.  One round trip, two rows, whatever it removes."""
        self._loop.call(self._inner.clear())

    def update(self, *others: Iterable[V]) -> None:
        """Put all of these in, at once.  One round trip; a row for each, and one.

        Very many are sent, and put, in parts.

        """
        self._loop.call(self._inner.update(*others))

    def difference_update(self, *others: Iterable[V]) -> None:
        """Take all of these out, at once.  Costs as `update`."""
        self._loop.call(self._inner.difference_update(*others))

    def intersection_update(self, *others: Iterable[V]) -> None:
        """Take all out that are not in each of these.

        One round trip; a row for each that could stay, and two, however many go.

        """
        self._loop.call(self._inner.intersection_update(*others))

    def symmetric_difference_update(self, other: Iterable[V]) -> None:
        """Of these, take out what is in and put in what is not.  Costs as `update`."""
        self._loop.call(self._inner.symmetric_difference_update(other))

    def isdisjoint(self, other: Iterable[V]) -> bool:
        """Whether none of these is in.  One round trip; a row read for each."""
        return self._loop.call(self._inner.isdisjoint(other))

    def issuperset(self, other: Iterable[V]) -> bool:
        """Whether all of these are in.  Costs as `isdisjoint`."""
        return self._loop.call(self._inner.issuperset(other))

    def issubset(self, other: Iterable[V]) -> bool:
        """Whether there are no others than these.  Costs as `isdisjoint`."""
        return self._loop.call(self._inner.issubset(other))

    def pages(self) -> Generator[list[V], None, None]:
        """All members in order, some at a time, of one state.  One round trip, two for many."""
        return self._loop.iterate(self._inner.pages())

    def members(self) -> Generator[V, None, None]:
        """All members in order; read as `pages`."""
        for page in self.pages():
            for member in page:
                yield member

    def copy(self) -> set[V]:
        """All members as a plain set, of one state; read as `pages`."""
        return self._loop.call(self._inner.copy())
