"""The asyncio face of what lists and deques have alike: values in an order."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from abc import abstractmethod
from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

from roost.objects.aio import sequences as aio
from roost.objects.blocking.handle import Handle
from roost.objects.shapes import Taken

V = TypeVar("V")


class Sequence(Handle, Generic[V]):
    """Values in an order, of which some may be equal."""

    _inner: aio.Sequence[V]

    def length(self) -> int:
        """How many values there are.  One round trip, one row."""
        return self._loop.call(self._inner.length())

    def get(self, index: int) -> V:
        """The value at a position, from the end when it is negative.

        One round trip, two rows; of a list a row more for each level.

        Raises:
            IndexError: there is none.

        """
        return self._loop.call(self._inner.get(index))

    def put(self, index: int, value: V) -> None:
        """Set the value at a position.  One round trip, two rows; a list reads one for each level.

        Raises:
            IndexError: there is no such position.
            BadValue: it is no value of this object.

        """
        self._loop.call(self._inner.put(index, value))

    def append(self, value: V) -> None:
        """Put a value at the end.  Costs as `extend` with one.

        Raises:
            BadValue: it is no value of this object.
            Refused: it is too large, or the object is something else.

        """
        self._loop.call(self._inner.append(value))

    @abstractmethod
    def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once."""
        self._loop.call(self._inner.extend(values))

    def remove(self, value: V) -> None:
        """Take out the first value that is equal to this one; it walks over all.

        Two round trips and more, and what `delete` costs.

        Raises:
            ValueError: there is none.
            Conflict: others changed it again and again meanwhile.

        """
        self._loop.call(self._inner.remove(value))

    def index(self, value: V, start: int = 0, stop: int | None = None) -> int:
        """The position of the first value that is equal to this one; it walks, as `pages`.

        Raises:
            ValueError: there is none.

        """
        return self._loop.call(self._inner.index(value, start, stop))

    def count(self, value: V) -> int:
        """How many values are equal to this one; it walks over all, as `pages`."""
        return self._loop.call(self._inner.count(value))

    def has(self, value: V) -> bool:
        """Whether a value is equal to this one; it walks, as `pages`."""
        return self._loop.call(self._inner.has(value))

    def reverse(self) -> None:
        """Put the values into the opposite order.

        One round trip; a row for each value, of a list for each 64.

        """
        self._loop.call(self._inner.reverse())

    def clear(self) -> None:
        """Take out all values.  One round trip, two rows, whatever it removes."""
        self._loop.call(self._inner.clear())

    def state(self) -> Taken[V]:
        """All values, and the version of the object that has them; read as `pages`."""
        return self._loop.call(self._inner.state())

    def pages(self, *, reverse: bool = False) -> Generator[list[V], None, None]:
        """All values in order, some at a time, of one state; from the end with `reverse`.

        One round trip, two for many; a row read for each value, and of a list for each 64.

        """
        return self._loop.iterate(self._inner.pages(reverse=reverse))

    def values(self, *, reverse: bool = False) -> Generator[V, None, None]:
        """All values in order, from the end with `reverse`; read as `pages`."""
        for page in self.pages(reverse=reverse):
            for value in page:
                yield value

    def copy(self) -> list[V]:
        """All values as a plain list, of one state; read as `pages`."""
        return self._loop.call(self._inner.copy())
