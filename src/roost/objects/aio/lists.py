"""The asyncio face of lists."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Generic, TypeVar

from roost.database import Conflict
from roost.database.aio import Database
from roost.faces import also, translated
from roost.objects.aio.handle import Bytes
from roost.objects.aio.sequences import Sequence
from roost.objects.brackets import ListBrackets
from roost.objects.layouts import operations as ops
from roost.objects.layouts.counted_tree import Node, decode_node
from roost.objects.layouts.kinds import LIST
from roost.objects.layouts.lists import (
    PLACES,
    VALUES,
    ListHead,
    Span,
    item_key,
    node_key,
    there,
)
from roost.objects.orders import CONTENDED, TRIES, order_of

V = TypeVar("V")


@also(ListBrackets[V])
class List(Sequence[V], Generic[V]):
    """As `list`; any place is found, and changed, in a few rows.

    "Levels" are those of its tree of counts: 1 for 64 values, 2 for 4,096, 3 for 262,144.
    """

    _kind = LIST

    def __init__(self, db: Database, name: str, value: type[V]) -> None:
        """Open it; see `Objects.list`."""
        super().__init__(db, "list", name, value)

    async def insert(self, index: int, value: V) -> None:
        """Put a value before a position.  One round trip; a row for each level, and two."""
        await self._ask(ops.LIST_INSERT, index, [self._values.encode(value)])

    async def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once.

        One round trip; a row for each value, and for each 64 values.  Very many are sent, and put,
        in parts.
        """
        few, many, encode = ops.LIST_INSERT, ops.LIST_INSERT_PARTS, self._values.encode
        await self._ask_in_parts(few, many, VALUES, values, encode, before=(None,))

    async def pop(self, index: int = -1) -> V:
        """Take out the value at a position.  One round trip; a row for each level, and two.

        Raises:
            IndexError: there is none.

        """
        held = await self._ask(ops.LIST_POP, index)
        if held is None:
            raise IndexError("pop index out of range, or from an empty list")
        return self._values.decode(held)

    async def delete(self, index: int) -> None:
        """Take out the value at a position.  Costs as `pop`.

        Raises:
            IndexError: there is none.

        """
        if await self._ask(ops.LIST_POP, index) is None:
            raise IndexError(LIST.not_settable)

    async def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[V]:
        """The values of a slice, as a plain list; what lies between its ends is read, as `pages`.

        Raises:
            ValueError: the step is 0.

        """
        asked = slice(start, stop, step)
        found: list[V] = []

        async def read(tree: Bytes, head: ListHead) -> AsyncGenerator[list[V], None]:
            places = range(*asked.indices(head.count))
            if not places:
                return
            low, high = min(places), max(places)
            between = [it async for page in self._read(tree, head, low, high + 1) for it in page]
            yield between[places[0] - low :: places.step]

        async for page in self._pages(ListHead, read):
            found += page
        return found

    async def put_slice(
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
        few, many, encode = ops.LIST_ASSIGN, ops.LIST_ASSIGN_PARTS, self._values.encode
        span, count = _span(start, stop, step), 0

        def counted(value: V) -> bytes:
            nonlocal count
            count += 1
            return encode(value)

        size = await self._ask_in_parts(few, many, VALUES, values, counted, before=(span,))
        if size is not None:
            raise ValueError(
                f"attempt to assign sequence of size {count} to extended slice of size {size}"
            )

    async def delete_slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> None:
        """Take out the values of a slice, at once.  One round trip; a row for each of them."""
        await self._ask(ops.LIST_DELETE, _span(start, stop, step))

    @translated
    async def sort(self, *, key: Callable[[V], Any] | None = None, reverse: bool = False) -> None:
        """Sort the values, all of which are read here; `key` is called where you are.

        Two round trips and more; each value is read, and a row written for each 64.

        Raises:
            Conflict: others changed the list again and again meanwhile.

        """
        for _ in range(TRIES):
            state = await self.state()
            order = order_of(state.values, key, reverse=reverse)
            if await self.rearrange(order, state.version):
                return
        raise Conflict(CONTENDED)

    async def rearrange(self, order: list[int], version: int) -> bool:
        """Have at position i what was at `order[i]`, if `version` is still that of the list.

        One round trip; a row for each 64 values.
        """
        few, many = ops.LIST_REARRANGE, ops.LIST_REARRANGE_PARTS
        return await self._ask_in_parts(few, many, PLACES, order, _as_it_is, behind=(version,))

    def _walk(self, tree: Bytes, head: ListHead, *, reverse: bool) -> AsyncGenerator[list[V], None]:
        return self._read(tree, head, 0, head.count, reverse=reverse)

    async def _read(
        self, tree: Bytes, head: ListHead, first: int, stop: int, *, reverse: bool = False
    ) -> AsyncGenerator[list[V], None]:
        """Values from position `first` to before `stop`, a leaf at a time."""
        if not head.root:
            return
        async for numbers in _leaves(tree, head.root, head.depth, first, stop, reverse=reverse):
            rows = await _rows_of(tree, numbers)
            yield [self._values.decode(it) for it in rows]


def _as_it_is(place: int) -> int:
    return place


def _span(start: int | None, stop: int | None, step: int | None) -> Span:
    if step == 0:
        raise ValueError("slice step cannot be zero")
    return Span(start, stop, step)


async def _leaves(
    tree: Bytes, number: int, depth: int, first: int, stop: int, *, reverse: bool
) -> AsyncGenerator[list[int], None]:
    """The numbers at positions from `first` to before `stop` below a node, a leaf at a time."""
    node: Node = decode_node(there(await tree.get(node_key(number))), depth)
    if node.counts is None:
        found = node.items[first:stop]
        yield found[::-1] if reverse else found
        return
    begin = sum(node.counts) if reverse else 0
    children = list(zip(node.items, node.counts, strict=True))
    for child, count in reversed(children) if reverse else children:
        begin -= count if reverse else 0
        low, high = max(first - begin, 0), min(stop - begin, count)
        if low < high:
            async for it in _leaves(tree, child, depth - 1, low, high, reverse=reverse):
                yield it
        begin += 0 if reverse else count


async def _rows_of(tree: Bytes, numbers: list[int]) -> list[bytes]:
    """Values by their numbers; what came in order lies in order, and is read at once."""
    if not numbers:
        return []
    low, high = min(numbers), max(numbers)
    if high - low < 2 * len(numbers):
        stop = item_key(high + 1)
        found = {key: row async for key, row in tree.items(first=item_key(low), stop=stop)}
        return [there(found.get(item_key(it))) for it in numbers]
    return [there(await tree.get(item_key(it))) for it in numbers]
