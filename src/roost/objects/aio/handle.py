"""The asyncio face of replicated objects: what all that live in a tree of their own have alike.

A method that changes an object is one operation: it runs where the cluster leads, as a whole, and
is durable on a majority when it returns.  What it costs stands with it, in round trips (one is
from here to the member that leads, and from there to a majority) and in rows read and written.
Whatever is raised by `Database.run` is raised by all of them: `Refused`, `NotExecuted`,
`OutcomeUnknown`.

What walks over an object sees one state of it: short objects are read at once, longer ones hold a
view meanwhile (`Database.view`), which lasts for a minute at most, and then raises `ViewClosed`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, TypeVar

from roost.database import Operation
from roost.database.aio import Database, ReadTree
from roost.database.model import Form, LongOperation
from roost.objects.layouts.heads import HEAD, PREFIX, H, Shape, decode_head

R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E")
Bytes = ReadTree[bytes, bytes]
# Objects with so many rows are read in one turn of the loop, without holding a view.
SHORT_ROWS = 64


class Handle:
    """An object, by its name."""

    def __init__(self, db: Database, shape: Shape) -> None:
        """Ask `db`; the object is made by its first write."""
        self._db = db
        self._shape = shape
        self._tree = db.tree(shape.tree)
        self._here = db.local.tree(shape.tree)

    @property
    def name(self) -> str:
        """Its name."""
        return self._shape.tree.removeprefix(PREFIX)

    async def _ask(self, operation: Operation[..., R], *given: Any) -> R:
        return await self._db.run(operation, self._shape, *given)

    async def _ask_in_parts(
        self,
        few: Operation[..., R],
        many: LongOperation[..., R],
        form: Form[E],
        given: Iterable[T],
        encode: Callable[[T], E],
        *,
        before: tuple[Any, ...] = (),
        behind: tuple[Any, ...] = (),
    ) -> R:
        """Ask `few` with what `encode` makes of all that is given; `many` when it is many.

        Other arguments stand `before` it and `behind`.
        """
        found = await form.collect(given, encode)
        if not found.parts:
            return await self._ask(few, *before, found.few, *behind)
        return await self._ask(many, *before, found.parts, *behind)

    async def _head(self, kind: type[H]) -> H:
        """Its first row; one round trip."""
        return decode_head(await self._tree.get(HEAD), self._shape, kind)

    async def _pages(
        self, kind: type[H], read: Callable[[Bytes, H], AsyncGenerator[list[T], None]]
    ) -> AsyncGenerator[list[T], None]:
        """What `read` gives of one state; it may wait for nothing but rows of the tree."""
        head = await self._head(kind)
        if head.count <= SHORT_ROWS:
            # This member's rows are those of the moment before, as long as nobody waits.
            found = [it async for page in read(self._here, head) for it in page]
            if found:
                yield found
            return
        async with self._db.view() as view:
            tree = view.tree(self._shape.tree)
            head = decode_head(await tree.get(HEAD), self._shape, kind)
            async for page in read(tree, head):
                yield page
                await asyncio.sleep(0)
