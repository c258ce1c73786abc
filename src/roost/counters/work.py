"""What clients have asked one member to change: who waits, what is being done, what gets written.

    queued -> begun, a slice at a time -> in a step of the store -> durable: answered

One request is begun at a time (`changing`).  A step is taken between two of them, never amid one:
so each is in one step, as a whole.  Nobody waits for ever: when a turn has ended amid a request,
the step is taken before the next one begins.

Answers leave so many a turn: a step may have been long on its way, and hold thousands of requests.

Full?  QUEUE_COUNT_MAX requests wait; who comes then is refused (`Overloaded`).  What waits for the
disk is bounded by what a step holds (`Store.refuse_when_broken`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from roost.counters import changing
from roost.counters.changing import Steps
from roost.counters.errors import CounterStoreError
from roost.counters.store import Answer, Step, Store
from roost.errors import OutcomeUnknown, Overloaded, RoostError

QUEUE_COUNT_MAX: Final = 10_000
# Of a turn of the loop (D14): changes, of which a request counts as a few at least.
CHANGES_A_TURN, REQUEST_CHANGES = 256, 4
ANSWERS_A_TURN: Final = 256
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

    def is_due(self, durable_step: int) -> bool:
        """Whether another turn has something to do, or to tell."""
        return not self.is_idle or self.has_answers(durable_step)

    def has_answers(self, durable_step: int) -> bool:
        """Whether somebody waits for what is durable."""
        return bool(self._waiting) and self._waiting[0].answer.step <= durable_step

    def answer(self, durable_step: int) -> None:
        """Tell those who wait for what is durable, as many as a turn has room for."""
        left = ANSWERS_A_TURN
        while left and self.has_answers(durable_step):
            left -= 1
            waiting = self._waiting.popleft()
            waiting.done(waiting.answer.values)

    def failing(self, error: RoostError, durable_step: int) -> Iterator[None]:
        """Tell all who wait, one with each step, that no answer comes any more.

        What is in a step is durable, or may be.
        """
        asked, self._asked = self._asked, deque()
        current, self._current = self._current, None
        waiting, self._waiting = self._waiting, deque()
        dones = [it.done for it in asked]
        if current is not None:
            dones.insert(0, current.done)
        return _failing(dones, waiting, error, durable_step)


def _failing(
    dones: list[Done], waiting: deque[_Waiting], error: RoostError, durable_step: int
) -> Iterator[None]:
    for done in dones:
        done(error)
        yield
    for it in waiting:
        is_durable = it.answer.step <= durable_step
        unknown = OutcomeUnknown(f"it may be counted: {error}")
        it.done(it.answer.values if is_durable else unknown)
        yield
