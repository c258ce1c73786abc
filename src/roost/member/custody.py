"""What a member does for its files while it runs, a little each heartbeat.

It has damaged entries brought back (`repair`), says durably how far its journal is durable when
nothing more comes (`Journal.prepare_mark`), and takes the fence away behind which it must not
vote, once the core says that it holds everything again.  It compares its state with that of the
others (`digests`).
"""

import logging
from collections.abc import Callable

from roost.journal import Journal
from roost.member.digests import Digests
from roost.member.persistence import Persistence
from roost.member.repair import Repair
from roost.raft import Core

logger = logging.getLogger(__name__)


class Custody:
    """The journal's keeper of one member; see `Repair` and `Digests` for what is handed in."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        persistence: Persistence,
        *,
        send: Callable[[int, list[bytes]], object],
        drive: Callable[[], None],
        tell_digest: Callable[[int, list[bytes]], object],
        on_store_damaged: Callable[[str], None],
    ) -> None:
        """Nothing is done before `tick`."""
        self._core = core
        self._journal = journal
        self._persistence = persistence
        self._last_index = 0
        self.repair = Repair(
            core, journal, persistence, send=send, drive=drive, on_gone=on_store_damaged
        )
        # Members whose state was found to differ; the alarm CORRUPT is raised for them.
        self.corrupt: set[int] = set()
        self.digests = Digests(
            core, tell=tell_digest, on_minority=on_store_damaged, on_mismatch=self.corrupt.add
        )

    def tick(self) -> None:
        """A heartbeat interval has passed.

        Raises:
            JournalBroken: the device failed.

        """
        journal = self._journal
        if journal.faulty:
            self.repair.tick()
        if self._persistence.outstanding_count:
            return
        if journal.is_fenced and not self._core.is_fenced:
            journal.lift_fence()
            logger.warning("this member holds again all that it ever promised, and votes again")
        if not journal.is_marked and journal.last_index == self._last_index:
            self._persistence.mark()
        self._last_index = journal.last_index
