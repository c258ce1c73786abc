"""Who has asked before a member can serve: they wait a moment, for it to be opened, or fed.

The first time that somebody counts in a cluster, all other members are fed, for a moment.  Those
who may go on do so many a turn (`slices`), in the order in which they came.

Full?  QUEUE_COUNT_MAX wait; who comes then is refused (`Overloaded`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from roost.counters.work import QUEUE_COUNT_MAX
from roost.errors import Overloaded, RoostError
from roost.slices import Slices

READY_WAIT_S = 2.0
GoOn = Callable[[RoostError | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    until_s: float
    go_on: GoOn


class Early:
    """Those who wait, in the order in which they came."""

    def __init__(self, slices: Slices) -> None:
        """Nobody waits."""
        self._slices = slices
        self._waiting: deque[_Waiting] = deque()

    def wait(self, go_on: GoOn, now_s: float) -> None:
        """Have somebody wait."""
        if len(self._waiting) >= QUEUE_COUNT_MAX:
            go_on(Overloaded("too many requests to count wait here"))
        else:
            self._waiting.append(_Waiting(now_s + READY_WAIT_S, go_on))

    def look(self, error: RoostError | None, now_s: float) -> None:
        """Let all go on when there is no error any more, and those who have waited long enough."""
        if error is None:
            self.fail(None)
            return
        late: list[_Waiting] = []
        while self._waiting and now_s >= self._waiting[0].until_s:
            late.append(self._waiting.popleft())
        if late:
            self._slices.run(_going_on(late, error))

    def fail(self, error: RoostError | None) -> None:
        """Nobody waits any more."""
        waiting, self._waiting = self._waiting, deque()
        if waiting:
            self._slices.run(_going_on(waiting, error))


def _going_on(waiting: Iterable[_Waiting], error: RoostError | None) -> Iterator[None]:
    for it in waiting:
        it.go_on(error)
        yield
