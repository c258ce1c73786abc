"""What a member does when the roster changes: its links follow, and one that was removed leaves.

Links follow a moment later, so that a last message to somebody removed is on its way before its
link is closed.  Who is removed itself goes on for a while: the others may not know yet that it is
committed, and may need our vote to learn it.
"""

import asyncio
import logging
from collections.abc import Callable

from roost.member.cluster.neighbours import Neighbours
from roost.member.cluster.roster import Roster
from roost.member.config import MemberConfig
from roost.store import Changes

logger = logging.getLogger(__name__)
# How long a removed member stays, so that those who go on can still be elected by it.
LINGER_ELECTIONS = 2


class RosterWatch:
    """Follows the applied roster for one member; `on_removed()` is called once, at the end."""

    def __init__(
        self,
        roster: Roster,
        neighbours: Neighbours,
        *,
        own_id: int,
        config: MemberConfig,
        on_removed: Callable[[], None],
    ) -> None:
        """Nothing is followed before the first change."""
        self._roster = roster
        self._neighbours = neighbours
        self._own_id = own_id
        self._delay_s = config.heartbeat_ms / 1000
        self._linger_s = LINGER_ELECTIONS * config.election_ms / 1000
        self._on_removed = on_removed
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self._was_told = False

    def on_applied(self, _index: int, _changes: Changes) -> None:
        """A record of the roster was changed: hear of it from the store."""
        self.follow_soon()

    def follow_soon(self) -> None:
        """The roster or the configuration changed: have the links follow in a moment.

        A change that comes meanwhile begins that moment anew: each has a last message of its own.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._follow)

    def _follow(self) -> None:
        self._timer = None
        if self._is_stopped:
            return
        self._neighbours.follow()
        if self._roster.is_removed(self._own_id):
            asyncio.get_running_loop().call_later(self._linger_s, self.leave)

    def leave(self) -> None:
        """We are no member any more: say so, once."""
        if self._is_stopped or self._was_told:
            return
        self._was_told = True
        logger.error("this member was removed from the cluster")
        self._on_removed()

    def stop(self) -> None:
        """Follow no more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
