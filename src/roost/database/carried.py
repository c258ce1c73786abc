"""Rows of a transaction that is written on any thread, and read on the one of its event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from roost.database.limits import TreeLimits
from roost.database.rows import Row, Rows
from roost.faces import Closed

Result = TypeVar("Result")
_CLOSED = "the database was closed in the middle of a transaction"
# How often whoever waits looks whether the loop is still there.
_LOOK_S = 1.0


class CarriedRows:
    """Asks `rows` on the loop that it was made on: at once there, and by a call from elsewhere."""

    def __init__(self, rows: Rows) -> None:
        """Remember the loop."""
        self._rows = rows
        self._loop = asyncio.get_running_loop()

    def _carry(self, ask: Callable[[], Result]) -> Result:
        try:
            if asyncio.get_running_loop() is self._loop:
                return ask()
        except RuntimeError:
            pass  # no loop runs on this thread

        async def carried() -> Result:
            return ask()

        work = carried()
        try:
            asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise Closed(_CLOSED) from error
        while True:
            try:
                return asked.result(_LOOK_S)
            except FutureTimeoutError as error:
                if asked.done():
                    raise  # what was asked has timed out itself
                if self._loop.is_closed():
                    raise Closed(_CLOSED) from error
            except CancelledError as error:
                raise Closed(_CLOSED) from error

    def open(self, tree: str, key: str, value: str) -> None:
        """See `Rows.open`."""
        self._carry(lambda: self._rows.open(tree, key, value))

    def get(self, tree: str, key: bytes) -> bytes | None:
        """See `Rows.get`."""
        return self._carry(lambda: self._rows.get(tree, key))

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[Row]:
        """See `Rows.scan`."""
        return self._carry(lambda: self._rows.scan(tree, first, stop, reverse=reverse, limit=limit))

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        """See `Rows.put`."""
        self._carry(lambda: self._rows.put(tree, key, value))

    def delete(self, tree: str, key: bytes) -> None:
        """See `Rows.delete`."""
        self._carry(lambda: self._rows.delete(tree, key))

    def forget(self, tree: str, first: bytes, stop: bytes | None) -> int:
        """See `Rows.forget`."""
        return self._carry(lambda: self._rows.forget(tree, first, stop))

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        """See `Rows.delete_range`."""
        self._carry(lambda: self._rows.delete_range(tree, first, stop))

    def describe(self, tree: str, purpose: str, limits: TreeLimits) -> None:
        """See `Rows.describe`."""
        self._carry(lambda: self._rows.describe(tree, purpose, limits))

    def annotate(self, kind: int, data: bytes) -> None:
        """See `Rows.annotate`."""
        self._carry(lambda: self._rows.annotate(kind, data))

    def savepoint(self) -> object:
        """See `Rows.savepoint`."""
        return self._carry(self._rows.savepoint)

    def rollback(self, mark: object) -> None:
        """See `Rows.rollback`."""
        self._carry(lambda: self._rows.rollback(mark))
