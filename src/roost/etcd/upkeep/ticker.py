"""Work that is done again and again, as long as the loop runs."""

import asyncio
from collections.abc import Callable


class Ticker:
    """Calls `work` every `every_s` seconds, from `start` to `stop`."""

    def __init__(self, every_s: float, work: Callable[[], None]) -> None:
        """Nothing is called before `start`."""
        self._every_s = every_s
        self._work = work
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; the first call comes after one interval."""
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def _tick(self) -> None:
        self.start()
        self._work()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
