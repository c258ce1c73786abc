"""Sums by name that are gathered and handed on in lots, for those who count in the background.

What comes while a lot is on its way gathers behind it.  A lot that has not happened goes back among
what waits; one that was refused, or of which nobody knows whether it happened, is lost, and told at
the end.

Full?  NAMES_MAX names may wait; the owner refuses one more.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from itertools import islice

from roost.errors import NotExecuted, RoostError, Stopped
from roost.tasks import Tasks

NAMES_MAX, LOT_NAMES_MAX = 100_000, 1_000
Sums = dict[str, int]


class Taken(Enum):
    """What became of an addition."""

    TAKEN = auto()
    # Too many names wait.
    FULL = auto()
    # Nothing is taken any more.
    ENDED = auto()


class Lots:
    """`hand_on(lot)` makes a lot happen, or raises; it is called for one after the other."""

    def __init__(self, hand_on: Callable[[Sums], Awaitable[object]], every_s: float) -> None:
        """Hand on what has come each `every_s` seconds."""
        self._hand_on = hand_on
        self._every_s = every_s
        # Additions come from all threads.
        self._lock = threading.Lock()
        self._waiting: Sums = {}
        # The lot that is on its way.
        self._sent: Sums = {}
        self._lost: Sums = {}
        self._is_closing = False
        self._idle = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks = Tasks()
        self._running = self._tasks.start(self._run())

    def add(self, name: str, change: int) -> Taken:
        """Add to a sum; any thread."""
        with self._lock:
            if self._is_closing:
                return Taken.ENDED
            if len(self._waiting) >= NAMES_MAX and name not in self._waiting:
                return Taken.FULL
            _add(self._waiting, {name: change})
        return Taken.TAKEN

    @property
    def waiting_count(self) -> int:
        """Names of which something has not happened yet."""
        with self._lock:
            return len(self._waiting.keys() | self._sent.keys())

    @property
    def has_ended(self) -> bool:
        """Whether nothing is handed on any more."""
        return self._running.done()

    async def flush(self) -> None:
        """Return when all that was added before has happened, or is lost."""
        self._idle.clear()
        self._hurry.set()
        if not self._running.done():
            await self._idle.wait()

    async def end(self, within_s: float) -> Sums:
        """Hand on what waits, for so long; what is lost.  Asked again, nothing is."""
        with self._lock:
            self._is_closing = True
        self._hurry.set()
        await asyncio.wait([self._running], timeout=within_s)
        await self._tasks.close()
        self._idle.set()
        lost, self._lost = self._lost, {}
        _add(lost, self._sent)
        _add(lost, self._waiting)
        self._sent, self._waiting = {}, {}
        return lost

    async def _run(self) -> None:
        while True:
            with self._lock:
                names = list(islice(self._waiting, LOT_NAMES_MAX))
                self._sent = {it: self._waiting.pop(it) for it in names}
            if self._sent:
                await self._send()
                continue
            self._hurry.clear()
            self._idle.set()
            if self._is_closing:
                return
            try:
                async with asyncio.timeout(self._every_s):
                    await self._hurry.wait()
            except TimeoutError:
                continue

    async def _send(self) -> None:
        """Hand a lot on, or know that it cannot be."""
        try:
            await self._hand_on(self._sent)
        except RoostError as error:
            if isinstance(error, NotExecuted) and not isinstance(error, Stopped):
                with self._lock:
                    _add(self._waiting, self._sent)
                    self._sent = {}
                await asyncio.sleep(self._every_s)
            else:
                _add(self._lost, self._sent)
        self._sent = {}


def _add(sums: Sums, changes: Sums) -> None:
    for name, change in changes.items():
        sums[name] = sums.get(name, 0) + change
