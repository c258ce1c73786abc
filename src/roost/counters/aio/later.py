"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and made together a few times a second, each lot as a whole.
While one is made durable, others gather behind it.

Full?  NAMES_MAX counters may wait; an increment of one more is refused (`Overloaded`).
"""

import asyncio
import threading
from itertools import islice

from roost.counters.desk import Desk
from roost.errors import NotExecuted, Overloaded, RoostError, Stopped
from roost.tasks import Tasks

NAMES_MAX, LOT_NAMES_MAX = 100_000, 1_000
# How long the last lots may take when it ends.
_END_S = 5.0


class Later:
    """Counts in the background, for all threads; `end` it, or close the database."""

    def __init__(self, desk: Desk, every_s: float) -> None:
        """Count what has come each `every_s` seconds."""
        self._desk = desk
        self._every_s = every_s
        self._lock = threading.Lock()
        self._changes: dict[str, int] = {}
        # The lot that is being made durable.
        self._sent: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._is_closing = False
        self._idle = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks = Tasks()
        self._counting = self._tasks.start(self._run())

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Stopped: it was ended; it is not counted.
            Overloaded: too many counters wait; it is not counted.

        """
        with self._lock:
            if self._is_closing:
                raise Stopped("it was ended")
            if len(self._changes) >= NAMES_MAX and name not in self._changes:
                raise Overloaded(f"{NAMES_MAX} counters wait to be counted")
            self._changes[name] = self._changes.get(name, 0) + change

    @property
    def waiting_count(self) -> int:
        """Counters of which something is not durable yet."""
        with self._lock:
            return len(self._changes.keys() | self._sent.keys())

    @property
    def has_ended(self) -> bool:
        """Whether it counts no more."""
        return self._counting.done()

    async def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        self._idle.clear()
        self._hurry.set()
        if not self._counting.done():
            await self._idle.wait()

    async def end(self) -> dict[str, int]:
        """Count what waits; what could not be counted.

        Of that nothing is counted, or nobody can say whether it is.
        """
        with self._lock:
            self._is_closing = True
        self._hurry.set()
        await asyncio.wait([self._counting], timeout=_END_S)
        await self._tasks.close()
        self._idle.set()
        lost, self._failed = self._failed, {}
        for waiting in (self._sent, self._changes):
            for name, change in waiting.items():
                lost[name] = lost.get(name, 0) + change
        self._sent, self._changes = {}, {}
        return lost

    async def _run(self) -> None:
        while True:
            with self._lock:
                names = list(islice(self._changes, LOT_NAMES_MAX))
                self._sent = {it: self._changes.pop(it) for it in names}
            if self._sent:
                await self._count()
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

    async def _count(self) -> None:
        """Count a lot, or know that it cannot be; what has not happened is tried again."""
        try:
            await self._desk.increment(list(self._sent.items()))
        except NotExecuted as error:
            if isinstance(error, Stopped):
                self._give_up()
            else:
                with self._lock:
                    for name, change in self._sent.items():
                        self._changes[name] = self._changes.get(name, 0) + change
                    self._sent = {}
                await asyncio.sleep(self._every_s)
        except RoostError:
            self._give_up()
        self._sent = {}

    def _give_up(self) -> None:
        for name, change in self._sent.items():
            self._failed[name] = self._failed.get(name, 0) + change
