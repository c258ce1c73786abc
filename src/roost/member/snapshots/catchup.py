"""Snapshots between the core and the files: offered to peers, put in place here (D6)."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.pipeline.persistence import Persistence
from roost.member.snapshots.snapshots import Snapshots
from roost.peer import Transport
from roost.raft import Core, Snapshot

logger = logging.getLogger(__name__)
# How soon an installation is tried again that found the journal busy.
RETRY_S = 0.01


class Catchup:
    """Does for one member what its core asks about snapshots.

    `before_install()` and `after_install(index)` let the owner of the loop let go of what a
    snapshot replaces, and take up what it brought; `drive()` carries out what the core asks.
    """

    def __init__(
        self,
        core: Core,
        home: Home,
        snapshots: Snapshots,
        transport: Transport,
        persistence: Persistence,
        *,
        drive: Callable[[], None],
        before_install: Callable[[], None],
        after_install: Callable[[int], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Nothing is under way."""
        self._core = core
        self._home = home
        self._snapshots = snapshots
        self._transport = transport
        self._persistence = persistence
        self._drive = drive
        self._before_install = before_install
        self._after_install = after_install
        self._on_fatal = on_fatal
        self._offering: set[int] = set()
        # The snapshot that is being fetched; what comes of an older fetch is ignored.
        self._wanted: Snapshot | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Install nothing any more."""
        self._is_stopped = True

    def offer(self, member_id: int) -> None:
        """A peer needs a snapshot: make one, and offer it."""
        if member_id not in self._offering:
            self._offering.add(member_id)
            self._snapshots.spawn(self._make_and_offer(member_id))

    async def _make_and_offer(self, member_id: int) -> None:
        try:
            copy = await self._snapshots.copies.make(0)
        except (OSError, SnapshotFailed) as error:
            # The peer goes on answering heartbeats, and is offered one again.
            logger.warning("no snapshot for member %x: %s", member_id, error)
            return
        finally:
            self._offering.discard(member_id)
        snapshot = Snapshot(
            index=copy.file.index,
            term=copy.file.term,
            sender=self._core.id,
            configuration=copy.configuration,
        )
        self._core.offer_snapshot(member_id, snapshot)
        self._drive()

    def fetch(self, snapshot: Snapshot) -> None:
        """We were offered a snapshot: fetch it."""
        self._wanted = snapshot
        addresses = self._transport.addresses_of(snapshot.sender)
        if addresses:
            self._snapshots.fetch(snapshot, addresses, self._on_fetched)
        else:
            self._core.snapshot_failed(snapshot)

    def _on_fetched(self, snapshot: Snapshot, path: Path | None) -> None:
        """Install what was fetched, when nothing is on its way to the disk."""
        if self._is_stopped or snapshot != self._wanted:
            self._discard(path)
            return
        self._drive()
        if path is not None and self._persistence.outstanding_count:
            loop = asyncio.get_running_loop()
            loop.call_later(RETRY_S, self._on_fetched, snapshot, path)
            return
        self._wanted = None
        if path is None or not self._core.may_restore(snapshot):
            self._discard(path)
            self._core.snapshot_failed(snapshot)
            self._drive()
            return
        try:
            self._install(snapshot, path)
        except Exception as error:  # noqa: BLE001 - half an installation: our state is in doubt
            self._on_fatal(error)

    def _discard(self, path: Path | None) -> None:
        if path is not None:
            self._snapshots.discard(path)

    def _install(self, snapshot: Snapshot, path: Path) -> None:
        """Go over to a snapshot: store, journal, core, in this order.

        The record that names the new store decides which state counts after a crash.  The journal
        follows, because a journal that begins behind a store that is not there yet has lost what
        lies between; the other way round it has only kept too much.  The core comes last: what it
        says from then on rests on both.
        """
        assert not self._persistence.outstanding_count, "no write comes behind the journal's back"
        self._before_install()
        old = self._home.install(path, snapshot.index, snapshot.term)
        self._snapshots.spawn(self._snapshots.remove(old))
        self._core.restore(snapshot)
        logger.info("installed the snapshot at %d:%d", snapshot.term, snapshot.index)
        self._after_install(snapshot.index)
        self._drive()
