"""A place in a line, looked after from `take` to `give`: what locks and leaders are made of.

    nowhere ── take ──▶ waiting ── is at the front ──▶ held ── give ──▶ nowhere
                           └──────── lease not renewed in time ───────▶ lost

The lease is renewed three times in its time, counted by this member's clock from before each
request.  It counts as lost here when a quarter of its time is left, so that whoever holds it knows
before anybody else can have it.  What nobody knows the outcome of is asked again: standing in line
twice is impossible, as a place is found again by `who`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from roost.database import BadArgument
from roost.database.aio import Database
from roost.errors import NotExecuted, OutcomeUnknown, RoostError
from roost.objects.errors import AlreadyHeld, LeaseLost, NotHeld
from roost.objects.layouts import operations as ops
from roost.objects.layouts.lines import LINES, PLACES, TICKET_MAX, Asked, Line, Place, Standing
from roost.objects.waiting import LOOK_S_MAX, Looks
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
R = TypeVar("R")
TTL_S_MIN, TTL_S_MAX = 0.1, 24 * 3600.0
_RENEWALS = 3
_SURE_SHARE = 0.75
# How long to wait before asking again what was not carried out.
_AGAIN_S = 0.05
LostCallback = Callable[[LeaseLost], object]


def check_ttl(ttl_s: float) -> float:
    """Refuse a lease that cannot be.

    Raises:
        BadArgument: it is no number of seconds, too short to be looked after, or too long.

    """
    if not isinstance(ttl_s, int | float) or not TTL_S_MIN <= ttl_s <= TTL_S_MAX:
        raise BadArgument(f"ttl_s={ttl_s!r}: seconds, from {TTL_S_MIN} to {TTL_S_MAX:.0f}")
    return float(ttl_s)


class Turn:
    """One place in one line."""

    def __init__(
        self,
        db: Database,
        line: str,
        *,
        permits: int = 1,
        value: bytes = b"",
        ttl_s: float,
        on_lost: LostCallback | None,
    ) -> None:
        """Nowhere."""
        if not isinstance(permits, int) or permits < 1:
            raise BadArgument(f"permits={permits!r}: a number from 1")
        self.line = line
        self._db = db
        self._on_lost = on_lost
        self._asked = Asked(
            line=line, permits=permits, who=b"", value=value, ttl_s=check_ttl(ttl_s)
        )
        self._tasks = Tasks()
        self._is_busy = False
        self._ticket = 0
        # Our ticket; 0 = we are not in line, None = nobody knows.
        self._stands: int | None = 0
        self._sure_until_s = 0.0
        self._lost: LeaseLost | None = None
        self._places = db.local.tree(PLACES, key=tuple[str, int], value=Place)
        self._lines = db.local.tree(LINES, key=str, value=Line)

    def _now_s(self) -> float:
        return self._db.moment().at_s

    @property
    def token(self) -> int:
        """The ticket that holds it.

        Raises:
            NotHeld: nothing is held.

        """
        if not self._ticket:
            raise NotHeld(f"{self.line!r} is not held: take it first")
        return self._ticket

    @property
    def is_held(self) -> bool:
        """Whether it is, as far as this process can be sure."""
        return bool(self._ticket) and self.lost is None

    @property
    def lost(self) -> LeaseLost | None:
        """Why what was taken is not held any more; None when it is, or was never."""
        if self._lost is None and self._ticket and self._now_s() >= self._sure_until_s:
            self._lost = LeaseLost(
                f"{self.line!r}: its lease of {self._asked.ttl_s:g} s was not renewed in time: "
                "somebody else may have it"
            )
        return self._lost

    def check(self) -> None:
        """See that it is held.

        Raises:
            LeaseLost: it is not any more.
            NotHeld: it never was.

        """
        if self.lost is not None:
            raise self.lost
        _ = self.token

    async def take(self, wait_s: float | None) -> bool:
        """Stand in line until it is ours; False when it was not in time.

        Raises:
            AlreadyHeld: it is held, or waited for.
            LeaseLost: the place was lost while it waited.
            Refused: the line is too long, or has another number of permits.
            NotExecuted, OutcomeUnknown: as `Database.run`, for as long as a lease.

        """
        if self._is_busy:
            raise AlreadyHeld(f"{self.line!r} is held by this object, or waited for: make another")
        self._is_busy = True
        self._lost = None
        self._asked = msgspec.structs.replace(self._asked, who=self._db.unique())
        is_ours = False
        try:
            is_ours = await self._wait_in_line(wait_s)
        finally:
            if not is_ours:
                # In time or not, refused, cancelled or cut off: others are not to wait for us.
                await self._leave_quietly()
                self._is_busy = False
        if is_ours:
            self._ticket = self._stands or 0
            self._tasks.start(self._keep())
        return is_ours

    async def _wait_in_line(self, wait_s: float | None) -> bool:
        """Whether it is ours, in time; `_stands` is where we are meanwhile."""
        looks = Looks(self._now_s, wait_s)
        self._stands = None
        standing = await self._enter(waits=wait_s is None or wait_s > 0)
        ticket = self._stands = standing.ticket
        while ticket and not standing.is_held:
            # Who is next has to ask when the lease of one before it is over.
            pause_s = min(self._asked.ttl_s / _RENEWALS, max(standing.ahead_s, LOOK_S_MAX))
            await looks.until(lambda: self._is_at_front(ticket), pause_s)
            if looks.is_over and not await self._is_at_front(ticket):
                return False
            standing = await self._renew(ticket)
            if not standing.ticket:
                raise LeaseLost(
                    f"{self.line!r}: the place in line was lost while it was waited for"
                )
        if standing.is_held and self._now_s() >= self._sure_until_s:
            raise LeaseLost(f"{self.line!r}: it was ours, but the answer came too late to tell")
        return standing.is_held

    async def _is_at_front(self, ticket: int) -> bool:
        """Whether it is ours, as far as this member has applied."""
        line = await self._lines.get(self.line)
        if line is None:
            return True  # we are in it, so we are not: let the leader say it
        front = self._places.keys(
            first=(self.line, line.low), stop=(self.line, TICKET_MAX), limit=self._asked.permits
        )
        found = [it async for _, it in front]
        return ticket in found or not found or found[-1] > ticket

    async def _enter(self, *, waits: bool) -> Standing:
        begun_s = self._now_s()
        again = False

        async def enter() -> Standing:
            nonlocal again
            asked_again, again = again, True
            return await self._db.run(ops.LINE_ENTER, self._asked, waits, asked_again)

        return await self._certainly(enter, begun_s)

    async def _renew(self, ticket: int) -> Standing:
        return await self._certainly(
            lambda: self._db.run(ops.LINE_LOOK, self._asked, ticket), self._now_s()
        )

    async def _certainly(self, ask: Callable[[], Awaitable[R]], begun_s: float) -> R:
        """Ask until it is answered, or a lease from `begun_s` on would be over."""
        until_s = begun_s + _SURE_SHARE * self._asked.ttl_s
        while True:
            asked_s = self._now_s()
            try:
                found = await ask()
            except (NotExecuted, OutcomeUnknown):
                if self._now_s() + _AGAIN_S >= until_s:
                    raise
                await asyncio.sleep(_AGAIN_S)
            else:
                self._sure_until_s = asked_s + _SURE_SHARE * self._asked.ttl_s
                return found

    async def _keep(self) -> None:
        """Renew the lease of what is held until it is given back, or lost."""
        while self.lost is None:
            await asyncio.sleep(self._asked.ttl_s / _RENEWALS)
            begun_s = self._now_s()
            try:
                left_s = max(0.0, self._sure_until_s - begun_s)
                standing = await asyncio.wait_for(self._renew(self._ticket), left_s)
            except (RoostError, TimeoutError) as error:
                self._lose(f"it could not be renewed: {error or 'nobody answers'}")
                return
            if not standing.is_held:
                self._lose("somebody has ended it")
                return
        self._told(self.lost)

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = LeaseLost(f"{self.line!r}: {why}: somebody else may have it")
        self._told(self._lost)

    def _told(self, lost: LeaseLost) -> None:
        if self._on_lost is not None:
            self._on_lost(lost)

    async def give(self) -> None:
        """Give it back; the next in line has it.

        What could not be given back ends with its lease.

        Raises:
            NotHeld: nothing was taken.

        """
        _ = self.token
        self._ticket = 0
        self._is_busy = False
        await self._tasks.close()
        await self._leave_quietly()

    async def _leave_quietly(self) -> None:
        """Leave the line, if that can be said to anybody."""
        if self._stands == 0:
            return
        try:
            await self._db.run(ops.LINE_LEAVE, self._asked, self._stands or 0)
        except RoostError as error:
            # Nobody can be told: the place ends with its lease, which nobody renews.
            logger.info("%s could not be given back, and ends with its lease: %s", self.line, error)
        self._stands = 0

    async def is_taken(self) -> bool:
        """Whether anybody holds it, or has held it last and died."""
        return await self._db.tree(LINES, key=str, value=Line).has(self.line)
