"""What a stream needs besides gRPC: a side that stays open, and an end when it is silent.

grpcio sends what an iterator yields, and the stream is half closed when the iterator ends; so one
request on a stream that lives on is an iterator that waits.  A stream's deadline in gRPC is one for
all of it; ours is for each answer, so a thread looks after it.
"""

import threading
import time
from typing import Any

from google.protobuf.message import Message


class OneRequest:
    """Sends one request and then keeps the stream open until it is ended."""

    def __init__(self, request: Message) -> None:
        """Nothing is sent yet."""
        self._requests = [request]
        self._ended = threading.Event()

    def __iter__(self) -> "OneRequest":
        return self

    def __next__(self) -> Message:
        if self._requests:
            return self._requests.pop()
        self._ended.wait()
        raise StopIteration

    def end(self) -> None:
        """Let grpc's sending thread go."""
        self._ended.set()


class Watchdog:
    """Ends a stream that is silent for too long."""

    def __init__(self, call: Any) -> None:  # Any: grpcio's calls are not typed
        """Watch in a thread of its own; it may be silent until something is expected."""
        self._call = call
        self._changed = threading.Condition()
        self._until: float | None = None
        self._is_over = False
        self.has_barked = False
        threading.Thread(target=self._run, name="roost-stream", daemon=True).start()

    def expect(self, within_s: float | None) -> None:
        """Something must come in time from now on; None: whenever it likes."""
        until = None if within_s is None else time.monotonic() + within_s
        if until is not self._until:
            with self._changed:
                self._until = until
                self._changed.notify()

    def end(self) -> None:
        """Watch no more."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._is_over:
                left_s = None if self._until is None else self._until - time.monotonic()
                if left_s is not None and left_s <= 0:
                    self.has_barked = True
                    self._call.cancel()
                    return
                self._changed.wait(left_s)
