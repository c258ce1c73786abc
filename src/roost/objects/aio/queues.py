"""The asyncio face of priority queues."""

from typing import Generic, TypeVar

from roost.database import BadArgument, key_codec, value_codec
from roost.database.aio import Database
from roost.objects.aio.handle import Handle
from roost.objects.errors import QueueEmpty, QueueFull
from roost.objects.layouts import operations as ops
from roost.objects.layouts.heads import HEAD, Shape, decode_head, tree_of
from roost.objects.layouts.heaps import Entry, HeapHead
from roost.objects.waiting import Looks

K = TypeVar("K")
V = TypeVar("V")
# However quiet it is, the cluster is asked again: this member may be cut off.
_ASK_S = 1.0


class PriorityQueue(Handle, Generic[K, V]):
    """As `queue.PriorityQueue`: entries `(priority, value)`, the lowest priority first.

    Those of one priority come in the order in which they were put; values are not compared.
    Whoever takes an entry has it alone.  After `OutcomeUnknown` one may be gone without having been
    seen: where that matters, take it in an operation, or take it with a lock and look again.
    """

    def __init__(
        self, db: Database, name: str, priority: type[K], value: type[V], maxsize: int
    ) -> None:
        """Open it; see `Objects.priority_queue`."""
        if not isinstance(maxsize, int) or maxsize < 0:
            raise BadArgument(f"maxsize={maxsize!r}: a number from 1, or 0 for any")
        # As a part, whose end is in it: see the layout.
        self._priorities = key_codec(tuple[priority])  # type: ignore[valid-type]  # made here
        self._values = value_codec(value)
        self._maxsize = maxsize
        kind = "priority_queue"
        super().__init__(db, Shape(tree_of(name), kind, self._priorities.name, self._values.name))

    @property
    def maxsize(self) -> int:
        """How many entries there may be; 0 = any number."""
        return self._maxsize

    def _encode(self, entry: tuple[K, V]) -> Entry:
        priority, value = entry
        return self._priorities.encode((priority,)), self._values.encode(value)

    def _decode(self, held: Entry) -> tuple[K, V]:
        (priority,) = self._priorities.decode(held[0])
        return priority, self._values.decode(held[1])

    async def put(self, item: tuple[K, V], *, wait_s: float | None = None) -> None:
        """Put an entry in, when there is room; `wait_s` None = wait for ever.

        One round trip, two rows; more when it waits.

        Raises:
            QueueFull: there was no room in time.
            BadKey, BadValue: the entry is none of this queue's.

        """
        encoded = self._encode(item)
        looks = Looks(self._now_s, wait_s)
        while not await self._ask(ops.HEAP_PUT, [encoded], self._maxsize):
            if looks.is_over:
                raise QueueFull(f"{self.name!r} has {self._maxsize} entries")
            await looks.until(self._has_room, _ASK_S)

    async def put_nowait(self, item: tuple[K, V]) -> None:
        """As `put`, and do not wait for room.

        Raises:
            QueueFull: there is none.

        """
        await self.put(item, wait_s=0)

    async def get(self, *, wait_s: float | None = None) -> tuple[K, V]:
        """Take out the entry with the lowest priority; `wait_s` None = wait for ever.

        One round trip, two rows; more when it waits.

        Raises:
            QueueEmpty: there was none in time.

        """
        looks = Looks(self._now_s, wait_s)
        while (held := await self._ask(ops.HEAP_TAKE)) is None:
            if looks.is_over:
                raise QueueEmpty(f"{self.name!r} is empty")
            await looks.until(self._has_some, _ASK_S)
        return self._decode(held)

    async def get_nowait(self) -> tuple[K, V]:
        """As `get`, and do not wait.

        Raises:
            QueueEmpty: there is none.

        """
        return await self.get(wait_s=0)

    async def peek(self) -> tuple[K, V] | None:
        """The entry with the lowest priority, which stays; None = there is none.

        One round trip, two rows.
        """
        held = await self._ask(ops.HEAP_PEEK)
        return None if held is None else self._decode(held)

    async def qsize(self) -> int:
        """How many entries there are.  One round trip, one row."""
        return (await self._head(HeapHead)).count

    async def empty(self) -> bool:
        """Whether there is none.  One round trip, one row."""
        return not await self.qsize()

    async def full(self) -> bool:
        """Whether there is no room.  One round trip, one row."""
        return bool(self._maxsize) and await self.qsize() >= self._maxsize

    async def clear(self) -> None:
        """Take out all entries.  One round trip, two rows, whatever it removes."""
        await self._ask(ops.HEAP_CLEAR)

    def _now_s(self) -> float:
        return self._db.moment().at_s

    async def _count_here(self) -> int:
        """How many there are, as far as this member has applied."""
        return decode_head(await self._here.get(HEAD), self._shape, HeapHead).count

    async def _has_some(self) -> bool:
        return await self._count_here() > 0

    async def _has_room(self) -> bool:
        return await self._count_here() < self._maxsize
