"""Attempts to log in: how many, at which name, from where.

By name alone, anybody could lock its owner out; by address alone, one could lock out all who share
it.  So attempts are counted for a name from a network, and one that succeeds does not count.  A
network is an IPv4 address, or a whole /64 of IPv6, which is what one customer gets.  Guessing one
password at many names is not refused, but slow: see `hashers.py`.

Full?  ROWS_MAX rows; then those go whose time is over, and if there are none, all.
"""

from collections.abc import Callable

WINDOW_S, FAILURES_MAX = 1.0, 10
# Who has failed is a suspect for so long.
SUSPECT_S = 60.0
ROWS_MAX = 10_000
_NAME_CHARS_MAX = 256
_Key = tuple[str, str]


class Attempts:
    """What was tried lately; `clock_s` never goes back."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Nothing was tried."""
        self._clock_s = clock_s
        # When a window began, and how many attempts in it have not succeeded (yet).
        self._windows: dict[_Key, tuple[float, int]] = {}
        self._failed_s: dict[_Key, float] = {}

    def begin(self, name: str, network: str) -> bool:
        """Count an attempt; False when it may not be made now, and it is not counted then."""
        now_s, key = self._clock_s(), _key(name, network)
        began_s, count = self._windows.get(key, (now_s, 0))
        if now_s >= began_s + WINDOW_S:
            began_s, count = now_s, 0
        if count >= FAILURES_MAX:
            return False
        if len(self._windows) >= ROWS_MAX:
            rows = self._windows.items()
            lasting = {it: row for it, row in rows if now_s < row[0] + WINDOW_S}
            self._windows = lasting if len(lasting) < ROWS_MAX else {}
        self._windows[key] = (began_s, count + 1)
        return True

    def succeed(self, name: str, network: str) -> None:
        """An attempt was no guess."""
        self._failed_s.pop(_key(name, network), None)
        self.take_back(name, network)

    def take_back(self, name: str, network: str) -> None:
        """An attempt does not count: nobody has looked at its password."""
        key = _key(name, network)
        began_s, count = self._windows.get(key, (0.0, 0))
        if count:
            self._windows[key] = (began_s, count - 1)

    def fail(self, name: str, network: str) -> None:
        """An attempt was wrong."""
        now_s = self._clock_s()
        if len(self._failed_s) >= ROWS_MAX:
            rows = self._failed_s.items()
            lasting = {it: at_s for it, at_s in rows if now_s < at_s + SUSPECT_S}
            self._failed_s = lasting if len(lasting) < ROWS_MAX else {}
        self._failed_s[_key(name, network)] = now_s

    def is_suspect(self, name: str, network: str) -> bool:
        """Whether the last attempt at that name from there was wrong, and not long ago."""
        at_s = self._failed_s.get(_key(name, network))
        return at_s is not None and self._clock_s() < at_s + SUSPECT_S


def _key(name: str, network: str) -> _Key:
    return name[:_NAME_CHARS_MAX], network
