"""How long the loop is held, and by whom (D14).

A timer of the loop beats; what it comes too late is what others' turns took meanwhile.  A thread
looks whether the beat is overdue, and if it is, at what the loop's thread is doing: the innermost
function of ours.  So the loop itself pays for a timer, and whoever holds it is caught at it.
What its thread has worked since the beat before tells a long turn from a machine without a free
processor: on that the loop comes late and has done nothing.  What of it went into collecting
garbage is said as well, since that comes to whoever happens to make an object.

Full?  A line of log in LOG_S; a beat that nobody saw late costs nothing.
"""

import asyncio
import gc
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Collection
from time import monotonic, thread_time
from types import CodeType, FrameType

from roost.histogram import Histogram, doubling

logger = logging.getLogger(__name__)
# An idle member costs next to nothing: four beats a second, and a look when one is overdue.
BEAT_S = 0.25
# Held longer than that is said, with the name of who did it.
HELD_S = 0.05
LOG_S = 1.0
# Who has worked for less of the time since the beat before had nothing to do.
IDLE_SHARE = 0.05
_BOUNDS_S = doubling(0.001, 14)


class LoopWatch:
    """Watches the loop on which it is started."""

    def __init__(
        self,
        clock_s: Callable[[], float] = monotonic,
        package: str = "roost",
        worked_s: Callable[[], float] = thread_time,
    ) -> None:
        """Nothing is watched before `start`; functions of `package` are named."""
        self._package = package
        self.turns = Histogram(_BOUNDS_S)
        # Told of each beat: whether the loop had nothing to do since the one before.
        self.on_beat: Callable[[bool], object] = _hear_nothing
        self.held_count = 0
        self._clock_s, self._worked_s = clock_s, worked_s
        self._due_s = self._worked_before_s = 0.0
        self._collected_s = self._collecting_since_s = 0.0
        self.held_by = ""
        # Frames that run the loop: who is found there is waiting for work.
        self._base: set[CodeType] = set()
        self._logged_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop."""
        gc.callbacks.append(self._on_collection)
        self._loop = asyncio.get_running_loop()
        self._base = _code_below_the_loop(inspect.currentframe())
        self._beat_again()
        watched = threading.get_ident()
        self._thread = threading.Thread(target=self._look, args=(watched,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        if not self._stopped.is_set():
            gc.callbacks.remove(self._on_collection)
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    @property
    def _worked_since_s(self) -> float:
        """How much of the time since the last beat its thread has worked; asked in that thread."""
        return self._worked_s() - self._worked_before_s

    def _beat_again(self) -> None:
        self.held_by = ""
        self._due_s = self._clock_s() + BEAT_S
        self._worked_before_s, self._collected_s = self._worked_s(), 0.0
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now = self._clock_s()
        late_s = max(0.0, now - self._due_s)
        self.turns.note(late_s)
        if late_s > HELD_S:
            self._say(now, late_s)
        is_idle = self._worked_since_s < IDLE_SHARE * BEAT_S
        self._beat_again()
        self.on_beat(is_idle)

    def _say(self, now: float, late_s: float) -> None:
        self.held_count += 1
        if now - self._logged_s >= LOG_S:
            self._logged_s = now
            by = (
                self.held_by or "nobody we saw: a short turn, or a machine without a free processor"
            )
            worked_ms = 1000 * self._worked_since_s
            last_ms, collected_ms = 1000 * (BEAT_S + late_s), 1000 * self._collected_s
            text = (
                "the loop was held for %.0f ms by %s; it worked %.0f of the last %.0f ms,"
                " %.0f of them at collecting garbage"
            )
            logger.warning(text, 1000 * late_s, by, worked_ms, last_ms, collected_ms)

    def _on_collection(self, phase: str, _told: dict[str, int]) -> None:
        """Of all threads, each of which has the loop wait while it does this."""
        if phase == "start":
            self._collecting_since_s = self._clock_s()
        else:
            self._collected_s += self._clock_s() - self._collecting_since_s

    def _look(self, watched: int) -> None:
        """The thread: catch whoever holds the loop at it."""
        wait_s = BEAT_S
        while not self._stopped.wait(wait_s):
            overdue_s = self._clock_s() - self._due_s
            # The next look is when the next beat would be overdue, or soon when this one is.
            wait_s = max(HELD_S / 2, HELD_S / 2 - overdue_s)
            if not self.held_by and overdue_s > HELD_S / 2:
                self.held_by = innermost(_stack_of(watched), self._package, self._base)


def _hear_nothing(_is_idle: bool) -> None:  # noqa: FBT001 - as it is told
    pass


def innermost(
    frame: FrameType | None, package: str, base: Collection[CodeType] = frozenset()
) -> str:
    """The innermost function of a package in a stack, as `module.function`; "" = there is none.

    What is in `base` does not count.
    """
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.split(".")[0] == package and frame.f_code not in base:
            return f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""


def _stack_of(thread: int) -> FrameType | None:
    return sys._current_frames().get(thread)  # noqa: SLF001 - documented, for this very use


def _code_below_the_loop(frame: FrameType | None) -> set[CodeType]:
    """What runs the loop in which we are called: the frames outside asyncio's outermost one."""
    outer: list[CodeType] = []
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("asyncio"):
            outer = []
        else:
            outer.append(frame.f_code)
        frame = frame.f_back
    return set(outer)
