"""Work of many small steps, so many of them in a turn of the loop (D14).

Whoever has something to do for each of thousands hands over an iterator that does one with each
step.  What fits into the turn is done at once, so a few cost no turn more; the rest follows, in
order, in turns to come.

Full?  What waits is what its owner has anyway; an iterator more is all that is kept of it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice


class Slices:
    """Steps that are taken now, or in one of the next turns."""

    def __init__(self, steps_a_turn: int) -> None:
        """Nothing is to be done."""
        self._steps_a_turn = self._left = steps_a_turn
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
                if not self._left:
                    waiting.appendleft(steps)  # there may be more
        finally:
            is_short = self._left * 2 < self._steps_a_turn
            if (waiting or is_short) and not self._is_turn_due:
                self._is_turn_due = True
                asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_turn_due = False
        self._left = self._steps_a_turn
        if self._waiting:
            self._go_on()


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
