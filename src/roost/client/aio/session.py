"""A lease that is kept alive in the background, and says when it is lost.

It is renewed at whichever endpoint answers, once a third of its time.  It is lost when a member
says so; and when nobody has renewed it, a quarter of its time before the cluster may end it: what
rests on it can still be stopped before it is somebody else's.  Time that we did not run, because
we were stopped or the machine slept, has gone by all the same.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope
from roost.client.shapes import Granted
from roost.tasks import Tasks

_GONE = "has expired or was revoked"
_PAUSE_S = 0.5
# How often the clock is looked at: it goes on while a machine sleeps, a wait does not.
_LOOK_S = 1.0


class _Renewing(Protocol):
    """What a session asks of a client's leases."""

    async def grant(self, ttl_s: int) -> Granted: ...
    async def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int: ...
    async def revoke(self, lease_id: int) -> None: ...


class Session:
    """A lease, for `async with`; what is within its `scope` ends when it is lost."""

    def __init__(
        self,
        leases: _Renewing,
        ttl_s: int,
        *,
        lease_id: int = 0,
        clock_s: Callable[[], float],
        on_renewed: Callable[[int], object] | None = None,
        on_lost: Callable[[LeaseLost], object] | None = None,
        on_trouble: Callable[[ClientError], object] | None = None,
    ) -> None:
        """A lease is granted and given back, unless there is one that is only to be renewed."""
        self._lease_id = lease_id
        self._is_ours = not lease_id
        self._ttl_s = ttl_s
        self._scope = Scope()
        self._lost: LeaseLost | None = None
        self._leases = leases
        self._clock_s = clock_s
        self._on_renewed = on_renewed
        self._on_lost = on_lost
        self._on_trouble = on_trouble
        self._renewed_s = 0.0
        self._tasks = Tasks()

    @property
    def lease_id(self) -> int:
        """The lease; 0 before it is granted."""
        return self._lease_id

    @property
    def ttl_s(self) -> int:
        """Its whole time, in seconds, as it was granted or renewed last."""
        return self._ttl_s

    @property
    def margin_s(self) -> float:
        """What is left of the lease when it counts as lost because nobody renewed it."""
        return self._ttl_s / 4

    @property
    def scope(self) -> Scope:
        """What it may be given to, to end with it."""
        return self._scope

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._lost

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is lost."""
        if self._lost is not None:
            raise self._lost

    async def __aenter__(self) -> Self:
        """Get the lease.

        Raises:
            LeaseLost: it was to be renewed, and is gone.
            ClientError: there is none.

        """
        self._renewed_s = self._clock_s()
        if self._is_ours:
            granted = await self._leases.grant(self._ttl_s)
            self._lease_id, self._ttl_s = granted.lease_id, granted.ttl_s
        else:
            self._ttl_s = await self._leases.renew(self._lease_id)
            if self._ttl_s <= 0:
                raise LeaseLost(self._lease_id, _GONE)
            self._say_renewed()
        self._tasks.start(self._renew())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Give the lease back, if it can be; it ends by itself otherwise."""
        await self._tasks.close()
        if self._lost is None and self._is_ours:
            try:
                await self._leases.revoke(self._lease_id)
            except ClientError as error:
                self._say_trouble(error)

    async def _renew(self) -> None:
        due_s = self._renewed_s + self._ttl_s / 3
        is_troubled = False
        while True:
            await asyncio.sleep(min(_LOOK_S, max(0.0, due_s - self._clock_s())))
            left_s = self._renewed_s + self._ttl_s - self.margin_s - self._clock_s()
            if left_s <= 0:
                self._lose("could not be renewed in time")
                return
            if self._clock_s() < due_s:
                continue
            asked_s = self._clock_s()
            try:
                ttl_s = await self._leases.renew(self._lease_id, timeout_s=left_s)
            except ClientError as error:
                if not is_troubled:
                    self._say_trouble(error)
                is_troubled = True
                due_s = self._clock_s() + min(_PAUSE_S, self._ttl_s / 20)
                continue
            if ttl_s <= 0:
                self._lose(_GONE)
                return
            is_troubled = False
            self._renewed_s, self._ttl_s = asked_s, ttl_s
            due_s = asked_s + ttl_s / 3
            self._say_renewed()

    def _say_renewed(self) -> None:
        if self._on_renewed is not None:
            self._on_renewed(self._ttl_s)

    def _say_trouble(self, error: ClientError) -> None:
        if self._on_trouble is not None:
            self._on_trouble(error)

    def _lose(self, why: str) -> None:
        self._lost = LeaseLost(self._lease_id, why)
        self._scope.end(self._lost)
        if self._on_lost is not None:
            self._on_lost(self._lost)
