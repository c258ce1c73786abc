"""The asyncio face of locks, semaphores and leaders: leases with a fencing token.

Whoever holds one is looked after in the background: an operation of one row, three times in the
time of the lease.  Whoever is cut off from the cluster, or stands still, for three quarters of it
has lost it: `check` raises `LeaseLost` then, `on_lost` is called, and only a quarter later can it
be somebody else's.  What is written elsewhere meanwhile should say `token` along, a number that
only ever grows from holder to holder: so late writes can be refused there.

To wait is to stand in line, first come, first served.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from types import TracebackType
from typing import Self

from roost.faces import Face
from roost.objects.aio import locks as aio
from roost.objects.errors import LeaseLost
from roost.objects.shapes import Leading


class Turned(Face):
    """Something that is taken and given back."""

    _inner: aio.Turned

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    @property
    def token(self) -> int:
        """A number that only ever grows from holder to holder: the fencing token.

        Raises:
            NotHeld: it is not held by this object.

        """
        return self._inner.token

    @property
    def is_held(self) -> bool:
        """Whether it is held by this object, as far as that can be known."""
        return self._inner.is_held

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._inner.lost

    def check(self) -> None:
        """See that it is held.  No round trip.

        Raises:
            LeaseLost: it was, and is no more.
            NotHeld: it never was.

        """
        self._inner.check()

    def acquire(self, *, wait_s: float | None = None) -> bool:
        """Take it; False when it was not ours within `wait_s` (None = wait for ever, 0 = do not).

        One round trip and three rows when it is free; else one more, and one for each third of the
        lease that is waited.

        Raises:
            AlreadyHeld: it is held by this object, or waited for.
            LeaseLost: the place in line was lost meanwhile.
            Refused: 10,000 wait already, or another number of permits was said.
            NotExecuted, OutcomeUnknown: nobody could be asked for most of a lease.

        """
        return self._loop.call(self._inner.acquire(wait_s=wait_s))

    def release(self) -> None:
        """Give it back, so that the next in line has it.  One round trip, two rows.

        When the cluster cannot be reached, it ends with its lease.

        Raises:
            NotHeld: it is not held by this object.

        """
        self._loop.call(self._inner.release())

    def locked(self) -> bool:
        """Whether anybody holds it, as far as somebody has looked.  One round trip, one row."""
        return self._loop.call(self._inner.locked())

    def __enter__(self) -> Self:
        """Take it, however long that takes; see `acquire`."""
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self._loop.call(self._inner.__aexit__(kind, error, trace))


class Lock(Turned):
    """As `threading.Lock`: one holder at a time, in the whole cluster, as long as its lease."""


class Semaphore(Turned):
    """As `threading.BoundedSemaphore`: so many holders at a time; one object is one of them."""

    _inner: aio.Semaphore

    @property
    def permits(self) -> int:
        """How many may hold it at a time."""
        return self._inner.permits


class Leader(Turned):
    """Who leads of those that want to: a lock, whose holder says who it is."""

    _inner: aio.Leader

    def current(self) -> Leading | None:
        """Who leads now, whoever asks; None when nobody does.  One round trip, two rows."""
        return self._loop.call(self._inner.current())
