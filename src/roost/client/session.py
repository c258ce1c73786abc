"""A lease that is kept alive in the background, and says when it is lost.

It is renewed at whichever endpoint answers, once a third of its time.  It is lost when a member
says so; and when nobody has renewed it, a quarter of its time before the cluster may end it: what
rests on it can still be stopped before it is somebody else's.  Time that we did not run, because
we were stopped or the machine slept, has gone by all the same.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope

_GONE = "has expired or was revoked"
_PAUSE_S = 0.5
# How often the clock is looked at: it goes on while a machine sleeps, a wait does not.
_LOOK_S = 1.0
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Renewing(Protocol):
    """What a session asks of a client's leases."""

    def grant(self, ttl_s: int) -> tuple[int, int]: ...
    def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int: ...
    def revoke(self, lease_id: int) -> None: ...


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class Session:
    """A lease from `__enter__` to `__exit__`; streams within `scope` end when it is lost."""

    def __init__(
        self,
        leases: Renewing,
        ttl_s: int,
        *,
        lease_id: int = 0,
        on_renewed: Callable[[int], None] = lambda _ttl_s: None,
        on_lost: Callable[[LeaseLost], None] = lambda _lost: None,
        on_trouble: Callable[[ClientError], None] = lambda _error: None,
    ) -> None:
        """A lease is granted and given back, unless there is one that is only to be renewed.

        All three are called in a thread of the session: at every renewal with the whole time in
        seconds; once when the lease is lost; once when renewals begin to fail.
        """
        self.lease_id = lease_id
        self._is_ours = not lease_id
        self.ttl_s = ttl_s
        self.scope = Scope()
        self.lost: LeaseLost | None = None
        self._leases = leases
        self._on_renewed = on_renewed
        self._on_lost = on_lost
        self._on_trouble = on_trouble
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="roost-session", daemon=True)
        self._renewed = 0.0

    @property
    def margin_s(self) -> float:
        """What is left of the lease when it counts as lost because nobody renewed it."""
        return self.ttl_s / 4

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is lost."""
        if self.lost is not None:
            raise self.lost

    def __enter__(self) -> Self:
        """Get the lease.

        Raises:
            LeaseLost: it was to be renewed, and is gone.
            ClientError: there is none.

        """
        self._renewed = _now()
        if self._is_ours:
            self.lease_id, self.ttl_s = self._leases.grant(self.ttl_s)
        else:
            self.ttl_s = self._leases.renew(self.lease_id)
            if self.ttl_s <= 0:
                raise LeaseLost(self.lease_id, _GONE)
            self._on_renewed(self.ttl_s)
        self._renewing.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give the lease back, if it can be; it ends by itself otherwise."""
        self._over.set()
        self._renewing.join()
        if self.lost is None and self._is_ours:
            try:
                self._leases.revoke(self.lease_id)
            except ClientError as error:
                self._on_trouble(error)

    def _renew(self) -> None:
        due = self._renewed + self.ttl_s / 3
        is_troubled = False
        while not self._over.wait(min(_LOOK_S, max(0.0, due - _now()))):
            left_s = self._renewed + self.ttl_s - self.margin_s - _now()
            if left_s <= 0:
                self._lose("could not be renewed in time")
                return
            if _now() < due:
                continue
            asked = _now()
            try:
                ttl_s = self._leases.renew(self.lease_id, timeout_s=left_s)
            except ClientError as error:
                if not is_troubled:
                    self._on_trouble(error)
                is_troubled = True
                due = _now() + min(_PAUSE_S, self.ttl_s / 20)
                continue
            if ttl_s <= 0:
                self._lose(_GONE)
                return
            is_troubled = False
            self._renewed, self.ttl_s = asked, ttl_s
            due = asked + ttl_s / 3
            self._on_renewed(ttl_s)

    def _lose(self, why: str) -> None:
        self.lost = LeaseLost(self.lease_id, why)
        self.scope.end(self.lost)
        self._on_lost(self.lost)
