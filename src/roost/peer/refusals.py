"""Who was not let in, and why, in words: each said once, and no faster than people can read.

Whoever can connect can be refused as often as it likes, with as many reasons as it can think of.
What is not said is counted, and the next that is said says how many there were.
"""

import logging

logger = logging.getLogger(__name__)
_LOGGED_S = 1.0
# A refusal that was said is not said again, until there were so many others.
_HELD_MAX = 256


class Refusals:
    """What was said of those who were refused."""

    def __init__(self) -> None:
        """Nobody was refused."""
        self._logged_s = 0.0
        self._unlogged_count = 0
        self._said: set[str] = set()

    def note(self, host: str, error: Exception, now_s: float) -> None:
        """Somebody at `host` was not let in, at `now_s` by any clock that only goes on."""
        said = f"{host}: {error}"
        if said in self._said:
            self._unlogged_count += 1
            return
        if self._logged_s and now_s - self._logged_s < _LOGGED_S:
            self._unlogged_count += 1
            return
        more = f" ({self._unlogged_count} more since the last)" if self._unlogged_count else ""
        self._logged_s, self._unlogged_count = now_s, 0
        if len(self._said) >= _HELD_MAX:
            self._said.clear()
        self._said.add(said)
        logger.warning("a peer at %s was refused%s: %s", host, more, error)
