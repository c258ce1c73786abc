"""The asyncio face of deques."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Iterable
from typing import Generic, TypeVar

from roost.objects.aio import deques as aio
from roost.objects.blocking.sequences import Sequence
from roost.objects.brackets import DequeBrackets

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

    def appendleft(self, value: V) -> None:
        """Put a value at the beginning.  One round trip, two rows."""
        self._loop.call(self._inner.appendleft(value))

    def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once.  One round trip; a row for each, and one.

        Very many are sent, and put, in parts.

        """
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
