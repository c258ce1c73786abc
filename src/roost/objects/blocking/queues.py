"""The asyncio face of priority queues."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Generic, TypeVar

from roost.objects.aio import queues as aio
from roost.objects.blocking.handle import Handle

K = TypeVar("K")
V = TypeVar("V")


class PriorityQueue(Handle, Generic[K, V]):
    """As `queue.PriorityQueue`: entries `(priority, value)`, the lowest priority first.

    Those of one priority come in the order in which they were put; values are not compared.
    Whoever takes an entry has it alone.  After `OutcomeUnknown` one may be gone without having been
    seen: where that matters, take it in an operation, or take it with a lock and look again.

    """

    _inner: aio.PriorityQueue[K, V]

    @property
    def maxsize(self) -> int:
        """How many entries there may be; 0 = any number."""
        return self._inner.maxsize

    def put(self, item: tuple[K, V], *, wait_s: float | None = None) -> None:
        """Put an entry in, when there is room; `wait_s` None = wait for ever.

        One round trip, two rows; more when it waits.

        Raises:
            QueueFull: there was no room in time.
            BadKey, BadValue: the entry is none of this queue's.

        """
        self._loop.call(self._inner.put(item, wait_s=wait_s))

    def put_nowait(self, item: tuple[K, V]) -> None:
        """As `put`, and do not wait for room.

        Raises:
            QueueFull: there is none.

        """
        self._loop.call(self._inner.put_nowait(item))

    def get(self, *, wait_s: float | None = None) -> tuple[K, V]:
        """Take out the entry with the lowest priority; `wait_s` None = wait for ever.

        One round trip, two rows; more when it waits.

        Raises:
            QueueEmpty: there was none in time.

        """
        return self._loop.call(self._inner.get(wait_s=wait_s))

    def get_nowait(self) -> tuple[K, V]:
        """As `get`, and do not wait.

        Raises:
            QueueEmpty: there is none.

        """
        return self._loop.call(self._inner.get_nowait())

    def peek(self) -> tuple[K, V] | None:
        """The entry with the lowest priority, which stays; None = there is none.

        One round trip, two rows.

        """
        return self._loop.call(self._inner.peek())

    def qsize(self) -> int:
        """How many entries there are.  One round trip, one row."""
        return self._loop.call(self._inner.qsize())

    def empty(self) -> bool:
        """Whether there is none.  One round trip, one row."""
        return self._loop.call(self._inner.empty())

    def full(self) -> bool:
        """Whether there is no room.  One round trip, one row."""
        return self._loop.call(self._inner.full())

    def clear(self) -> None:
        """Take out all entries.  One round trip, two rows, whatever it removes."""
        self._loop.call(self._inner.clear())
