"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and sent together a few times a second, each lot as a whole and
with a key of its own, so a lot counts once however often it has to be sent.  One that nobody
answers is sent again to the same member; as long as it is on its way, others gather behind it.

Full?  NAMES_MAX counters may wait; an increment of one more is refused (`Busy`).
"""

import asyncio
import os
import threading
from itertools import islice

from roost.client.connections import Connections
from roost.client.errors import Busy, ClientError, OutcomeUnknown
from roost.client.sticky import Retry, call_sticky
from roost.errors import NotExecuted
from roost.proto import counters_pb2 as pb
from roost.tasks import Tasks

NAMES_MAX, LOT_NAMES_MAX = 100_000, 1_000
_KEY_BYTES = 16


class Later:
    """Counts in the background, for all threads; `end` it before its client is closed."""

    def __init__(self, connections: Connections, every_s: float) -> None:
        """Send what has come each `every_s` seconds."""
        self._connections = connections
        self._every_s = every_s
        self._lock = threading.Lock()
        self._changes: dict[str, int] = {}
        # The lot that is on its way.
        self._sent: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._is_closing = False
        self._idle = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks = Tasks()
        self._sending = self._tasks.start(self._run())

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Busy: too many counters wait, or it was ended; it is not counted.

        """
        with self._lock:
            if self._is_closing:
                raise Busy("UNAVAILABLE", "it was ended")
            if len(self._changes) >= NAMES_MAX and name not in self._changes:
                raise Busy("RESOURCE_EXHAUSTED", f"{NAMES_MAX} counters wait to be sent")
            self._changes[name] = self._changes.get(name, 0) + change

    @property
    def waiting_count(self) -> int:
        """Counters of which something has not been acknowledged."""
        with self._lock:
            return len(self._changes.keys() | self._sent.keys())

    async def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        self._idle.clear()
        self._hurry.set()
        await self._idle.wait()

    async def end(self) -> dict[str, int]:
        """Send what waits, for as long as a call may take; what could not be delivered.

        Of that nothing is counted, or nobody can say whether it is.
        """
        with self._lock:
            self._is_closing = True
        self._hurry.set()
        await asyncio.wait([self._sending], timeout=self._connections.manners.timeout_s)
        await self._tasks.close()
        lost = self._failed
        for waiting in (self._sent, self._changes):
            for name, change in waiting.items():
                lost[name] = lost.get(name, 0) + change
        return lost

    async def _run(self) -> None:
        while True:
            with self._lock:
                names = list(islice(self._changes, LOT_NAMES_MAX))
                self._sent = {it: self._changes.pop(it) for it in names}
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
        """Send a lot until somebody has taken it, or it was refused."""
        request = pb.IncrementRequest(
            changes=[pb.CounterChange(name=name, change=it) for name, it in self._sent.items()],
            key=os.urandom(_KEY_BYTES),
        )
        try:
            await call_sticky(
                self._connections,
                "/roost.Counters/Increment",
                request,
                pb.CountersResponse,
                retry=Retry.EXACTLY_ONCE,
            )
        except OutcomeUnknown:
            self._give_up()
        except NotExecuted:
            with self._lock:
                for name, change in self._sent.items():
                    self._changes[name] = self._changes.get(name, 0) + change
            await asyncio.sleep(self._every_s)
        except ClientError:
            self._give_up()
        self._sent = {}

    def _give_up(self) -> None:
        for name, change in self._sent.items():
            self._failed[name] = self._failed.get(name, 0) + change
