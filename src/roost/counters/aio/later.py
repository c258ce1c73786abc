"""Counting in the background: for those who cannot wait, and can bear to lose the last moment.

Increments are summed up by counter, and made together a few times a second, each lot as a whole.
While one is made durable, others gather behind it.

Full?  `roost.lots.NAMES_MAX` counters may wait; an increment of one more is refused (`Overloaded`).
"""

from roost.counters.desk import Desk
from roost.errors import Overloaded, Stopped
from roost.lots import NAMES_MAX, Lots, Taken

# How long the last lots may take when it ends.
_END_S = 5.0


class Later:
    """Counts in the background, for all threads; `end` it, or close the database."""

    def __init__(self, desk: Desk, every_s: float) -> None:
        """Count what has come each `every_s` seconds."""
        self._lots = Lots(lambda lot: desk.increment(list(lot.items())), every_s)

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, soon; any thread.

        Raises:
            Stopped: it was ended; it is not counted.
            Overloaded: too many counters wait; it is not counted.

        """
        taken = self._lots.add(name, change)
        if taken is Taken.ENDED:
            raise Stopped("it was ended")
        if taken is Taken.FULL:
            raise Overloaded(f"{NAMES_MAX} counters wait to be counted")

    @property
    def waiting_count(self) -> int:
        """Counters of which something is not durable yet."""
        return self._lots.waiting_count

    @property
    def has_ended(self) -> bool:
        """Whether it counts no more."""
        return self._lots.has_ended

    async def flush(self) -> None:
        """Return when all that was given before is counted, or has failed for good."""
        await self._lots.flush()

    async def end(self) -> dict[str, int]:
        """Count what waits; what could not be counted.

        Of that nothing is counted, or nobody can say whether it is.
        """
        return await self._lots.end(_END_S)
