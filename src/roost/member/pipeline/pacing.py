"""When the next batch may go: a short patience makes fewer, larger entries.

Callers that wait for their answer before they ask again come in waves: a batch is answered, its
callers return within a fraction of a millisecond, and what arrived meanwhile forms a second wave
that is always half a round behind.  Two waves cost twice the syncs and messages of one.  So

* while a batch younger than HOLD_S is on its way, the next one is held: over a fast network it
  is answered first, over a slow one batches overlap after all.  Not if it was full: who did not
  get into it waits for nobody;
* after a batch was answered, its callers are given the time of one sync to come back, and whoever
  waits goes with them: a second wave would cost a sync too, so patience never costs more than
  it may save.  It ends at once when all of them are here: a lone caller never waits.

When callers do not come back in time (they are far away, or do not come in waves) the patience
was wasted; it is then skipped for twice as many batches each time (decision record 0004).
"""

from collections.abc import Callable
from enum import Enum
from time import perf_counter
from typing import Final

HOLD_S: Final = 0.002
PATIENCE_S_MIN, PATIENCE_S_MAX = 0.0001, 0.001
# A wave is back when this part of it is.
_RETURNED_PART: Final = 0.75
_SKIP_MAX: Final = 256


class Pace(Enum):
    """What to do with the operations that wait."""

    GO = "go"
    LOOK_AGAIN = "look again"  # in the next loop turn
    HOLD = "hold"  # until something is answered, or HOLD_S has passed


class Pacing:
    """One leader's pace; `sync_s` tells what a sync takes, times are in seconds by `clock_s`."""

    def __init__(
        self, sync_s: Callable[[], float], clock_s: Callable[[], float] = perf_counter
    ) -> None:
        """Nothing is on its way."""
        self._sync_s = sync_s
        self._clock_s = clock_s
        self._held_until = 0.0
        self._patient_until = 0.0
        self._wave = 0
        self._failures = 0
        self._skips = 0

    def on_proposed(self, *, is_full: bool) -> None:
        """A batch is on its way; `is_full`: others wait since before it was made."""
        self._held_until = 0.0 if is_full else self._clock_s() + HOLD_S

    def on_answered(self, answered: int, waiting: int) -> None:
        """A batch was answered: `answered` callers may come back to the `waiting` ones."""
        if self._skips:
            self._skips -= 1
            return
        self._wave = answered + waiting
        patience_s = min(max(self._sync_s(), PATIENCE_S_MIN), PATIENCE_S_MAX)
        self._patient_until = self._clock_s() + patience_s

    def pace(self, waiting: int, inflight: int) -> Pace:
        """Whether `waiting` operations may go while `inflight` batches are on their way."""
        if inflight:
            return Pace.HOLD if self._clock_s() < self._held_until else Pace.GO
        if not self._patient_until:
            return Pace.GO
        if waiting < self._wave and self._clock_s() < self._patient_until:
            return Pace.LOOK_AGAIN
        self._patient_until = 0.0
        if waiting < self._wave * _RETURNED_PART:
            self._failures += 1
            self._skips = min(1 << self._failures, _SKIP_MAX)
        else:
            self._failures = 0
        return Pace.GO
