"""The asyncio face of what lists and deques have alike: values in an order."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from roost.database import Conflict, Operation, value_codec
from roost.database.aio import Database
from roost.faces import translated
from roost.objects.aio.handle import Handle
from roost.objects.layouts.heads import Shape, tree_of
from roost.objects.orders import CONTENDED, TRIES, bounds
from roost.objects.shapes import Taken

V = TypeVar("V")


class Sequence(Handle, Generic[V]):
    """Values in an order, of which some may be equal."""

    _remove: Operation[[Shape, int, int], bool]

    def __init__(self, db: Database, kind: str, name: str, value: type[V]) -> None:
        """Open one of a `kind`."""
        self._values = value_codec(value)
        super().__init__(db, Shape(tree_of(name), kind, "", self._values.name))

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
            if await self._ask(self._remove, place, state.version):
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

    @abstractmethod
    async def state(self) -> Taken[V]:
        """All values, and the version of the object that has them; read as `pages`."""

    @abstractmethod
    def pages(self, *, reverse: bool = False) -> AsyncGenerator[list[V], None]:
        """All values in order, some at a time, of one state; from the end with `reverse`."""

    @translated
    async def values(self, *, reverse: bool = False) -> AsyncGenerator[V, None]:
        """All values in order, from the end with `reverse`; read as `pages`."""
        async for page in self.pages(reverse=reverse):
            for value in page:
                yield value

    async def copy(self) -> list[V]:
        """All values as a plain list, of one state; read as `pages`."""
        return [it async for page in self.pages() for it in page]
