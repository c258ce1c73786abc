"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and made together a few times a second, each lot as a whole.
While one is made durable, others gather behind it.

Full?  `roost.lots.NAMES_MAX` counters may wait; an increment of one more is refused (`Overloaded`).
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.counters.aio import later as aio
from roost.faces import Face


class Later(Face):
    """Counts in the background, for all threads; `end` it, or close the database."""

    _inner: aio.Later

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Stopped: it was ended; it is not counted.
            Overloaded: too many counters wait; it is not counted.

        """
        self._inner.increment(name, change)

    @property
    def waiting_count(self) -> int:
        """Counters of which something is not durable yet."""
        return self._inner.waiting_count

    @property
    def has_ended(self) -> bool:
        """Whether it counts no more."""
        return self._inner.has_ended

    def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        self._loop.call(self._inner.flush())

    def end(self) -> dict[str, int]:
        """Count what waits; what could not be counted.

        Of that nothing is counted, or nobody can say whether it is.

        """
        return self._loop.call(self._inner.end())
