"""Work that is done again and again, as long as the event loop runs.

What a turn of it raises is logged and counted, and the next turn comes all the same: an error is
neither lost nor the end of what it happened to.
"""

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Ticker:
    """Calls `work` every `interval_s` seconds, from `start` to `stop`.

    `work` is called on the event loop, so it must be short; `failed_count` is how often it raised.
    """

    def __init__(self, interval_s: float, work: Callable[[], None]) -> None:
        """Nothing is called before `start`."""
        self._interval_s = interval_s
        self._work = work
        self._timer: asyncio.TimerHandle | None = None
        self.failed_count = 0

    def start(self) -> None:
        """Begin; the first call comes after one interval."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self.start()  # before the work, which may stop it
        try:
            self._work()
        except Exception:
            self.failed_count += 1
            logger.exception("periodic work failed: %s", self._work)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
