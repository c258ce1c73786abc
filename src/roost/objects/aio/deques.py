"""The asyncio face of deques."""

from collections.abc import AsyncGenerator, Iterable
from typing import Generic, TypeVar

from roost.database import BadArgument
from roost.database.aio import Database
from roost.faces import also
from roost.objects.aio.handle import Bytes
from roost.objects.aio.sequences import Sequence
from roost.objects.brackets import DequeBrackets
from roost.objects.layouts import operations as ops
from roost.objects.layouts.deques import VALUES, DequeHead, place_key
from roost.objects.layouts.kinds import DEQUE

V = TypeVar("V")


@also(DequeBrackets[V])
class Deque(Sequence[V], Generic[V]):
    """As `collections.deque`: cheap at both ends, and any value can be read.

    Whoever opens it with `maxlen` has what is too much go at the other end.
    """

    _kind = DEQUE

    def __init__(self, db: Database, name: str, value: type[V], maxlen: int | None) -> None:
        """Open it; see `Objects.deque`."""
        if maxlen is not None and (not isinstance(maxlen, int) or maxlen < 0):
            raise BadArgument(f"maxlen={maxlen!r}: a number from 0, or None")
        self._maxlen = maxlen
        super().__init__(db, "deque", name, value)

    @property
    def maxlen(self) -> int | None:
        """How many values there may be; None = any number."""
        return self._maxlen

    async def appendleft(self, value: V) -> None:
        """Put a value at the beginning.  One round trip, two rows."""
        await self.extendleft([value])

    async def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once.  One round trip; a row for each, and one.

        Very many are sent, and put, in parts.
        """
        await self._extend(values, left=False)

    async def extendleft(self, values: Iterable[V]) -> None:
        """Put values at the beginning, one after the other, so that the last is the first."""
        await self._extend(values, left=True)

    async def _extend(self, values: Iterable[V], *, left: bool) -> None:
        few, many, encode = ops.DEQUE_EXTEND, ops.DEQUE_EXTEND_PARTS, self._values.encode
        await self._ask_in_parts(few, many, VALUES, values, encode, behind=(left, self._maxlen))

    async def pop(self) -> V:
        """Take out the value at the end.  One round trip, two rows.

        Raises:
            IndexError: there is none.

        """
        return await self._pop(left=False)

    async def popleft(self) -> V:
        """Take out the value at the beginning.  One round trip, two rows.

        Raises:
            IndexError: there is none.

        """
        return await self._pop(left=True)

    async def _pop(self, *, left: bool) -> V:
        held = await self._ask(ops.DEQUE_POP, left)
        if held is None:
            raise IndexError("pop from an empty deque")
        return self._values.decode(held)

    async def insert(self, index: int, value: V) -> None:
        """Put a value before a position.

        One round trip; a row for each value between it and the nearer end, and two.

        Raises:
            IndexError: there are `maxlen` values already.

        """
        encoded = self._values.encode(value)
        if not await self._ask(ops.DEQUE_INSERT, index, encoded, self._maxlen):
            raise IndexError("deque already at its maximum size")

    async def delete(self, index: int) -> None:
        """Take out the value at a position.  Costs as `insert`.

        Raises:
            IndexError: there is none.

        """
        if not await self._ask(ops.DEQUE_DELETE, index):
            raise IndexError(DEQUE.not_there)

    async def rotate(self, n: int = 1) -> None:
        """Move `n` values from the end to the beginning, or back when it is less than 0.

        One round trip; two rows for each value that moves: at most half of them, whatever `n` is.
        """
        await self._ask(ops.DEQUE_ROTATE, n)

    async def _walk(
        self, tree: Bytes, head: DequeHead, *, reverse: bool
    ) -> AsyncGenerator[list[V], None]:
        first, stop = place_key(head.first), place_key(head.first + head.count)
        async for page in tree.pages(first=first, stop=stop, reverse=reverse):
            yield [self._values.decode(row) for _, row in page]
