"""A lease that is kept alive in the background, and says when it is lost.

It is renewed at whichever endpoint answers, once a third of its time.  It is lost when a member
says so; and when nobody has renewed it, a quarter of its time before the cluster may end it: what
rests on it can still be stopped before it is somebody else's.  Time that we did not run, because
we were stopped or the machine slept, has gone by all the same: whoever asks looks at the clock, and
waits for nobody to have noticed.  What is called back may fail: that is said in the log, and ends
nothing.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Self, TypeVar

from roost.client.aio import session as aio
from roost.client.errors import LeaseLost
from roost.client.scope import Scope
from roost.faces import Face

Said = TypeVar("Said")


class Session(Face):
    """A lease, for `with`; what is within its `scope` ends when it is lost."""

    _inner: aio.Session

    @property
    def lease_id(self) -> int:
        """The lease; 0 before it is granted."""
        return self._inner.lease_id

    @property
    def ttl_s(self) -> int:
        """Its whole time, in seconds, as it was granted or renewed last."""
        return self._inner.ttl_s

    @property
    def margin_s(self) -> float:
        """What is left of the lease when it counts as lost because nobody renewed it."""
        return self._inner.margin_s

    @property
    def scope(self) -> Scope:
        """What it may be given to, to end with it."""
        return self._inner.scope

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._inner.lost

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is lost."""
        self._inner.check()

    def __enter__(self) -> Self:
        """Get the lease.

        Raises:
            LeaseLost: it was to be renewed, and is gone.
            ClientError: there is none.

        """
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """Give the lease back, if it can be; it ends by itself otherwise."""
        self._loop.call(self._inner.__aexit__(*exc))
