"""The asyncio face of what lists and deques have alike: values in an order."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Generic, TypeVar

from roost.database import Conflict, value_codec
from roost.database.aio import Database
from roost.faces import translated
from roost.objects.aio.handle import Bytes, Handle
from roost.objects.layouts.heads import Shape, tree_of
from roost.objects.layouts.kinds import Kind
from roost.objects.orders import CONTENDED, TRIES, bounds
from roost.objects.shapes import Taken

V = TypeVar("V")


class Sequence(Handle, Generic[V]):
    """Values in an order, of which some may be equal."""

    _kind: Kind

    def __init__(self, db: Database, kind: str, name: str, value: type[V]) -> None:
        """Open one of a `kind`."""
        self._values = value_codec(value)
        super().__init__(db, Shape(tree_of(name), kind, "", self._values.name))

    async def length(self) -> int:
        """How many values there are.  One round trip, one row."""
        return (await self._head(self._kind.head)).count

    async def get(self, index: int) -> V:
        """The value at a position, from the end when it is negative.

        One round trip, two rows; of a list a row more for each level.

        Raises:
            IndexError: there is none.

        """
        held = await self._ask(self._kind.get, index)
        if held is None:
            raise IndexError(self._kind.not_there)
        return self._values.decode(held)

    async def put(self, index: int, value: V) -> None:
        """Set the value at a position.  One round trip, two rows; a list reads one for each level.

        Raises:
            IndexError: there is no such position.
            BadValue: it is no value of this object.

        """
        if not await self._ask(self._kind.put, index, self._values.encode(value)):
            raise IndexError(self._kind.not_settable)

    async def append(self, value: V) -> None:
        """Put a value at the end.  Costs as `extend` with one.

        Raises:
            BadValue: it is no value of this object.
            Refused: it is too large, or the object is something else.

        """
        await self.extend([value])

    @abstractmethod
    async def extend(self, values: Iterable[V]) -> None:
        """Put values at the end, all at once."""

    async def remove(self, value: V) -> None:
        """Take out the first value that is equal to this one; it walks over all.

        Two round trips and more, and what `delete` costs.

        Raises:
            ValueError: there is none.
            Conflict: others changed it again and again meanwhile.

        """
        for _ in range(TRIES):
            state = await self.state()
            if value not in state.values:
                kind = self._shape.kind
                raise ValueError(f"{kind}.remove(x): x not in {kind}")
            place = state.values.index(value)
            if await self._ask(self._kind.remove, place, state.version):
                return
        raise Conflict(CONTENDED)

    async def index(self, value: V, start: int = 0, stop: int | None = None) -> int:
        """The position of the first value that is equal to this one; it walks, as `pages`.

        Raises:
            ValueError: there is none.

        """
        values = await self.copy()
        for place in bounds(start, stop, len(values)):
            if values[place] == value:
                return place
        raise ValueError(f"{value!r} is not in {self._shape.kind}")

    async def count(self, value: V) -> int:
        """How many values are equal to this one; it walks over all, as `pages`."""
        return sum([page.count(value) async for page in self.pages()])

    async def has(self, value: V) -> bool:
        """Whether a value is equal to this one; it walks, as `pages`."""
        async for page in self.pages():
            if value in page:
                return True
        return False

    async def reverse(self) -> None:
        """Put the values into the opposite order.

        One round trip; a row for each value, of a list for each 64.
        """
        await self._ask(self._kind.reverse)

    async def clear(self) -> None:
        """Take out all values.  One round trip, two rows, whatever it removes."""
        await self._ask(self._kind.clear)

    async def state(self) -> Taken[V]:
        """All values, and the version of the object that has them; read as `pages`."""
        taken: Taken[V] = Taken([], 0)

        async def read(tree: Bytes, head: Any) -> AsyncGenerator[list[V], None]:
            nonlocal taken
            taken = Taken([], head.version)
            async for page in self._walk(tree, head, reverse=False):
                yield page

        async for page in self._pages(self._kind.head, read):
            taken.values.extend(page)
        return taken

    async def pages(self, *, reverse: bool = False) -> AsyncGenerator[list[V], None]:
        """All values in order, some at a time, of one state; from the end with `reverse`.

        One round trip, two for many; a row read for each value, and of a list for each 64.
        """

        async def read(tree: Bytes, head: Any) -> AsyncGenerator[list[V], None]:
            async for page in self._walk(tree, head, reverse=reverse):
                yield page

        async for page in self._pages(self._kind.head, read):
            yield page

    @abstractmethod
    def _walk(self, tree: Bytes, head: Any, *, reverse: bool) -> AsyncGenerator[list[V], None]:
        """All values in order, some at a time; `head` is of this kind."""

    @translated
    async def values(self, *, reverse: bool = False) -> AsyncGenerator[V, None]:
        """All values in order, from the end with `reverse`; read as `pages`."""
        async for page in self.pages(reverse=reverse):
            for value in page:
                yield value

    async def copy(self) -> list[V]:
        """All values as a plain list, of one state; read as `pages`."""
        return [it async for page in self.pages() for it in page]
