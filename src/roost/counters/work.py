"""What clients have asked one member to change: who waits, what is being done, what gets written.

    queued -> begun, a slice at a time -> in a step of the store -> durable: answered

One request is begun at a time (`changing`).  A step is taken between two of them, never amid one:
so each is in one step, as a whole.  Nobody waits for ever: when a turn has ended amid a request,
the step is taken before the next one begins.

Full?  QUEUE_COUNT_MAX requests wait; who comes then is refused (`Overloaded`).  What waits for the
disk is bounded by what a step holds (`Store.refuse_when_broken`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from roost.counters import changing
from roost.counters.changing import Steps
from roost.counters.errors import CounterStoreError
from roost.counters.store import Answer, Step, Store
from roost.errors import OutcomeUnknown, Overloaded, RoostError

QUEUE_COUNT_MAX = 10_000
# Of a turn of the loop (D14): changes, of which a request counts as a few at least.
CHANGES_A_TURN, REQUEST_CHANGES = 256, 4
Done = Callable[[list[int | None] | RoostError], None]


@dataclass(slots=True)
class _Asked:
    begin: Callable[[Store], Steps]
    done: Done
    slice_cost: int


@dataclass(slots=True)
class _Current:
    steps: Steps
    done: Done
    slice_cost: int


@dataclass(slots=True)
class _Waiting:
    answer: Answer
    done: Done


class Work:
    """One member's, sans I/O."""

    def __init__(self) -> None:
        """Nobody has asked for anything."""
        self._asked: deque[_Asked] = deque()
        self._current: _Current | None = None
        self._waiting: deque[_Waiting] = deque()
        self._is_step_due = False
        # What is to be made durable; whoever has done so makes it None again.
        self.step: Step | None = None
        self.refused_count = 0

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a turn."""
        return not self._asked and self._current is None

    @property
    def is_amid(self) -> bool:
        """Whether a request is done in part: then no step may be taken."""
        return self._current is not None

    @property
    def waiting_count(self) -> int:
        """How many have no answer yet."""
        return len(self._asked) + self.is_amid + len(self._waiting)

    def ask(self, count: int, begin: Callable[[Store], Steps], done: Done) -> None:
        """Queue a request of so many changes."""
        if len(self._asked) >= QUEUE_COUNT_MAX:
            self.refuse(done, Overloaded("too many requests to count wait here"))
            return
        cost = max(REQUEST_CHANGES, min(count, changing.SLICE_CHANGES))
        self._asked.append(_Asked(begin, done, cost))

    def refuse(self, done: Done, error: RoostError) -> None:
        """Say no to one."""
        self.refused_count += 1
        done(error)

    def take_turn(self, store: Store) -> None:
        """Do as much as a turn has room for.

        Raises:
            CounterStoreError: the store failed.

        """
        left = CHANGES_A_TURN
        while left > 0 and self._has_begun(store):
            current = self._current
            assert current is not None, "it has begun"
            left -= current.slice_cost
            try:
                next(current.steps)
            except StopIteration as end:
                self._current = None
                self._waiting.append(_Waiting(end.value, current.done))
            except CounterStoreError:
                raise
            except RoostError as error:
                self._current = None
                self.refuse(current.done, error)
        if self._current is None:
            self._take_step(store)
        else:
            self._is_step_due = True

    def _has_begun(self, store: Store) -> bool:
        """Whether there is a request to go on with, maybe the next one."""
        if self._current is not None:
            return True
        if self._is_step_due:
            self._take_step(store)
        if not self._asked:
            return False
        asked = self._asked.popleft()
        self._current = _Current(asked.begin(store), asked.done, asked.slice_cost)
        return True

    def _take_step(self, store: Store) -> None:
        if self.step is None:
            self._is_step_due = False
            self.step = store.take_step()

    def answer(self, durable_step: int) -> None:
        """Tell whoever waits for what is durable."""
        while self._waiting and self._waiting[0].answer.step <= durable_step:
            waiting = self._waiting.popleft()
            waiting.done(waiting.answer.values)

    def fail(self, error: RoostError) -> None:
        """Nobody gets an answer any more; what is in a step may be durable or not."""
        asked, self._asked = self._asked, deque()
        current, self._current = self._current, None
        waiting, self._waiting = self._waiting, deque()
        for it in ([current] if current else []) + list(asked):
            it.done(error)
        for waited in waiting:
            waited.done(OutcomeUnknown(f"it may be counted: {error}"))
