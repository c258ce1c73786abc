"""The asyncio face of registers."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from roost.database import Conflict, value_codec
from roost.database.aio import Database
from roost.faces import translated
from roost.objects.aio.handle import Handle
from roost.objects.layouts import operations as ops
from roost.objects.layouts.heads import Shape, tree_of
from roost.objects.layouts.registers import RegisterHead
from roost.objects.orders import CONTENDED, TRIES
from roost.objects.shapes import Versioned

V = TypeVar("V")
D = TypeVar("D")


class Register(Handle, Generic[V]):
    """One value, that is set, read, and changed when it is as it was."""

    def __init__(self, db: Database, name: str, value: type[V]) -> None:
        """Open it; see `Objects.register`."""
        self._values = value_codec(value)
        super().__init__(db, Shape(tree_of(name), "register", "", self._values.name))

    def _read(self, held: bytes | None, default: Any) -> Any:
        return default if held is None else self._values.decode(held)

    @overload
    async def get(self) -> V | None: ...
    @overload
    async def get(self, default: D) -> V | D: ...
    async def get(self, default: Any = None) -> Any:
        """The value, or `default` when it has none.  One round trip, one row."""
        return self._read((await self._head(RegisterHead)).held, default)

    async def versioned(self) -> Versioned[V]:
        """The value and its version.  One round trip, one row."""
        head = await self._head(RegisterHead)
        return Versioned(self._read(head.held, None), head.version)

    async def set(self, value: V) -> None:
        """Set the value.  One round trip, one row."""
        await self._ask(ops.REGISTER_PUT, self._values.encode(value))

    async def swap(self, value: V) -> V | None:
        """Set the value; the one that it had, or None.  One round trip, one row."""
        held: V | None = self._read(
            await self._ask(ops.REGISTER_PUT, self._values.encode(value)), None
        )
        return held

    async def clear(self) -> None:
        """Have no value.  One round trip, one row."""
        await self._ask(ops.REGISTER_PUT, None)

    async def set_if(self, value: V, version: int) -> bool:
        """Set the value if its version is this one still; whether it was.  One round trip."""
        return await self._ask(ops.REGISTER_PUT_IF, self._values.encode(value), version)

    @translated
    async def update(self, function: Callable[[V | None], V]) -> V:
        """Set what `function` makes of the value, and again when others come between.

        Two round trips and more.

        Raises:
            Conflict: others came between again and again.

        """
        for _ in range(TRIES):
            held = await self.versioned()
            made = function(held.value)
            if await self.set_if(made, held.version):
                return made
        raise Conflict(CONTENDED)
