"""The asyncio face of sets."""

from collections.abc import AsyncGenerator, Iterable
from typing import Generic, TypeVar

from roost.database import key_codec
from roost.database.aio import Database
from roost.faces import also, translated
from roost.objects.aio.handle import Bytes, Handle
from roost.objects.brackets import SetBrackets
from roost.objects.layouts import operations as ops
from roost.objects.layouts.heads import END, ITEM, Shape, tree_of
from roost.objects.layouts.sets import SetHead

V = TypeVar("V")


@also(SetBrackets[V])
class Set(Handle, Generic[V]):
    """As `set`, in the order of its members as keys."""

    def __init__(self, db: Database, name: str, member: type[V]) -> None:
        """Open it; see `Objects.set`."""
        self._members = key_codec(member)
        super().__init__(db, Shape(tree_of(name), "set", self._members.name, ""))

    def _encoded(self, *others: Iterable[V]) -> list[bytes]:
        """Each of the members of all, once."""
        return list(dict.fromkeys(self._members.encode(it) for other in others for it in other))

    async def has(self, member: V) -> bool:
        """Whether it is in.  One round trip, one row."""
        return await self._tree.has(ITEM + self._members.encode(member))

    async def count(self) -> int:
        """How many there are.  One round trip, one row."""
        return (await self._head(SetHead)).count

    async def add(self, value: V) -> None:
        """Put it in.  One round trip, two rows; none when it is in already.

        Raises:
            BadKey: it is no member of this set.
            Refused: it is too large, or the object is something else.

        """
        await self._ask(ops.SET_ADD, [self._members.encode(value)])

    async def discard(self, value: V) -> None:
        """Take it out, if it is in.  One round trip, two rows."""
        await self._ask(ops.SET_DISCARD, [self._members.encode(value)])

    async def remove(self, value: V) -> None:
        """Take it out.  One round trip, two rows.

        Raises:
            KeyError: it is not in.

        """
        if not await self._ask(ops.SET_DISCARD, [self._members.encode(value)]):
            raise KeyError(value)

    async def pop(self) -> V:
        """Take the first one out.  One round trip, two rows.

        Raises:
            KeyError: there is none.

        """
        held = await self._ask(ops.SET_POP)
        if held is None:
            raise KeyError("pop from an empty set")
        return self._members.decode(held)

    async def clear(self) -> None:
        """Take all out.  One round trip, two rows, whatever it removes."""
        await self._ask(ops.SET_CLEAR)

    async def update(self, *others: Iterable[V]) -> None:
        """Put all of these in, at once.  One round trip; a row for each, and one."""
        await self._ask(ops.SET_ADD, self._encoded(*others))

    async def difference_update(self, *others: Iterable[V]) -> None:
        """Take all of these out, at once.  Costs as `update`."""
        await self._ask(ops.SET_DISCARD, self._encoded(*others))

    async def intersection_update(self, *others: Iterable[V]) -> None:
        """Take all out that are not in each of these.

        One round trip; a row for each that could stay, and two, however many go.
        """
        if others:
            given = [self._encoded(it) for it in others]
            kept = set(given[0]).intersection(*given[1:])
            await self._ask(ops.SET_KEEP, [it for it in given[0] if it in kept])

    async def symmetric_difference_update(self, other: Iterable[V]) -> None:
        """Of these, take out what is in and put in what is not.  Costs as `update`."""
        await self._ask(ops.SET_TOGGLE, self._encoded(other))

    async def isdisjoint(self, other: Iterable[V]) -> bool:
        """Whether none of these is in.  One round trip; a row read for each."""
        return not (await self._ask(ops.SET_FIND, self._encoded(other))).held

    async def issuperset(self, other: Iterable[V]) -> bool:
        """Whether all of these are in.  Costs as `isdisjoint`."""
        members = self._encoded(other)
        return (await self._ask(ops.SET_FIND, members)).held == len(members)

    async def issubset(self, other: Iterable[V]) -> bool:
        """Whether there are no others than these.  Costs as `isdisjoint`."""
        found = await self._ask(ops.SET_FIND, self._encoded(other))
        return found.held == found.count

    async def pages(self) -> AsyncGenerator[list[V], None]:
        """All members in order, some at a time, of one state.  One round trip, two for many."""

        async def read(tree: Bytes, _head: SetHead) -> AsyncGenerator[list[V], None]:
            async for page in tree.pages(first=ITEM, stop=END):
                yield [self._members.decode(key[1:]) for key, _ in page]

        async for page in self._pages(SetHead, read):
            yield page

    @translated
    async def members(self) -> AsyncGenerator[V, None]:
        """All members in order; read as `pages`."""
        async for page in self.pages():
            for member in page:
                yield member

    async def copy(self) -> set[V]:
        """All members as a plain set, of one state; read as `pages`."""
        return {it async for page in self.pages() for it in page}
