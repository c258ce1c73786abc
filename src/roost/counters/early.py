"""Who has asked before a member can serve: they wait a moment, for it to be opened, or fed.

The first time that somebody counts in a cluster, all other members are fed, for a moment.

Full?  QUEUE_COUNT_MAX wait; who comes then is refused (`Overloaded`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from roost.counters.work import QUEUE_COUNT_MAX
from roost.errors import Overloaded, RoostError

READY_WAIT_S = 2.0
GoOn = Callable[[RoostError | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    until_s: float
    go_on: GoOn


class Early:
    """Those who wait, in the order in which they came."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: deque[_Waiting] = deque()

    def wait(self, go_on: GoOn, now_s: float) -> None:
        """Have somebody wait."""
        if len(self._waiting) >= QUEUE_COUNT_MAX:
            go_on(Overloaded("too many requests to count wait here"))
        else:
            self._waiting.append(_Waiting(now_s + READY_WAIT_S, go_on))

    def look(self, error: RoostError | None, now_s: float) -> None:
        """Let all go on when there is no error any more, and those who have waited long enough."""
        while self._waiting and (error is None or now_s >= self._waiting[0].until_s):
            self._waiting.popleft().go_on(error)

    def fail(self, error: RoostError) -> None:
        """Nobody waits any more."""
        waiting, self._waiting = self._waiting, deque()
        for it in waiting:
            it.go_on(error)
