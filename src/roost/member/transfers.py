"""Handing leadership over: on request, before a leader stops, and when it is stuck (thesis §3.10).

A leader whose store makes no room can execute nothing, while its heartbeats and its journal go
on; the others could, so it lets one of them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from roost.errors import RoostError
from roost.member.errors import TransferLate
from roost.outcome import ReadDone
from roost.raft import Core, Role

logger = logging.getLogger(__name__)

# How long a leader that stops waits for the next one.
HAND_OVER_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Somebody who waits for `target` to lead."""

    target: int
    deadline_tick: int
    done: ReadDone


class Transfers:
    """Those who wait for a new leader; times in ticks.

    Bounded by the callers: each has one request under way.
    """

    def __init__(
        self, core: Core, *, timeout_ticks: int, is_stuck: Callable[[], bool] = lambda: False
    ) -> None:
        """Nobody waits; `is_stuck()` says that this member should not lead."""
        self._core = core
        self._is_stuck = is_stuck
        self._timeout_ticks = timeout_ticks
        self._ticks = 0
        self._waiting: list[Waiting] = []

    def start(self, target: int, done: ReadDone) -> None:
        """Hand leadership to `target`; `done(error)` is called once, when it leads or too late.

        Raises:
            TransferRefused: the target is no other voter, or nobody leads.

        """
        self._core.transfer_leadership(target)
        self._waiting.append(Waiting(target, self._ticks + self._timeout_ticks, done))

    def tick(self) -> None:
        """One heartbeat interval has passed."""
        self._ticks += 1
        self.look()
        core = self._core
        if core.role is Role.LEADER and not core.transfer_target and self._is_stuck():
            self._leave_office()

    def _leave_office(self) -> None:
        """Let another lead, if one can; if it does not come to that, the next tick tries again."""
        target = self._core.best_successor()
        if target:
            logger.warning("the store makes no room: leadership goes to member %x", target)
            self._core.transfer_leadership(target)

    def look(self) -> None:
        """Tell those whose target leads by now, or whose time is over."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for it in waiting:
            if self._core.leader_id == it.target:
                it.done(None)
            elif self._ticks >= it.deadline_tick:
                it.done(TransferLate(f"member {it.target:x} does not lead yet"))
            else:
                self._waiting.append(it)

    def close(self, error: RoostError) -> None:
        """Tell everybody that it will not be seen here."""
        waiting, self._waiting = self._waiting, []
        for it in waiting:
            it.done(error)

    def start_best(self) -> "asyncio.Future[None] | None":
        """Let the voter that is furthest lead; None when we do not lead or nobody could.

        What it returns is done when another leads, or when it took too long.
        """
        target = self._core.best_successor()
        if not target:
            return None
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(_error: RoostError | None) -> None:
            if not over.done():
                over.set_result(None)

        self.start(target, done)
        asyncio.get_running_loop().call_later(HAND_OVER_S, done, None)
        return over
