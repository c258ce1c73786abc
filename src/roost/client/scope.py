"""What holds for several calls: when they end, and why, said from anywhere."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from roost.client.errors import ClientError


class Scope:
    """What is within it ends as soon as it does, with its error; safe to end by any thread."""

    def __init__(self) -> None:
        """It lasts until `end`."""
        self._lock = threading.Lock()
        self._error: ClientError | None = None
        self._endings: list[Callable[[], object]] = []

    def end(self, error: ClientError) -> None:
        """End it; the first error counts."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            endings = list(self._endings)
        for ending in endings:
            ending()

    def check(self) -> None:
        """Raise what it ended with, if it did."""
        if self._error is not None:
            raise self._error

    @asynccontextmanager
    async def holding(self) -> AsyncGenerator[None, None]:
        """Cancel what is in it when the scope ends; it raises the scope's error then."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "we are in one"
        cancelled: list[bool] = []

        def cancel() -> None:
            if ending in self._endings:
                cancelled.append(task.cancel())

        def ending() -> None:
            loop.call_soon_threadsafe(cancel)

        with self._lock:
            error = self._error
            self._endings.append(ending)
        try:
            if error is not None:
                raise error
            yield
        except asyncio.CancelledError:
            if cancelled and task.uncancel() == 0:
                self.check()
            raise
        finally:
            with self._lock:
                self._endings.remove(ending)
        self.check()
