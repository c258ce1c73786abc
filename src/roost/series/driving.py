"""What a member does for time series again and again: seal, freeze, delete, drop what is too old.

The member that leads does it; another one looks whether it does by now.  Sealing goes on slice by
slice as long as there is something frozen, each of them many small steps (`Engine.seal_slice`), so
requests go on beside it.  What is staged is frozen when it is full, by whoever appends, or here
when it has been there for FREEZE_S: readers look at each record that is staged.

What fails is said in the log and done again; damage as well, after a longer pause, because only
people can do something about it.
"""

import asyncio
import logging

from roost.database import Refused
from roost.errors import NotExecuted, OutcomeUnknown, RoostError
from roost.faces import Closed
from roost.series.deleting import Deleting
from roost.series.engine import Engine

logger = logging.getLogger(__name__)
LOOK_S = 0.2
FREEZE_S = 300.0
EXPIRE_S = 60.0
TROUBLE_S = 30.0


class Driver:
    """One member's; run `run` as long as it lives."""

    def __init__(self, engine: Engine) -> None:
        """Drive `engine`."""
        self._engine = engine
        self._deleting = Deleting(engine)
        # The generation that was seen to have something in it, and since when.
        self._seen = (0, 0.0)
        self._expired_s = engine.clock_s()
        self.slice_count = 0

    async def run(self) -> None:
        """Go on until cancelled, or until the database is closed."""
        while True:
            pause_s = LOOK_S
            try:
                while self._engine.is_leader and await self.turn():
                    await asyncio.sleep(0)
            except Closed:
                return
            except (Refused, NotExecuted, OutcomeUnknown) as error:
                logger.debug("time series: %s", error)
            except RoostError:
                logger.exception("time series cannot be sealed; tried again in %g s", TROUBLE_S)
                pause_s = TROUBLE_S
            await asyncio.sleep(pause_s)

    async def turn(self) -> bool:
        """Do the next thing; whether there may be another one at once.

        Raises:
            RoostError: it was not done.

        """
        engine = self._engine
        now_s = engine.clock_s()
        head = await engine.head()
        # A step is staged as points are: where there is no room, sealing makes some first.
        has_deleted = not head.is_full and await self._deleting.step()
        if head.frozen is not None:
            self.slice_count += 1
            return await engine.seal_slice() or has_deleted
        if has_deleted:
            return True
        if not head.active.record_count:
            self._seen = (0, 0.0)
        elif self._seen[0] != head.active.number:
            self._seen = (head.active.number, now_s)
        elif now_s - self._seen[1] >= FREEZE_S:
            return await engine.freeze()
        if now_s - self._expired_s >= EXPIRE_S:
            self._expired_s = now_s
            # Sealed at once: until then it would be found again each time.
            return bool(await engine.expire(engine.now_ns())) and await engine.freeze()
        return False
