"""The asyncio face of barriers."""

import logging

from roost.database import BadArgument, Refused
from roost.database.aio import Database
from roost.errors import NotExecuted, OutcomeUnknown, RoostError
from roost.objects.errors import BarrierBroken, LeaseLost
from roost.objects.layouts import operations as ops
from roost.objects.layouts.barriers import BARRIERS, PARTIES_MAX, Arrived, State
from roost.objects.turns import check_ttl
from roost.objects.waiting import Looks

logger = logging.getLogger(__name__)
_RENEWALS = 3


class Barrier:
    """As `threading.Barrier`: so many wait for each other, and then all go on.

    Who waits has a lease; one that dies while it waits is counted no more.
    """

    def __init__(self, db: Database, name: str, parties: int, ttl_s: float) -> None:
        """See `Objects.barrier`."""
        if not isinstance(parties, int) or not 0 < parties <= PARTIES_MAX:
            raise BadArgument(f"parties={parties!r}: a number from 1 to {PARTIES_MAX}")
        self._db = db
        self._name = name
        self._parties = parties
        self._ttl_s = check_ttl(ttl_s)
        self._here = db.local.tree(BARRIERS, key=str, value=State)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def parties(self) -> int:
        """How many wait for each other."""
        return self._parties

    async def wait(self, *, wait_s: float | None = None) -> int:
        """Wait until all are there; a number from 0, another one for each of them.

        Whoever waits for longer than `wait_s` breaks the barrier.  One round trip and one row,
        which has all who wait; one more for each third of the lease that is waited.

        Raises:
            BarrierBroken: it is broken, or was while we waited.
            LeaseLost: the cluster could not be reached for the time of the lease.
            Refused: others have said another number of parties.
            NotExecuted, OutcomeUnknown: as `Database.run`; nobody waits then.

        """
        who = self._db.unique()
        is_over = False
        try:
            arrived = await self._arrive(who)
            outcome = await self._outcome(who, arrived.generation, wait_s)
            is_over = True
        finally:
            if not is_over:
                await self._leave(who)
        if outcome:
            raise BarrierBroken(f"the barrier {self._name!r} was broken")
        return arrived.index

    async def _arrive(self, who: bytes) -> Arrived:
        try:
            return await self._db.run(
                ops.BARRIER_ARRIVE, self._name, self._parties, who, self._ttl_s, once=who.hex()
            )
        except Refused as refused:
            if refused.code == "broken":
                raise BarrierBroken(str(refused)) from refused
            raise

    async def _outcome(self, who: bytes, generation: int, wait_s: float | None) -> bool:
        """Whether the generation was broken, once it is over."""
        looks = Looks(self._now_s, wait_s)
        sure_until_s = self._now_s() + self._ttl_s
        while not await looks.until(lambda: self._is_over(generation), self._ttl_s / _RENEWALS):
            if looks.is_over:
                # Who waits too long breaks it, unless the last one came in this moment.
                await self._db.run(ops.BARRIER_ABORT, self._name, self._parties, generation)
                continue
            asked_s = self._now_s()
            try:
                if not await self._db.run(ops.BARRIER_LOOK, self._name, self._parties, who):
                    # It is over, or our lease is: whichever this member has not seen yet.
                    break
            except (NotExecuted, OutcomeUnknown) as error:
                if self._now_s() >= sure_until_s:
                    text = f"the barrier {self._name!r}: our place could not be looked after"
                    raise LeaseLost(text) from error
            else:
                sure_until_s = asked_s + self._ttl_s
        state = await self._db.tree(BARRIERS, key=str, value=State).get(self._name)
        outcome = None if state is None else state.outcome(generation)
        if outcome is None:
            raise LeaseLost(f"the barrier {self._name!r}: our place was given up meanwhile")
        return outcome

    def _now_s(self) -> float:
        return self._db.moment().at_s

    async def _is_over(self, generation: int) -> bool:
        state = await self._here.get(self._name)
        return state is None or state.generation != generation

    async def _leave(self, who: bytes) -> None:
        """Wait no more, if that can be said to anybody: if not, the lease sees to it."""
        try:
            await self._db.run(ops.BARRIER_LEAVE, self._name, self._parties, who)
        except RoostError as error:
            # Nobody can be told: the place ends with its lease, which nobody renews.
            logger.info("a place at %s ends with its lease: %s", self._name, error)

    async def abort(self) -> None:
        """Break it, until it is reset: whoever waits, or comes, is told.  One round trip."""
        await self._db.run(ops.BARRIER_ABORT, self._name, self._parties, None)

    async def reset(self) -> None:
        """Have it empty and not broken; whoever waits is told that it broke.  One round trip."""
        await self._db.run(ops.BARRIER_RESET, self._name, self._parties)

    async def n_waiting(self) -> int:
        """How many wait.  One round trip, one row."""
        return await self._db.run(ops.BARRIER_COUNT, self._name, self._parties)

    async def broken(self) -> bool:
        """Whether it is broken.  One round trip, one row."""
        state = await self._db.tree(BARRIERS, key=str, value=State).get(self._name)
        return state is not None and state.is_broken
