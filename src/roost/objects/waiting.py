"""Waiting for something to become so, by looking at what this member has applied.

A look is a read in this process's memory and asks nobody, so it may be had often: LOOK_S_MIN after
the first, and less often the longer it takes, LOOK_S_MAX apart at most.  What is seen so is
committed, and at most a look old.
"""

import asyncio
from collections.abc import Awaitable, Callable

LOOK_S_MIN, LOOK_S_MAX = 0.002, 0.05
_SLOWER = 1.3


class Looks:
    """The pauses between looks, for as long as `wait_s`; None = for ever."""

    def __init__(self, clock_s: Callable[[], float], wait_s: float | None) -> None:
        """Begin now."""
        self._clock_s = clock_s
        self._until_s = None if wait_s is None else clock_s() + wait_s
        self._pause_s = LOOK_S_MIN

    @property
    def is_over(self) -> bool:
        """Whether it has been waited for long enough."""
        return self._until_s is not None and self._clock_s() >= self._until_s

    async def pause(self, longest_s: float = LOOK_S_MAX) -> None:
        """Wait until the next look is due, `longest_s` at most."""
        pause_s = min(self._pause_s, longest_s)
        if self._until_s is not None:
            pause_s = min(pause_s, self._until_s - self._clock_s())
        self._pause_s = min(self._pause_s * _SLOWER, LOOK_S_MAX)
        await asyncio.sleep(max(0.0, pause_s))

    async def until(self, look: Callable[[], Awaitable[bool]], longest_s: float) -> bool:
        """Look until it is so, or `longest_s` or all of the time is over; whether it is so."""
        end_s = self._clock_s() + longest_s
        while not await look():
            left_s = end_s - self._clock_s()
            if self.is_over or left_s <= 0:
                return False
            await self.pause(left_s)
        return True
