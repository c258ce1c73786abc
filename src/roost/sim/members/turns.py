"""How much one callback of a simulated member does: a turn that does too much fails the seed (D14).

A step is a call of a function, ours or Python's own, or the return of one; a loop without any is
not seen.  Counting them makes a run three times as long, so it is done twice: a run takes the
processor time of its turns, which costs next to nothing and judges nothing, and when some took
suspiciously long, the same seed is run again and counted (`campaign.simulate`).  It is the same
run, so the verdict is of the count, and the same on every machine; what is looked for in particular
is counted from the beginning.

What is done aside does not count: what a process of its own does in production, and the judges.
"""

import _lsprof  # what is beneath cProfile: it calls a clock of ours, in C
import asyncio
import gc
import itertools
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from time import thread_time
from types import FrameType
from typing import Any, TypeVarTuple

from roost.sim.members.loop import VirtualLoop

Given = TypeVarTuple("Given")
# Five million steps are a second of a machine of 2026, so these are ten milliseconds.  Most seeds
# have no turn of a third of it; a follower that comes back and applies what it missed has more.
STEPS_MAX = 50_000
# A few turns that took so long together: on a machine with much else to do that happens by itself,
# and then costs the time of a count.
SUSPICIOUS_S = 0.03
_BATCH = 16
_NAMED_MAX = 6
_OLDEST_GENERATION = 2


class Turns:
    """Runs what a loop runs, and takes the time of it, some callbacks at a time."""

    def __init__(self) -> None:
        """Nothing has run; the steps of a task that is `exempt` are nobody's."""
        self.longest_s = 0.0
        # Who did more than STEPS_MAX steps, the innermost function first; "" when nobody did.
        self.excess = ""
        self.exempt: asyncio.Task[Any] | None = None
        self._count = 0
        self._aside_s = 0.0
        self._last_s = 0.0
        self._collection_s = 0.0

    def start(self) -> None:
        """Begin."""
        gc.callbacks.append(self._on_collection)
        self._last_s = thread_time()

    def stop(self) -> None:
        """End."""
        gc.callbacks.remove(self._on_collection)

    def run(self, callback: Callable[..., object], *given: object) -> None:
        """Run a callback of the loop."""
        if getattr(callback, "__self__", None) is self.exempt and self.exempt is not None:
            with self.aside():
                callback(*given)
            return
        callback(*given)
        self._count += 1
        if not self._count % _BATCH:
            now_s = thread_time()
            self.longest_s = max(self.longest_s, now_s - self._last_s - self._aside_s)
            self._last_s, self._aside_s = now_s, 0.0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done in the block does not count."""
        began_s = thread_time()
        try:
            yield
        finally:
            self._aside_s += thread_time() - began_s

    def _on_collection(self, phase: str, told: dict[str, int]) -> None:
        """Rubbish of all that this process ever did is no member's."""
        if told["generation"] == _OLDEST_GENERATION:
            if phase == "start":
                self._collection_s = thread_time()
            else:
                self._aside_s += thread_time() - self._collection_s


class CountedTurns(Turns):
    """Counts the steps of each callback.

    The profiler asks a clock at each step, and the clock is an iterator in C: over a list that is
    begun anew with each callback, and where that ends, over what says who ran so long.
    """

    def __init__(self, steps_max: int = STEPS_MAX) -> None:
        """Nothing has run."""
        super().__init__()
        self.most = 0
        self._steps_max = steps_max
        self._left: Any = iter([0] * steps_max)  # Any: such an iterator can be set back
        clock = itertools.chain(self._left, self._exceed())
        self._profiler = _lsprof.Profiler(clock.__next__, 1.0)
        self._is_aside = False

    def start(self) -> None:
        """Begin."""
        self._profiler.enable()

    def stop(self) -> None:
        """End."""
        self._profiler.disable()

    def run(self, callback: Callable[..., object], *given: object) -> None:
        """Run a callback of the loop; what the loop itself does between two is nobody's."""
        if not self.excess:
            self._left.__setstate__(0)
        if getattr(callback, "__self__", None) is self.exempt and self.exempt is not None:
            with self.aside():
                callback(*given)
            return
        try:
            callback(*given)
        finally:
            if not self.excess:
                self.most = max(self.most, self._steps_max - operator.length_hint(self._left))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done in the block does not count."""
        was_aside, self._is_aside = self._is_aside, True
        if not was_aside:
            self._profiler.disable()
        try:
            yield
        finally:
            self._is_aside = was_aside
            if not was_aside:
                self._profiler.enable()

    def _exceed(self) -> Iterator[int]:
        """The clock, once the steps are used up: note who runs."""
        while True:
            if not self.excess:
                self.excess = " < ".join(_functions(sys._getframe(1))[:_NAMED_MAX])  # noqa: SLF001 - documented, for this very use
            yield 0


def _functions(frame: FrameType | None) -> list[str]:
    """The package's functions that run, the innermost first, without the simulator's."""
    found = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.split(".")[0] == "roost" and not module.startswith("roost.sim."):
            found.append(f"{module}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return found or ["the simulator"]


class TurnLoop(VirtualLoop):
    """A virtual loop whose callbacks are taken the measure of."""

    def __init__(self, turns: Turns) -> None:
        """Begin at 0."""
        self.turns = turns
        super().__init__()

    def call_soon(
        self, callback: Callable[[*Given], object], *args: *Given, context: Context | None = None
    ) -> asyncio.Handle:
        """Run it in the next turn."""
        return super().call_soon(self.turns.run, callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Given], object], *args: *Given, context: Context | None = None
    ) -> asyncio.Handle:
        """Run it in the next turn; asyncio's own goes past `call_soon`."""
        return super().call_soon_threadsafe(self.turns.run, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Given], object],
        *args: *Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it then."""
        return super().call_at(when, self.turns.run, callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[[*Given], Any], *args: *Given) -> None:
        """Run it when something can be read."""
        super().add_reader(fd, self.turns.run, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[[*Given], Any], *args: *Given) -> None:
        """Run it when something can be written."""
        super().add_writer(fd, self.turns.run, callback, *args)


def aside() -> AbstractContextManager[None]:
    """What is done in the block is no work of the member's; wherever turns are measured."""
    loop = asyncio.get_running_loop()
    return loop.turns.aside() if isinstance(loop, TurnLoop) else nullcontext()


def are_counted() -> bool:
    """Whether steps are, here: then the member does not look at itself after each of them.

    It does so in the run that is not counted, which is the same one.
    """
    loop = asyncio.get_running_loop()
    return isinstance(loop, TurnLoop) and isinstance(loop.turns, CountedTurns)
