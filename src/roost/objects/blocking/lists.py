"""The asyncio face of lists."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from roost.database import Conflict
from roost.objects.aio import lists as aio
from roost.objects.blocking.sequences import Sequence
from roost.objects.brackets import ListBrackets
from roost.objects.orders import CONTENDED, TRIES, order_of

V = TypeVar("V")


class List(Sequence[V], ListBrackets[V], Generic[V]):
    """As `list`; any place is found, and changed, in a few rows.

    "Levels" are those of its tree of counts: 1 for 64 values, 2 for 4,096, 3 for 262,144.

    """

    _inner: aio.List[V]

    def insert(self, index: int, value: V) -> None:
        """Put a value before a position.  One round trip; a row for each level, and two."""
        self._loop.call(self._inner.insert(index, value))

    def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once.

        One round trip; a row for each value, and for each 64 values.  Very many are sent, and put,
        in parts.

        """
        self._loop.call(self._inner.extend(values))

    def pop(self, index: int = -1) -> V:
        """Take out the value at a position.  One round trip; a row for each level, and two.

        Raises:
            IndexError: there is none.

        """
        return self._loop.call(self._inner.pop(index))

    def delete(self, index: int) -> None:
        """Take out the value at a position.  Costs as `pop`.

        Raises:
            IndexError: there is none.

        """
        self._loop.call(self._inner.delete(index))

    def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[V]:
        """The values of a slice, as a plain list; what lies between its ends is read, as `pages`.

        Raises:
            ValueError: the step is 0.

        """
        return self._loop.call(self._inner.slice(start, stop, step))

    def put_slice(
        self,
        values: Iterable[V],
        start: int | None = None,
        stop: int | None = None,
        step: int | None = None,
    ) -> None:
        """Set a slice, at once.  One round trip; a row for each value that comes, and that goes.

        Raises:
            ValueError: the slice has a step, and another length than there are values.

        """
        self._loop.call(self._inner.put_slice(values, start, stop, step))

    def delete_slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> None:
        """Take out the values of a slice, at once.  One round trip; a row for each of them."""
        self._loop.call(self._inner.delete_slice(start, stop, step))

    def sort(self, *, key: Callable[[V], Any] | None = None, reverse: bool = False) -> None:
        """Sort the values, all of which are read here; `key` is called where you are.

        Two round trips and more; each value is read, and a row written for each 64.

        Raises:
            Conflict: others changed the list again and again meanwhile.

        """
        for _ in range(TRIES):
            state = self.state()
            order = order_of(state.values, key, reverse=reverse)
            if self.rearrange(order, state.version):
                return
        raise Conflict(CONTENDED)

    def rearrange(self, order: list[int], version: int) -> bool:
        """Have at position i what was at `order[i]`, if `version` is still that of the list.

        One round trip; a row for each 64 values.

        """
        return self._loop.call(self._inner.rearrange(order, version))
