"""Signs of life for the supervisor that asked for them (systemd: WatchdogSec=, sd_notify(3)).

They come from the member's loop, so that a loop which turns no more is noticed, and the process
replaced.  A process that replaces itself, as after damage to its store, opens before it has a
loop that could say anything; `grant_rest` asks for the time that this may take.
"""

import asyncio
import os

from roost.cli.hello import notify

# Of the time after which we are given up: one sign may come late, and a second one, too.
_SIGNS = 4
# A store may have to be fetched from another member, or a log of it replayed.
REST_S = 24 * 3600


def patience_us() -> int:
    """After how many microseconds without a sign this process is given up; 0 = never."""
    said, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not said.isdecimal() or whose not in ("", str(os.getpid())):
        return 0
    return int(said)


class Watchdog:
    """Gives signs from the loop that runs, from `begin` until `end`."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self._patience_us = patience_us()
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Give the first sign, and go on; what `grant_rest` had asked for is over."""
        if self._patience_us:
            notify(f"WATCHDOG_USEC={self._patience_us}")
            self._sign()

    def end(self) -> None:
        """Give no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _sign(self) -> None:
        notify("WATCHDOG=1")
        pause_s = self._patience_us / 1e6 / _SIGNS
        self._next = asyncio.get_running_loop().call_later(pause_s, self._sign)


def grant_rest() -> None:
    """Have nobody look for signs until the process that comes in our place gives them."""
    if patience_us():
        notify(f"WATCHDOG_USEC={REST_S * 1_000_000}", "WATCHDOG=1")
