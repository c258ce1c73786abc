"""A round of reads that waits for a slow voter is asked of all the others.

A leader asks those alone who answered first when it asked everybody (`raft/read_index.py`), which
spares a message to each of the others and one back.  Whoever was near may be gone, or wait for
its disk: then the rest decide, as if all had been asked, this much later.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from roost.raft import Core

# A round comes back within a fifth of it where members are near each other.  Where they are
# farther apart all are asked, a little later.
HEDGE_S: Final = 0.002


class Hedge:
    """One leader's timer."""

    def __init__(self, core: Core, *, on_asked: Callable[[], None]) -> None:
        """No round waits."""
        self._core = core
        self._on_asked = on_asked
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._token = 0

    def note_round(self) -> None:
        """A round waits for some alone: see to it that it does not wait for long."""
        if self._timer is not None:
            return
        self._token = self._core.near_read
        if self._loop is None:
            # Asked once: each time is a call of the system in Python before 3.13.
            self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEDGE_S, self._look)

    def stop(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        core = self._core
        if core.near_read == self._token:
            core.ask_all()
            self._on_asked()
        elif core.near_read:
            self.note_round()
