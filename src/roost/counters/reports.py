"""What all members say of themselves: asked, and waited for; what is decided rests on it."""

import asyncio
from collections.abc import Iterable

from roost.counters.counting import Counting
from roost.counters.registry import Report

# How long members may take to say how far they are.
REPORTS_S = 2.0
_LOOK_S = 0.02


class Reports:
    """Asks for one member; one question at a time, for each forgets what was said before."""

    def __init__(self, counting: Counting) -> None:
        """Ask the partners of `counting`."""
        self._counting = counting
        self._asking = asyncio.Lock()

    async def collect(self, wanted: Iterable[bytes]) -> dict[bytes, Report]:
        """What those say who answer in time, by their epochs."""
        counting, missing = self._counting, set(wanted)
        async with self._asking:
            exchange = counting.exchange
            if exchange is None:
                return {}
            counting.ask_reports()
            until_s = counting.around.clock_s() + REPORTS_S
            while not missing <= exchange.reports.keys() and counting.around.clock_s() < until_s:
                await asyncio.sleep(_LOOK_S)
            return {it: exchange.reports[it] for it in sorted(missing & exchange.reports.keys())}

    async def collect_twice(self, wanted: Iterable[bytes]) -> dict[bytes, Report]:
        """The same, asked again: whoever is asked compares, and may know that it has more then."""
        await self.collect(wanted)
        return await self.collect(wanted)
