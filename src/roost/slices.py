"""Work of many small steps, so many of them in a turn of the loop (D14).

Whoever has something to do for each of thousands hands over an iterator that does one with each
step.  What fits into the turn is done at once, so a few cost no turn more; the rest follows, in
order, in turns to come.

Full?  What waits is what its owner has anyway; an iterator more is all that is kept of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import TypeVar

Made = TypeVar("Made")


class Slices:
    """Steps that are taken now, or in one of the next turns."""

    def __init__(self, steps_a_turn: int, schedule: Callable[[], object] | None = None) -> None:
        """Nothing is to be done.

        `schedule()` has `begin_turn` called in the next turn, by whoever has turns of its own; an
        owner that has none is given those of the loop.
        """
        self._steps_a_turn = self._left = steps_a_turn
        self._schedule = schedule or self._call_soon
        self._waiting: deque[Iterator[object]] = deque()
        self._is_turn_due = False

    def __len__(self) -> int:
        """How many have steps to take; zero when idle."""
        return len(self._waiting)

    def run(self, steps: Iterator[object]) -> None:
        """Take all steps; those for which this turn has no room in later ones."""
        self._waiting.append(steps)
        self._go_on()

    def _go_on(self) -> None:
        waiting = self._waiting
        try:
            while waiting and self._left > 0:
                steps = waiting.popleft()
                for _ in islice(steps, self._left):
                    self._left -= 1
                if self._left <= 0:  # less where a step has had others taken
                    waiting.appendleft(steps)  # there may be more
        finally:
            is_short = self._left * 2 < self._steps_a_turn
            if (waiting or is_short) and not self._is_turn_due:
                self._is_turn_due = True
                self._schedule()

    def _call_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.begin_turn)

    def begin_turn(self) -> None:
        """A turn begins: take the steps that it has room for."""
        self._is_turn_due = False
        self._left = self._steps_a_turn
        if self._waiting:
            self._go_on()

    def finish(self) -> None:
        """Take all steps at once: there will be no more turns."""
        while self._waiting:
            for _ in self._waiting.popleft():
                pass


class Turns:
    """The same for tasks: each takes a turn for every step, in the order of coming."""

    def __init__(self, steps_a_turn: int) -> None:
        """Nobody waits."""
        self._slices = Slices(steps_a_turn)

    async def take(self) -> None:
        """Return when the next step may be taken."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slices.run(_step_for(future))
        await future


def _step_for(future: asyncio.Future[None]) -> Iterator[None]:
    if not future.done():  # who waited may be gone
        future.set_result(None)
        yield


async def in_turns(steps: Generator[None, None, Made]) -> Made:
    """What steps come to, of which one is taken in a turn of the loop."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made
        await asyncio.sleep(0)
