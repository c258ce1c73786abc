"""The asyncio face of barriers."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.faces import Face
from roost.objects.aio import barriers as aio


class Barrier(Face):
    """As `threading.Barrier`: so many wait for each other, and then all go on.

    Who waits has a lease; one that dies while it waits is counted no more.

    """

    _inner: aio.Barrier

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    @property
    def parties(self) -> int:
        """How many wait for each other."""
        return self._inner.parties

    def wait(self, *, wait_s: float | None = None) -> int:
        """Wait until all are there; a number from 0, another one for each of them.

        Whoever waits for longer than `wait_s` breaks the barrier.  One round trip and one row,
        which has all who wait; one more for each third of the lease that is waited.

        Raises:
            BarrierBroken: it is broken, or was while we waited.
            LeaseLost: the cluster could not be reached for the time of the lease.
            Refused: others have said another number of parties.
            NotExecuted, OutcomeUnknown: as `Database.run`; nobody waits then.

        """
        return self._loop.call(self._inner.wait(wait_s=wait_s))

    def abort(self) -> None:
        """Break it, until it is reset: whoever waits, or comes, is told.  One round trip."""
        self._loop.call(self._inner.abort())

    def reset(self) -> None:
        """Have it empty and not broken; whoever waits is told that it broke.  One round trip."""
        self._loop.call(self._inner.reset())

    def n_waiting(self) -> int:
        """How many wait.  One round trip, one row."""
        return self._loop.call(self._inner.n_waiting())

    def broken(self) -> bool:
        """Whether it is broken.  One round trip, one row."""
        return self._loop.call(self._inner.broken())
