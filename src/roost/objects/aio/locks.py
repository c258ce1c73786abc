"""The asyncio face of locks, semaphores and leaders: leases with a fencing token.

Whoever holds one is looked after in the background: an operation of one row, three times in the
time of the lease.  Whoever is cut off from the cluster, or stands still, for three quarters of it
has lost it: `check` raises `LeaseLost` then, `on_lost` is called, and only a quarter later can it
be somebody else's.  What is written elsewhere meanwhile should say `token` along, a number that
only ever grows from holder to holder: so late writes can be refused there.

To wait is to stand in line, first come, first served.
"""

from types import TracebackType
from typing import Self

from roost.database.aio import Database
from roost.objects.errors import LeaseLost, WaitedTooLong
from roost.objects.layouts import operations as ops
from roost.objects.shapes import Leading
from roost.objects.turns import Turn


class Turned:
    """Something that is taken and given back."""

    def __init__(self, name: str, turn: Turn) -> None:
        """Nothing is taken."""
        self._name = name
        self._turn = turn

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def token(self) -> int:
        """A number that only ever grows from holder to holder: the fencing token.

        Raises:
            NotHeld: it is not held by this object.

        """
        return self._turn.token

    @property
    def is_held(self) -> bool:
        """Whether it is held by this object, as far as that can be known."""
        return self._turn.is_held

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._turn.lost

    def check(self) -> None:
        """See that it is held.  No round trip.

        Raises:
            LeaseLost: it was, and is no more.
            NotHeld: it never was.

        """
        self._turn.check()

    async def acquire(self, *, wait_s: float | None = None) -> bool:
        """Take it; False when it was not ours within `wait_s` (None = wait for ever, 0 = do not).

        One round trip and three rows when it is free; else one more, and one for each third of the
        lease that is waited.

        Raises:
            AlreadyHeld: it is held by this object, or waited for.
            LeaseLost: the place in line was lost meanwhile.
            Refused: 10,000 wait already, or another number of permits was said.
            NotExecuted, OutcomeUnknown: nobody could be asked for most of a lease.

        """
        return await self._turn.take(wait_s)

    async def release(self) -> None:
        """Give it back, so that the next in line has it.  One round trip, two rows.

        When the cluster cannot be reached, it ends with its lease.

        Raises:
            NotHeld: it is not held by this object.

        """
        await self._turn.give()

    async def locked(self) -> bool:
        """Whether anybody holds it, as far as somebody has looked.  One round trip, one row."""
        return await self._turn.is_taken()

    async def __aenter__(self) -> Self:
        """Take it, however long that takes; see `acquire`."""
        if not await self._turn.take(None):
            raise WaitedTooLong(f"{self._name!r} was not ours in time")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        await self._turn.give()


class Lock(Turned):
    """As `threading.Lock`: one holder at a time, in the whole cluster, as long as its lease."""


class Semaphore(Turned):
    """As `threading.BoundedSemaphore`: so many holders at a time; one object is one of them."""

    def __init__(self, name: str, turn: Turn, permits: int) -> None:
        """See `Objects.semaphore`."""
        super().__init__(name, turn)
        self._permits = permits

    @property
    def permits(self) -> int:
        """How many may hold it at a time."""
        return self._permits


class Leader(Turned):
    """Who leads of those that want to: a lock, whose holder says who it is."""

    def __init__(self, db: Database, name: str, turn: Turn) -> None:
        """See `Objects.leader`."""
        super().__init__(name, turn)
        self._db = db

    async def current(self) -> Leading | None:
        """Who leads now, whoever asks; None when nobody does.  One round trip, two rows."""
        found = await self._db.run(ops.LINE_FIRST, self._turn.line)
        return None if found is None else Leading(found.value.decode(), found.ticket)
