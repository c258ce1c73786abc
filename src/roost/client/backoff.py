"""How long it is until the next try: longer each time, and never the same for two."""

import random
import time
from collections.abc import Callable

from roost.client.errors import ClientError, Unreachable, is_lost

PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 1.0
# What goes on while a machine sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_s() -> float:
    """Seconds that have gone by, also while the machine slept."""
    return time.clock_gettime(_CLOCK)


class Backoff:
    """Pauses between tries; chance keeps many clients from coming at once."""

    def __init__(self, pause_s_min: float = PAUSE_S_MIN, pause_s_max: float = PAUSE_S_MAX) -> None:
        """The first is between half of `pause_s_min` and all of it."""
        self._min_s, self._max_s = pause_s_min, pause_s_max
        self._count = 0

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        longest_s: float = min(self._max_s, self._min_s * 2**self._count)
        self._count = min(self._count + 1, 16)
        return longest_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def reset(self) -> None:
        """It went well."""
        self._count = 0


class Patience:
    """Counts the tries of one stream.

    Until it has begun every endpoint is tried once.  After that it is tried again until
    `patience_s` have gone by without a word from any of them.
    """

    def __init__(
        self, count: int, patience_s: float, clock_s: Callable[[], float], *, insists: bool
    ) -> None:
        """Over `count` endpoints; with `insists` it is as if it had begun."""
        self._count = count
        self._patience_s = patience_s
        self._clock_s = clock_s
        self._has_begun = insists
        self._failed_count = 0
        self._heard_s = clock_s()
        self._backoff = Backoff()

    def heard(self) -> None:
        """An endpoint has answered."""
        self._has_begun = True
        self._failed_count = 0
        self._backoff.reset()

    def failed(self, error: ClientError) -> float:
        """Seconds to wait before another try.

        Raises:
            ClientError: another try is of no use; or none was, for as long as we had patience.

        """
        if not is_lost(error):
            raise error
        if not self._failed_count:
            self._heard_s = self._clock_s()
        self._failed_count += 1
        if not self._has_begun:
            if self._failed_count >= self._count:
                raise error
        elif self._clock_s() - self._heard_s > self._patience_s:
            text = f"no endpoint has answered for {self._patience_s:g} s: {error.text}"
            raise Unreachable(error.code, text) from error
        return 0.0 if self._failed_count % self._count else self._backoff.next_s()
