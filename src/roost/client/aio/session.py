"""A lease that is kept alive in the background, and says when it is lost.

It is renewed at whichever endpoint answers, once a third of its time.  It is lost when a member
says so; and when nobody has renewed it, a quarter of its time before the cluster may end it: what
rests on it can still be stopped before it is somebody else's.  Time that we did not run, because
we were stopped or the machine slept, has gone by all the same: whoever asks looks at the clock, and
waits for nobody to have noticed.  What is called back may fail: that is said in the log, and ends
nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope
from roost.client.shapes import Granted
from roost.errors import RoostError
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
Said = TypeVar("Said")
_GONE, _LATE = "has expired or was revoked", "could not be renewed in time"
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
        self._is_on = False
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
        if self._lost is None and self._is_on and self._left_s() <= 0:
            self._lost = LeaseLost(self._lease_id, _LATE)  # whoever renews it tells the others
        return self._lost

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is lost."""
        if (lost := self.lost) is not None:
            raise lost

    def _left_s(self) -> float:
        """What is left before it counts as lost."""
        return self._renewed_s + self._ttl_s - self.margin_s - self._clock_s()

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
            self._say(self._on_renewed, self._ttl_s)
        self._is_on = True
        self._tasks.start(self._keep())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Give the lease back, if it can be; it ends by itself otherwise."""
        await self._tasks.close()
        self._is_on = False
        if self._lost is None and self._is_ours:
            try:
                await self._leases.revoke(self._lease_id)
            except ClientError as error:
                self._say(self._on_trouble, error)

    async def _keep(self) -> None:
        """Renew it until it is lost, by whatever that is."""
        try:
            await self._renew()
        except RoostError as error:  # as that the client was closed
            self._lose(f"is renewed no more: {error}")
        except Exception:
            self._lose("is renewed no more: the log says why")
            raise

    async def _renew(self) -> None:
        due_s = self._renewed_s + self._ttl_s / 3
        is_troubled = False
        while True:
            await asyncio.sleep(min(_LOOK_S, max(0.0, due_s - self._clock_s())))
            left_s = self._left_s()
            if left_s <= 0 or self._lost is not None:
                self._lose(_LATE)
                return
            if self._clock_s() < due_s:
                continue
            asked_s = self._clock_s()
            try:
                ttl_s = await self._leases.renew(self._lease_id, timeout_s=left_s)
            except ClientError as error:
                if not is_troubled:
                    self._say(self._on_trouble, error)
                is_troubled = True
                due_s = self._clock_s() + min(_PAUSE_S, self._ttl_s / 20)
                continue
            if ttl_s <= 0:
                self._lose(_GONE)
                return
            is_troubled = False
            self._renewed_s, self._ttl_s = asked_s, ttl_s
            due_s = asked_s + ttl_s / 3
            self._say(self._on_renewed, ttl_s)

    def _say(self, told: Callable[[Said], object] | None, what: Said) -> None:
        """Call back; what that raises is the program's, and must not end the lease."""
        if told is None:
            return
        try:
            told(what)
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.exception("what lease %x called back failed", self._lease_id)

    def _lose(self, why: str) -> None:
        lost = self._lost = self._lost or LeaseLost(self._lease_id, why)
        self._scope.end(lost)
        self._say(self._on_lost, lost)
