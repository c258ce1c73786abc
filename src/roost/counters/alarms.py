"""What is wrong with counters, as far as one member sees: told when it begins, and when it ends.

    COUNTERS_BEHIND     another member lacks, for longer than is set, something counted here
    COUNTERS_DIVERGE    what is here of another member's is not what that one has; it is sent anew

Nothing is stopped by them: counting goes on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from roost.counters.exchange import Exchange
from roost.database.events import AlarmCleared, AlarmRaised, Event
from roost.runbook import place_of

logger = logging.getLogger(__name__)
BEHIND, DIVERGE = "COUNTERS_BEHIND", "COUNTERS_DIVERGE"


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """One that is on, about another member."""

    alarm: str
    member_id: int


class Alarms:
    """One member's."""

    def __init__(self, tell: Callable[[Event], None], behind_s_max: float) -> None:
        """`tell` hears of them; `behind_s_max` is how long a member may be behind, 0 = for ever."""
        self._tell = tell
        self._behind_s_max = behind_s_max
        self.on: list[Alarm] = []

    def look(self, exchange: Exchange, now_s: float, name_of: Callable[[int], str]) -> None:
        """See what is wrong now, and tell what has changed; by the names that are given."""
        found: dict[Alarm, str] = {}
        for partner, link in exchange.links.items():
            behind_s = link.status(now_s).behind_s
            if 0 < self._behind_s_max < behind_s:
                found[Alarm(BEHIND, partner)] = f"has not had everything for {behind_s:.0f} s"
        for partner, text in exchange.differing.items():
            found[Alarm(DIVERGE, partner)] = text
        for it in sorted(found.keys() - set(self.on)):
            name = name_of(it.member_id)
            where = place_of(it.alarm)
            logger.warning("alarm %s of member %s: it %s (%s)", it.alarm, name, found[it], where)
            self._tell(AlarmRaised(it.member_id, it.alarm))
        for it in self.on:
            if it not in found:
                name = name_of(it.member_id)
                logger.info("alarm %s of member %s is over", it.alarm, name)
                self._tell(AlarmCleared(it.member_id, it.alarm))
        self.on = sorted(found)
