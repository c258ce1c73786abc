"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and sent together a few times a second, each lot as a whole and
with a key of its own, so a lot counts once however often it has to be sent.  One that nobody
answers is sent again to the same member; as long as it is on its way, others gather behind it.

Full?  `roost.lots.NAMES_MAX` counters may wait; an increment of one more is refused (`Busy`).
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.client.aio import later as aio
from roost.faces import Face


class Later(Face):
    """Counts in the background, for all threads; `end` it before its client is closed."""

    _inner: aio.Later

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Busy: too many counters wait, or it was ended; it is not counted.

        """
        self._inner.increment(name, change)

    @property
    def waiting_count(self) -> int:
        """Counters of which something has not been acknowledged."""
        return self._inner.waiting_count

    def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        self._loop.call(self._inner.flush())

    def end(self) -> dict[str, int]:
        """Send what waits, for as long as a call may take; what could not be delivered.

        Of that nothing is counted, or nobody can say whether it is.

        """
        return self._loop.call(self._inner.end())
