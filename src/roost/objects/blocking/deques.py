"""The asyncio face of deques."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

from roost.objects.aio import deques as aio
from roost.objects.blocking.sequences import Sequence
from roost.objects.brackets import DequeBrackets
from roost.objects.shapes import Taken

V = TypeVar("V")


class Deque(Sequence[V], DequeBrackets[V], Generic[V]):
    """As `collections.deque`: cheap at both ends, and any value can be read.

    Whoever opens it with `maxlen` has what is too much go at the other end.

    """

    _inner: aio.Deque[V]

    @property
    def maxlen(self) -> int | None:
        """How many values there may be; None = any number."""
        return self._inner.maxlen

    def length(self) -> int:
        """How many values there are.  One round trip, one row."""
        return self._loop.call(self._inner.length())

    def append(self, value: V) -> None:
        """Put a value at the end.  One round trip, two rows.

        Raises:
            BadValue: it is no value of this deque.
            Refused: it is too large, or the object is something else.

        """
        self._loop.call(self._inner.append(value))

    def appendleft(self, value: V) -> None:
        """Put a value at the beginning.  One round trip, two rows."""
        self._loop.call(self._inner.appendleft(value))

    def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once.  One round trip; a row for each, and one."""
        self._loop.call(self._inner.extend(values))

    def extendleft(self, values: Iterable[V]) -> None:
        """Put values at the beginning, one after the other, so that the last is the first."""
        self._loop.call(self._inner.extendleft(values))

    def pop(self) -> V:
        """Take out the value at the end.  One round trip, two rows.

        Raises:
            IndexError: there is none.

        """
        return self._loop.call(self._inner.pop())

    def popleft(self) -> V:
        """Take out the value at the beginning.  One round trip, two rows.

        Raises:
            IndexError: there is none.

        """
        return self._loop.call(self._inner.popleft())

    def get(self, index: int) -> V:
        """The value at a position, from the end when it is negative.  One round trip, two rows.

        Raises:
            IndexError: there is none.

        """
        return self._loop.call(self._inner.get(index))

    def put(self, index: int, value: V) -> None:
        """Set the value at a position.  One round trip, two rows.

        Raises:
            IndexError: there is no such position.

        """
        self._loop.call(self._inner.put(index, value))

    def insert(self, index: int, value: V) -> None:
        """Put a value before a position.

        One round trip; a row for each value between it and the nearer end, and two.

        Raises:
            IndexError: there are `maxlen` values already.

        """
        self._loop.call(self._inner.insert(index, value))

    def delete(self, index: int) -> None:
        """Take out the value at a position.  Costs as `insert`.

        Raises:
            IndexError: there is none.

        """
        self._loop.call(self._inner.delete(index))

    def rotate(self, n: int = 1) -> None:
        """Move `n` values from the end to the beginning, or back when it is less than 0.

        One round trip; two rows for each value that moves: at most half of them, whatever `n` is.

        """
        self._loop.call(self._inner.rotate(n))

    def reverse(self) -> None:
        """Put the values into the opposite order.  One round trip; a row for each value."""
        self._loop.call(self._inner.reverse())

    def clear(self) -> None:
        """Take out all values.  One round trip, two rows, whatever it removes."""
        self._loop.call(self._inner.clear())

    def state(self) -> Taken[V]:
        """All values, and the version of the deque that has them; read as `pages`."""
        return self._loop.call(self._inner.state())

    def pages(self, *, reverse: bool = False) -> Generator[list[V], None, None]:
        """All values in order, some at a time, of one state; from the end with `reverse`.

        One round trip, two for many; a row read for each value.

        """
        return self._loop.iterate(self._inner.pages(reverse=reverse))
