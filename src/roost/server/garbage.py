"""When Python's collector looks for garbage, in a process that is a member's alone (D14, 0031).

What is in no cycle is freed at once; the collector is for what is in one.  It looks at objects by
age, and holds the loop meanwhile: a microsecond for two or three of them.

    young     whenever there are so many more: YOUNG objects
    middle    each MIDDLE-th time, all that have been made since: YOUNG * MIDDLE objects
    all       never by itself, for it takes a second where there are millions; but EVERY_S after
              the last time, as soon as nobody waits for the loop, when memory is short, or at the
              latest LATEST_S after the last time

What was there when the member began to serve is never looked at again.

Nothing that requests and connections make is in a cycle once it is over: `tests/server/
test_garbage.py` holds that.  So there is little to find.

Full?  A cycle that has become old is garbage until the loop has a quarter of a second without
work, until memory is short, or for an hour.
"""

import gc
from collections.abc import Callable
from time import monotonic

# All in all it takes the same time with half or twice as many.
YOUNG, MIDDLE = 2_000, 5
# How often all are looked at, where the loop has time, and where memory is short.
EVERY_S, SHORT_EVERY_S = 600.0, 15.0
# A loop that never has nothing to do is held for it all the same.
LATEST_S = 3600.0
_NEVER = 1 << 30


class Garbage:
    """Collected in a bounded part of a turn, or when nobody waits."""

    def __init__(
        self, is_short: Callable[[], bool], clock_s: Callable[[], float] = monotonic
    ) -> None:
        """Nothing is changed before `begin`; `is_short()` tells whether memory is."""
        self._is_short, self._clock_s = is_short, clock_s
        self._collected_s = clock_s()

    def begin(self) -> None:
        """All that is there stays."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, _NEVER)
        self._collected_s = self._clock_s()

    def on_beat(self, is_idle: bool) -> None:  # noqa: FBT001 - as the loop's watch tells it
        """Some of the loop's time has passed, in which it had nothing to do, or had."""
        passed_s = self._clock_s() - self._collected_s
        is_due = passed_s >= (EVERY_S if is_idle else LATEST_S)
        if is_due or (passed_s >= SHORT_EVERY_S and self._is_short()):
            gc.collect()
            self._collected_s = self._clock_s()
