"""Followers hear of a commit soon, even when no append follows that would carry it.

Their local reads and watches wait for it; under load the next append brings it anyway.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from roost.raft import Core, Role

# A commit that no later append has carried to the followers by then is announced on its own.
ANNOUNCE_S: Final = 0.002


class Announcer:
    """One leader's timer."""

    def __init__(self, core: Core, *, on_announced: Callable[[], None]) -> None:
        """Nothing is to be announced."""
        self._core = core
        self._on_announced = on_announced
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._index = 0

    def note_commit(self) -> None:
        """Something was committed: see to it that followers hear of it."""
        if self._timer is not None:
            return
        core = self._core
        if core.role is Role.LEADER and core.announced_index < core.commit_index:
            self._index = core.commit_index
            if self._loop is None:
                # Asked once: each time is a call of the system in Python before 3.13.
                self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(ANNOUNCE_S, self._announce)

    def stop(self) -> None:
        """Announce nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _announce(self) -> None:
        self._timer = None
        if self._core.announced_index < self._index:
            self._core.announce_commit()
            self._on_announced()
        self.note_commit()
