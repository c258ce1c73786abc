"""What holds for several streams: when they end, and why, said by another thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from roost.client.errors import ClientError


class Scope:
    """Streams within it end as soon as it does, with its error."""

    def __init__(self) -> None:
        """It lasts until `end`."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._error: ClientError | None = None
        self._calls: list[Any] = []  # Any: grpcio's calls are not typed

    def end(self, error: ClientError) -> None:
        """End it; the first error counts."""
        with self._lock:
            if self._error is None:
                self._error = error
            self._over.set()
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def check(self) -> None:
        """Raise what it ended with, if it did."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> None:
        """Wait, unless it ends meanwhile."""
        self._over.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, call: Any) -> Iterator[None]:
        """Cancel a call when the scope ends."""
        with self._lock:
            self._calls.append(call)
        try:
            if self._over.is_set():
                call.cancel()
            yield
        finally:
            with self._lock:
                self._calls.remove(call)
