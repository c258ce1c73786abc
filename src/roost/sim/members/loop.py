"""An asyncio event loop whose clock stands still until there is nothing to do, and then jumps.

Nothing waits in real time, and the same calls give the same run.  Sockets and threads have no
place on it: a loop that has neither timers nor work is a deadlock, and says so.
"""

import asyncio
import selectors
from typing import Any

# What a turn of the loop takes at least, so that whoever looks again and again sees time pass.
TURN_S = 1e-6


class DeadlockError(Exception):
    """Nothing will ever happen again on this loop."""


class _Jumper(selectors.SelectSelector):
    """A selector that finds nothing ready, and lets time pass instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise DeadlockError("no timer is set and nothing is ready")
        self.now_s += max(TURN_S, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `time` is in virtual seconds since it was made."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._jumper = _Jumper()
        super().__init__(self._jumper)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumper.now_s
