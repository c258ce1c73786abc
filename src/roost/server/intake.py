"""Who is read from in a turn of the loop: all clients together have one budget (D14).

What comes in is work: frames, header blocks, requests that are begun.  It is counted in units of
about three microseconds, and a turn has TURN_UNITS of them, two milliseconds' worth; then peers
and timers are looked at.  A connection that has sent more than the rest of a turn allows stands in
line, is not read from meanwhile, and gets its share in the turns that follow, the one after the
other; so it delays nobody by more than a turn and a share of each that stands before it.

A budget is granted anew when half of it is used, or somebody stands in line: who sends little has
no turn more for it, and a turn has never less than half.

Full?  Each connection keeps what one read of its socket gave, no more: the client's own socket
fills, and its windows.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

TURN_UNITS = 700
# Of one that stands in line, in one turn.
SHARE_UNITS_MIN: Final = 50
# A request that is begun: its handler.  With 16 a thousand puts under way were a third slower,
# since each turn's batch was small (`python -m bench`, 2026-11-26).
REQUEST_UNITS: Final = 4


class Reader(Protocol):
    """A connection with bytes that were not read."""

    def read_on(self, budget: int) -> None:
        """Read what has come, for so much; report to `Intake.note`."""


class Intake:
    """The budget of the turn, and the line."""

    def __init__(self) -> None:
        """A turn has not begun."""
        self._left = TURN_UNITS
        self._line: deque[Reader] = deque()
        self._is_turn_due = False
        # To ask which loop runs is a call of the system in Python before 3.13.
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting_count(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def budget(self) -> int:
        """What a connection may use now of this turn."""
        return max(0, self._left)

    def note(self, reader: Reader, units: int, *, has_more: bool) -> None:
        """A connection has used so much, and has more to read or not."""
        self._left -= units
        if has_more:
            self._line.append(reader)
        if has_more or self._left < TURN_UNITS // 2:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_turn_due = False
        self._left = TURN_UNITS
        count = len(self._line)
        if not count:
            return
        share = max(SHARE_UNITS_MIN, TURN_UNITS // count)
        try:
            while count and self._left > 0:
                count -= 1
                self._line.popleft().read_on(min(share, self._left))
        finally:
            if self._line:
                self._schedule()
