"""Moments that operations can compare: seconds of a clock that never goes back, and whose it is.

An operation runs on the member that leads, and the next one may run on another: their clocks have
nothing in common.  So what an operation writes down of time (a lease's end) is a moment with its
clock; whoever finds one of another clock knows only that, and may begin to count anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

CLOCKS_MAX = 1 << 62
_UNIQUE = Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds of a clock; `clock` is another number in each life of each member."""

    clock: int
    at_s: float


class Clock:
    """One member's, in one life."""

    def __init__(self, number: int, clock_s: Callable[[], float]) -> None:
        """`clock_s` never goes back; `number` is nobody else's, below CLOCKS_MAX."""
        self._number = number
        self._clock_s = clock_s
        self._named_count = 0

    def moment(self) -> Moment:
        """Now."""
        return Moment(self._number, self._clock_s())

    def unique(self) -> bytes:
        """16 bytes that no other call gives."""
        self._named_count += 1
        return _UNIQUE.pack(self._number, self._named_count)


def no_moment() -> Moment:
    """For a transaction that is nowhere."""
    raise RuntimeError("this transaction runs on no member, so it has no clock")
