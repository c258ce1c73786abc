"""What a member does for its files while it runs, a little each heartbeat.

It has damaged entries brought back (`repair`), says durably how far its journal is durable when
nothing more comes (`Journal.prepare_mark`), and takes the fence away behind which it must not
vote, once the core says that it holds everything again.  It compares its state with that of the
others (`digests`).
"""

import logging
from collections.abc import Callable, Coroutine

from roost.member.custody.digests import Digests
from roost.member.custody.repair import Repair
from roost.member.directory.home import Home
from roost.member.machine.reserve import SpaceReport
from roost.member.pipeline.persistence import Persistence
from roost.raft import Core
from roost.store import ScrubReport, StoreStatistics

logger = logging.getLogger(__name__)
RESERVE_TICKS = 10


class Custody:
    """Sees to the files of one member; see `Repair` and `Digests` for what is handed in."""

    def __init__(
        self,
        core: Core,
        home: Home,
        persistence: Persistence,
        *,
        send: Callable[[int, list[bytes]], object],
        drive: Callable[[], None],
        scrub_ticks: int,
        spawn: Callable[[Coroutine[None, None, None]], object],
        tell_digest: Callable[[int, list[bytes]], object],
        on_store_damaged: Callable[[str], None],
    ) -> None:
        """Nothing is done before `tick`."""
        self._core = core
        self._journal = journal = home.journal
        self.reserve = home.world.make_reserve(home.data_dir)
        journal.spare.on_full = home.store.on_full = self.reserve.release
        self._persistence = persistence
        self._last_index = 0
        self._home = home
        self.reserve.look()
        # The first scrub comes somewhere in the first interval: members need not do it together.
        self._scrub_ticks = scrub_ticks
        self._ticks = home.world.dice.below(scrub_ticks) if scrub_ticks else 0
        self._spawn = spawn
        self._is_scrubbing = False
        # Members that lost what they had acknowledged while we lead, and how much that was.
        self._forgetful: dict[int, int] = {}
        self._on_store_damaged = on_store_damaged
        self.last_scrub: ScrubReport | None = None
        self.repair = Repair(
            core, journal, persistence, send=send, drive=drive, on_gone=on_store_damaged
        )
        # Members whose state was found to differ; the alarm CORRUPT is raised for them.
        self.corrupt: set[int] = set()
        self.digests = Digests(
            core, tell=tell_digest, on_minority=on_store_damaged, on_mismatch=self.corrupt.add
        )

    async def scrub(self) -> None:
        """Read all of the store, and have it rebuilt when something in it has changed.

        On a busy machine that may take longer than the interval: there is one at a time.
        """
        if self._is_scrubbing:
            return
        self._is_scrubbing = True
        try:
            await self._scrub()
        finally:
            self._is_scrubbing = False

    async def _scrub(self) -> None:
        directory = self._home.store_directory
        report = await self._home.world.scrub(directory)
        if report is None or directory != self._home.store_directory:
            logger.warning("the store was not scrubbed this time")
            return
        self.last_scrub = report
        if not report.fault:
            logger.info("scrubbed %d records in %.1f s", report.record_count, report.took_s)
            return
        logger.error("scrubbing found damage: %s", report.fault)
        if len(self._core.configuration.all_nodes()) > 1:
            self._on_store_damaged(report.fault)
        else:
            self.corrupt.add(self._core.id)

    def space(self, store: StoreStatistics) -> SpaceReport:
        """What the store takes, what is left for it, and who differs."""
        # What is in memory will be on the disk: in the store's file it takes no more than here.
        return SpaceReport(
            store.in_use_bytes,
            self.reserve.free_bytes() - store.memory_bytes,
            self.reserve.size_bytes,
            frozenset(self.corrupt),
            frozenset(self._forgetful),
        )

    def _note_losses(self) -> None:
        """Say once which members came back with less, and forget it when it is not our business.

        The alarm stays until an operator takes it back (J23); whether they have it again by now,
        the core knows.
        """
        core = self._core
        for member_id, index in core.take_losses().items():
            if self._forgetful.get(member_id, 0) < index:
                self._forgetful[member_id] = index
                logger.error("member %x came back without entries it had acknowledged", member_id)
        if self._forgetful:
            members = core.peers  # none, when we do not lead
            self._forgetful = {it: at for it, at in self._forgetful.items() if it in members}

    def tick(self) -> None:
        """A heartbeat interval has passed.

        Raises:
            JournalBroken: the device failed.

        """
        journal = self._journal
        self._ticks += 1
        if self._ticks % RESERVE_TICKS == 0:
            self.reserve.look()
        if self._scrub_ticks and self._ticks % self._scrub_ticks == 0:
            self._spawn(self.scrub())
        if journal.damaged:
            self.repair.tick()
        self._note_losses()
        if self._persistence.outstanding_count:
            return
        if journal.is_fenced and not self._core.is_fenced:
            journal.lift_fence()
            logger.warning("this member holds again all that it ever promised, and votes again")
        if not journal.is_marked and journal.last_index == self._last_index:
            self._persistence.mark()
        self._last_index = journal.last_index
