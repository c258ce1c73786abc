"""Handing leadership over on request, and before a leader stops (thesis §3.10)."""

import asyncio

from roost.errors import OutcomeUnknown, RoostError
from roost.outcome import ReadDone
from roost.raft import Core

# How long a leader that stops waits for the next one.
HAND_OVER_S = 1.0


class Transfers:
    """Those who wait for a new leader; times in ticks.

    Bounded by the callers: each has one request under way.
    """

    def __init__(self, core: Core, *, timeout_ticks: int) -> None:
        """Nobody waits."""
        self._core = core
        self._timeout_ticks = timeout_ticks
        self._ticks = 0
        self._waiting: list[tuple[int, int, ReadDone]] = []

    def start(self, target: int, done: ReadDone) -> None:
        """Hand leadership to `target`; `done(error)` is called once, when it leads or too late.

        Raises:
            TransferRefused: the target is no other voter, or nobody leads.

        """
        self._core.transfer_leadership(target)
        self._waiting.append((target, self._ticks + self._timeout_ticks, done))

    def tick(self) -> None:
        """One heartbeat interval has passed."""
        self._ticks += 1
        self.settle()

    def settle(self) -> None:
        """Tell those whose target leads by now, or whose time is over."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for target, deadline, done in waiting:
            if self._core.leader_id == target:
                done(None)
            elif self._ticks >= deadline:
                done(OutcomeUnknown("etcdserver: request timed out, leader transfer took too long"))
            else:
                self._waiting.append((target, deadline, done))

    def close(self, error: RoostError) -> None:
        """Tell everybody that it will not be seen here."""
        waiting, self._waiting = self._waiting, []
        for _, _, done in waiting:
            done(error)

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
