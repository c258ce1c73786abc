"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and sent together a few times a second, each lot as a whole and
with a key of its own, so a lot counts once however often it has to be sent.  One that nobody
answers is sent again to the same member; as long as it is on its way, others gather behind it.

Full?  `roost.lots.NAMES_MAX` counters may wait; an increment of one more is refused (`Busy`).
"""

import os

from roost.client.connections import Connections
from roost.client.errors import Busy
from roost.client.sticky import Retry, call_sticky
from roost.lots import NAMES_MAX, Lots, Sums, Taken
from roost.proto import counters_pb2 as pb

_KEY_BYTES = 16


class Later:
    """Counts in the background, for all threads; `end` it before its client is closed."""

    def __init__(self, connections: Connections, every_s: float) -> None:
        """Send what has come each `every_s` seconds."""
        self._connections = connections
        self._lots = Lots(self._send, every_s)

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Busy: too many counters wait, or it was ended; it is not counted.

        """
        taken = self._lots.add(name, change)
        if taken is Taken.ENDED:
            raise Busy("UNAVAILABLE", "it was ended")
        if taken is Taken.FULL:
            raise Busy("RESOURCE_EXHAUSTED", f"{NAMES_MAX} counters wait to be sent")

    @property
    def waiting_count(self) -> int:
        """Counters of which something has not been acknowledged."""
        return self._lots.waiting_count

    async def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        await self._lots.flush()

    async def end(self) -> dict[str, int]:
        """Send what waits, for as long as a call may take; what could not be delivered.

        Of that nothing is counted, or nobody can say whether it is.
        """
        return await self._lots.end(self._connections.manners.timeout_s)

    async def _send(self, lot: Sums) -> None:
        """Send a lot until somebody has taken it, or it was refused."""
        request = pb.IncrementRequest(
            changes=[pb.CounterChange(name=name, change=it) for name, it in lot.items()],
            key=os.urandom(_KEY_BYTES),
        )
        await call_sticky(
            self._connections,
            "/roost.Counters/Increment",
            request,
            pb.CountersResponse,
            retry=Retry.EXACTLY_ONCE,
        )
