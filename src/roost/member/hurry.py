"""Elections that need not wait for a timeout.

A killed leader's links break at once, long before anybody's election timeout, and a cluster that
has just started has no leader to wait for.  What is hurried is a pre-vote: members that still
hear a leader say no, and nothing else comes of it.
"""

import asyncio
from collections.abc import Callable

from roost.peer import Dice
from roost.raft import Core

# How soon a member asks for votes; drawn, so that two seldom ask at once.
DELAY_MS_MIN, DELAY_MS_RANGE = 10, 200


class Hurry:
    """Lets a member without a leader campaign soon."""

    def __init__(self, core: Core, dice: Dice, *, on_campaign: Callable[[], None]) -> None:
        """Nothing is hurried."""
        self._core = core
        self._dice = dice
        self._on_campaign = on_campaign
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Links changed: without a leader, ask soon whether an election could be won."""
        if self._core.leader_id or self._timer is not None or self._is_stopped:
            return
        delay_ms = DELAY_MS_MIN + self._dice.below(DELAY_MS_RANGE)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay_ms / 1000, self._campaign)

    def stop(self) -> None:
        """Hurry no more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _campaign(self) -> None:
        self._timer = None
        if not self._core.leader_id:
            self._core.campaign()
            self._on_campaign()
