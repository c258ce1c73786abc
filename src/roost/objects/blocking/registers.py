"""The asyncio face of registers."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from roost.database import Conflict
from roost.objects.aio import registers as aio
from roost.objects.blocking.handle import Handle
from roost.objects.orders import CONTENDED, TRIES
from roost.objects.shapes import Versioned

V = TypeVar("V")
D = TypeVar("D")


class Register(Handle, Generic[V]):
    """One value, that is set, read, and changed when it is as it was."""

    _inner: aio.Register[V]

    @overload
    def get(self) -> V | None: ...

    @overload
    def get(self, default: D) -> V | D: ...

    def get(self, default: Any = None) -> Any:
        """The value, or `default` when it has none.  One round trip, one row."""
        return self._loop.call(self._inner.get(default))

    def versioned(self) -> Versioned[V]:
        """The value and its version.  One round trip, one row."""
        return self._loop.call(self._inner.versioned())

    def set(self, value: V) -> None:
        """Set the value.  One round trip, one row."""
        self._loop.call(self._inner.set(value))

    def swap(self, value: V) -> V | None:
        """Set the value; the one that it had, or None.  One round trip, one row."""
        return self._loop.call(self._inner.swap(value))

    def clear(self) -> None:
        """Have no value.  One round trip, one row."""
        self._loop.call(self._inner.clear())

    def set_if(self, value: V, version: int) -> bool:
        """Set the value if its version is this one still; whether it was.  One round trip."""
        return self._loop.call(self._inner.set_if(value, version))

    def update(self, function: Callable[[V | None], V]) -> V:
        """Set what `function` makes of the value, and again when others come between.

        Two round trips and more.

        Raises:
            Conflict: others came between again and again.

        """
        for _ in range(TRIES):
            held = self.versioned()
            made = function(held.value)
            if self.set_if(made, held.version):
                return made
        raise Conflict(CONTENDED)
