"""Who waits for an answer, and until when: all wait equally long, so one timer is enough for all.

A request costs no timer: whoever came first is late first.
"""

import asyncio
from collections.abc import Callable


def _nothing() -> None:
    """Nobody is late any more."""


class Wait:
    """One who waits; it is over once, by an answer or for being late."""

    __slots__ = ("_patience", "due_s", "late")

    def __init__(self, patience: "Patience", due_s: float, late: Callable[[], None]) -> None:
        """Call `late` when nobody has ended it before."""
        self._patience = patience
        self.due_s = due_s
        self.late = late

    def end(self) -> bool:
        """Wait no more; False when it was over before."""
        return self._patience.forget(self)


class Patience:
    """All who wait, so many seconds each."""

    def __init__(self, seconds: float) -> None:
        """Nobody waits."""
        self.seconds = seconds
        # In the order in which they are late.
        self._waits: dict[Wait, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        # To ask which loop runs is a call of the system in Python before 3.13.
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waits)

    def begin(self, late: Callable[[], None]) -> Wait:
        """Wait from now on; `late` is called when it takes too long."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        wait = Wait(self, loop.time() + self.seconds, late)
        self._waits[wait] = None
        self._wake_by(loop, wait.due_s)
        return wait

    def _wake_by(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._on_timer)

    def forget(self, wait: Wait) -> bool:
        """One waits no more; False when it did not."""
        if wait not in self._waits:
            return False
        del self._waits[wait]
        wait.late = _nothing  # what is called then may know the wait
        return True

    def _on_timer(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._timer = None
        while self._waits:
            wait = next(iter(self._waits))
            if wait.due_s > now_s:
                self._wake_by(loop, wait.due_s)  # unless somebody has come meanwhile
                return
            del self._waits[wait]
            late, wait.late = wait.late, _nothing
            late()

    def stop(self) -> None:
        """Call nobody any more."""
        for wait in self._waits:
            wait.late = _nothing
        self._waits.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
