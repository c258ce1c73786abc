"""Attempts to log in: how many, at which name, from where.

By name alone, anybody could lock its owner out; by address alone, one could guess at many names.
So attempts are counted for a name from a network, and for a network; one that succeeds does not
count.  A network is an IPv4 address, or a whole /64 of IPv6, which is what one customer gets.

Full?  ROWS_MAX rows; then those go whose time is over, and if there are none, all.
"""

from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_network
from typing import Generic, TypeVar

WINDOW_S = 1.0
NAME_MAX, NETWORK_MAX = 10, 100
ROWS_MAX = 10_000
_NAME_CHARS_MAX = 256
Key = TypeVar("Key", bound=Hashable)


class _Counts(Generic[Key]):
    """How often each key was counted in its window, which begins with the first."""

    def __init__(self) -> None:
        self._rows: dict[Key, tuple[float, int]] = {}

    def of(self, key: Key, now_s: float) -> int:
        began_s, count = self._rows.get(key, (now_s, 0))
        return count if now_s < began_s + WINDOW_S else 0

    def add(self, key: Key, now_s: float, change: int) -> None:
        count = self.of(key, now_s)
        if not count and change < 0:
            return
        rows = self._rows
        if key not in rows and len(rows) >= ROWS_MAX:
            self._rows = rows = {it: rows[it] for it in rows if self.of(it, now_s)}
            if len(rows) >= ROWS_MAX:
                rows.clear()
        rows[key] = (rows[key][0] if count else now_s, count + change)


class Attempts:
    """What was tried lately."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Nothing was tried; `clock_s` never goes back."""
        self._clock_s = clock_s
        self._by_name: _Counts[tuple[str, str]] = _Counts()
        self._by_network: _Counts[str] = _Counts()

    def begin(self, name: str, network: str) -> bool:
        """Count an attempt; False when it may not be made now, and it is not counted then."""
        now_s, key = self._clock_s(), (name[:_NAME_CHARS_MAX], network)
        if (
            self._by_name.of(key, now_s) >= NAME_MAX
            or self._by_network.of(network, now_s) >= NETWORK_MAX
        ):
            return False
        self._by_name.add(key, now_s, 1)
        self._by_network.add(network, now_s, 1)
        return True

    def succeed(self, name: str, network: str) -> None:
        """An attempt was no guess."""
        now_s = self._clock_s()
        self._by_name.add((name[:_NAME_CHARS_MAX], network), now_s, -1)
        self._by_network.add(network, now_s, -1)


def network_of(address: str) -> str:
    """What counts as one place."""
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address  # IPv4, or no network at all
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))
