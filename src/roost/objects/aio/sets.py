"""The asyncio face of sets."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from itertools import chain
from typing import Generic, TypeVar

from roost.database import Operation, key_codec
from roost.database.aio import Database
from roost.database.model import LongOperation, check_size
from roost.faces import also, translated
from roost.objects.aio.handle import Bytes, Handle
from roost.objects.brackets import SetBrackets
from roost.objects.layouts import operations as ops
from roost.objects.layouts.heads import END, ITEM, Shape, tree_of
from roost.objects.layouts.sets import MEMBERS, Found, SetHead

V = TypeVar("V")
R = TypeVar("R")
# Members that are encoded in one turn: about a millisecond.
ENCODED_A_TURN = 1000


@also(SetBrackets[V])
class Set(Handle, Generic[V]):
    """As `set`, in the order of its members as keys."""

    def __init__(self, db: Database, name: str, member: type[V]) -> None:
        """Open it; see `Objects.set`."""
        self._members = key_codec(member)
        super().__init__(db, Shape(tree_of(name), "set", self._members.name, ""))

    async def _encoded(
        self, others: Iterable[Iterable[V]], among: Collection[bytes] | None = None
    ) -> dict[bytes, None]:
        """Each of the members of all that is `among` others, once; some a turn.

        Raises:
            WriteSetTooLarge: they are more than one operation can have.

        """
        encode = self._members.encode
        found: dict[bytes, None] = {}
        size = 0
        for count, it in enumerate(chain.from_iterable(others), 1):
            member = encode(it)
            if member not in found and (among is None or member in among):
                found[member] = None
                size += len(member) + 1  # each has a head of a byte at least, on its way
            if not count % ENCODED_A_TURN:
                check_size(MEMBERS.what, size)
                await asyncio.sleep(0)
        return found

    async def _ask_all(
        self,
        few: Operation[[Shape, list[bytes]], R],
        many: LongOperation[[Shape, list[memoryview]], R],
        members: Iterable[bytes],
    ) -> R:
        return await self._ask_in_parts(few, many, MEMBERS, iter(members), bytes)

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
        """Put all of these in, at once.  One round trip; a row for each, and one.

        Very many are sent, and put, in parts.
        """
        await self._ask_all(ops.SET_ADD, ops.SET_ADD_PARTS, await self._encoded(_of_now(others)))

    async def difference_update(self, *others: Iterable[V]) -> None:
        """Take all of these out, at once.  Costs as `update`."""
        members = await self._encoded(_of_now(others))
        await self._ask_all(ops.SET_DISCARD, ops.SET_DISCARD_PARTS, members)

    async def intersection_update(self, *others: Iterable[V]) -> None:
        """Take all out that are not in each of these.

        One round trip; a row for each that could stay, and two, however many go.
        """
        if others:
            first, *rest = _of_now(others)
            kept = await self._encoded([first])
            for it in rest:
                kept = await self._encoded([it], kept)
            await self._ask_all(ops.SET_KEEP, ops.SET_KEEP_PARTS, kept)

    async def symmetric_difference_update(self, other: Iterable[V]) -> None:
        """Of these, take out what is in and put in what is not.  Costs as `update`."""
        members = await self._encoded(_of_now([other]))
        await self._ask_all(ops.SET_TOGGLE, ops.SET_TOGGLE_PARTS, members)

    async def isdisjoint(self, other: Iterable[V]) -> bool:
        """Whether none of these is in.  One round trip; a row read for each."""
        return not (await self._find(await self._encoded(_of_now([other])))).held

    async def _find(self, members: Collection[bytes]) -> Found:
        """How many of these are in."""
        return await self._ask_all(ops.SET_FIND, ops.SET_FIND_PARTS, members)

    async def issuperset(self, other: Iterable[V]) -> bool:
        """Whether all of these are in.  Costs as `isdisjoint`."""
        members = await self._encoded(_of_now([other]))
        return (await self._find(members)).held == len(members)

    async def issubset(self, other: Iterable[V]) -> bool:
        """Whether there are no others than these.  Costs as `isdisjoint`."""
        found = await self._find(await self._encoded(_of_now([other])))
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


def _of_now(others: Iterable[Iterable[V]]) -> list[Iterable[V]]:
    """The same; who has collections may go on to change them, so they are copied."""
    return [list(it) if isinstance(it, Collection) else it for it in others]
