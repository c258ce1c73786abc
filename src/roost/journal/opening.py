"""Opening a journal: from what a crash left to a log that can be gone on with.

    who        the identity says whose directory it is, the lock that nobody else uses it
    what       the manifest names the segments; each is read (`recovery`) and their frames are put
               together (`replay`) to runs of entries, with holes between them where any are lost
    decide     which run is the log, and whether its end was lost
    again      what may stand in the page cache alone is written once more (J17), the manifest
               names what was decided, and only then is anything else put aside

Damage is met in this order:

    below what the store holds    not needed: the journal begins behind it
    an entry whose slot is good   `damaged`: it keeps its place and its vote; peers bring it back
    anything else                 the end of the log is lost, and nobody knows how much was
                                  promised: the journal is *fenced*.  Its member may not vote
                                  before it holds an entry of a leader's own term, which proves
                                  that it holds everything that was ever committed

Nothing is deleted here.  What is not of the log any more goes to `lost/`, under the number of
the start that put it there: a person may still want to look.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from roost.journal import segment as segments
from roost.journal.disk import Disk
from roost.journal.errors import JournalBroken, JournalDamaged, WrongIdentity
from roost.journal.hard_state import HardRecord
from roost.journal.identity import Identity, load_identity, save_identity
from roost.journal.index import Index
from roost.journal.manifest import ManifestRecord, SegmentName
from roost.journal.reading import read_entries
from roost.journal.recovery import SegmentReader
from roost.journal.replay import Replay, Run
from roost.journal.segment import Segment
from roost.raft.types import Entry

logger = logging.getLogger(__name__)
_EVERYTHING = 1 << 40
SPARE_NAME = "spare.tmp"


@dataclass(frozen=True, slots=True)
class Position:
    """A log position and its term."""

    index: int
    term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a journal begins with; both records are durable as they stand."""

    identity: Identity
    index: Index
    segments: list[Segment]
    hard: HardRecord
    manifest: ManifestRecord
    # What was left before a loss, behind the floor: to be written again, into a new segment.
    kept: tuple[Entry, ...]


def open_journal(
    directory: Path,
    *,
    identity: Identity,
    disk: Disk,
    held: Position | None,
    begins_at: int,
    may_lose_tail: bool,
) -> Opened:
    """Recover whatever a crash left; `Journal.open` says what the parameters mean.

    Raises:
        WrongIdentity, UnknownFormat: named refusals.
        JournalDamaged: something that may have been acknowledged cannot be read.
        JournalBroken: the device failed while recovering.

    """
    # First of all, and durably: everything else in the directory is judged by it, and whatever is
    # found beside a missing identity has lived (see `identity`).
    kept = load_identity(disk, directory)
    if kept is None:
        save_identity(disk, directory, identity)
    elif (kept.cluster_id, kept.member_id) != (identity.cluster_id, identity.member_id):
        text = f"member {kept.member_id:x} of cluster {kept.cluster_id:x}"
        raise WrongIdentity(f"{directory} belongs to {text}")
    opening = _Opening(directory, kept or identity, disk, held or Position(-1, 0), begins_at)
    try:
        return opening.run(may_lose_tail=may_lose_tail)
    except OSError as error:
        raise JournalBroken(f"recovery of {directory}: {error}") from error


class _Opening:
    """The steps of opening one journal, and what they have come to so far."""

    def __init__(
        self, directory: Path, identity: Identity, disk: Disk, held: Position, begins_at: int
    ) -> None:
        """Open the records; nothing is read."""
        self._directory = directory
        self._wal = directory / "wal"
        self._identity = identity
        self._disk = disk
        self._held = held
        self._begins_at = begins_at
        self._hard = HardRecord(disk, directory)
        self._manifest = ManifestRecord(disk, directory)
        self._segments: list[Segment] = []
        self._index = Index()
        self._kept: tuple[Entry, ...] = ()

    def run(self, *, may_lose_tail: bool) -> Opened:
        """All of it."""
        hard, manifest = self._hard, self._manifest
        self._disk.make_directory(self._wal)
        # Term and vote before any entry: an entry of a term above it was never elected for, and
        # tells that the two do not belong together.
        hard.load()
        manifest.load(self._disk.boot_id(self._wal))
        runs = self._read_segments()
        # Term and vote are not read again from anywhere before they are promised upon: where the
        # stop was not clean, what was read may be the cache's alone (J17).
        hard.save_again(always=not manifest.was_clean)
        self._decide(runs, may_lose_tail=may_lose_tail)
        index = self._index
        last_term = index.terms[-1] if index.terms else index.base_term
        if self._kept:
            last_term = self._kept[-1].term
        hard.resume(index.base_term, last_term)
        # The manifest first: a crash in between leaves files that nobody names, and the next
        # start puts them aside.  The other way round it would miss files that it names.
        manifest.save(self._segments, is_clean=False, is_certain=index.is_certain)
        # Last, when the manifest that does not name them is durable: until then they may be named
        # by the old one.
        self._put_aside_unknown_files()
        return Opened(
            identity=self._identity,
            index=index,
            segments=self._segments,
            hard=hard,
            manifest=manifest,
            kept=self._kept,
        )

    def _read_segments(self) -> list[Run]:
        """Open every segment of the manifest, and put together what they hold."""
        manifest = self._manifest
        names = manifest.held.segments
        # The oldest segment may begin before the floor: it goes when nothing in it is kept.
        base = names[0].first_index - 1 if names else manifest.held.floor_index
        replay = Replay(base, self._hard.held.term)
        if not names:
            replay.runs[0].index.base_term = manifest.held.floor_term
        opened = [self._open_segment(name) for name in names]
        for position, segment in enumerate(opened):
            # Noted and read on: what lies behind a lost segment may be all that is needed, when the
            # store has the rest.
            if isinstance(segment, JournalDamaged):
                replay.note_hole(segment)
                continue
            self._segments.append(segment)
            following = opened[position + 1] if position + 1 < len(opened) else None
            is_newest = position + 1 == len(opened)
            # Without the segment behind it nobody says how many frames there were.
            count = following.frames_before if isinstance(following, Segment) else None
            reader = SegmentReader(
                segment, is_clean=manifest.was_clean, is_cache_alive=manifest.is_cache_alive
            )
            found = reader.recover(count)
            for item in found:
                replay.take(segment, item)
            reader.repair()
            # Only the newest segment was being written: it was synced before the next was made,
            # so what an older one says does not stand in the cache alone.
            if is_newest and not manifest.was_clean:
                reader.rewrite_tail(found)
        return replay.runs

    def _open_segment(self, name: SegmentName) -> Segment | JournalDamaged:
        """A segment of the manifest, or what is wrong with it."""
        path = segments.segment_path(self._wal, name.sequence, name.first_index)
        if not self._disk.exists(path):
            return JournalDamaged(path, 0, 0, "the file is missing")
        try:
            segment = segments.open_segment(self._disk, path, self._identity)
        except JournalDamaged as damage:
            return damage
        if segment.epoch != name.epoch:
            # A file put back from a copy, say: its entries were acknowledged once, but others
            # may have taken their places since.
            return JournalDamaged(path, 0, 0, "the file is of another life of this journal")
        return segment

    def _decide(self, runs: list[Run], *, may_lose_tail: bool) -> None:
        """Decide what the log is, from what could be read of it."""
        held, newest = self._held, runs[-1]
        # The store applies only what the journal has made durable.  A store that is ahead has
        # seen entries that are gone from here without a trace: a disk that lied about a sync.
        # It may be ahead where it began with that entry: what a snapshot brings was never here.
        if newest.hole is None and newest.index.last < held.index != self._begins_at:
            fact = f"the log ends at {newest.index.last}, the store holds {held.index}"
            newest.hole = JournalDamaged(self._wal, 0, 0, fact)
        kept = self._manifest.held
        floor = Position(kept.floor_index, kept.floor_term)
        behind = max(floor, held, key=lambda it: (it.index, it.term))
        has_gap = len(runs) > 1
        # A gap of which the store holds everything is none: the run behind it is the log.
        if newest.hole is None and (not has_gap or newest.index.base <= behind.index):
            self._index = index = newest.index
            if has_gap or any(it <= held.index for it in index.damaged):
                floor = behind
            self._begin_at_floor(floor)
            if has_gap:
                self._leave_segments_before_gap()
            if index.damaged:
                text = "%d entries from %d on are damaged; the other members will be asked"
                logger.warning(text, len(index.damaged), min(index.damaged))
            return
        damage = newest.hole or runs[-2].hole
        assert damage is not None, "something is missing"
        # Where there is nobody else to ask, what was lost stays lost: then a human decides
        # (`accept_loss`, J22), and no start does.
        if not may_lose_tail:
            raise damage
        logger.error("the end of the log is lost: %s", damage)
        self._begin_anew(runs, behind)

    def _begin_at_floor(self, floor: Position) -> None:
        """Forget what lies at or below the floor."""
        index = self._index
        # The floor is above all there is: a snapshot was installed, or the store has everything.
        # Nothing of the segments counts, and what is behind the floor is still to come.
        if floor.index > index.last:
            if index.last > index.base or floor.index < index.base:
                self._put_aside_all()
                self._index = Index(floor.index, floor.term)
        elif floor.index >= index.base:
            index.drop_to(floor.index)
            index.base_term = floor.term
        # Between the floor and the first entry some are missing, and the manifest says that they
        # are kept: a whole segment went without a trace.
        elif self._segments:
            fact = f"entries {index.base + 1} … {index.last} do not reach floor {floor.index}"
            raise JournalDamaged(self._segments[0].path, 0, 0, fact)
        self._manifest.note_floor(self._index.base, self._index.base_term)

    def _leave_segments_before_gap(self) -> None:
        """What lies before a gap is not needed; the gap must not be met again."""
        index = self._index
        # Nothing lies behind the gap: the store has all there ever was.
        if index.last == index.base:
            self._put_aside_all()
            return
        # They are left out of the manifest, not cut to size: a segment is dropped whole, or kept.
        first = index.place(index.base + 1).sequence
        for segment in self._segments:
            if segment.sequence < first and segment.file is not None:
                segment.file.close()
        self._segments = [it for it in self._segments if it.sequence >= first]

    def _begin_anew(self, runs: list[Run], floor: Position) -> None:
        """Begin anew with what is left behind `floor`, fenced.

        Only what follows the floor without a gap is of use, and only to the first damaged entry:
        the log that is gone on with has neither holes nor damaged entries.  The rest comes back
        from a leader, like everything that this member has forgotten.
        """
        for run in runs:
            index = run.index
            last = min(index.damaged, default=index.last + 1) - 1
            if index.base <= floor.index < last:
                first = floor.index + 1
                # Read into memory before the files are put aside, and written again as if they had
                # just come: the new log has one history, in files of one life.
                self._kept = read_entries(index, self._segments, first, last + 1, _EVERYTHING)
        self._put_aside_all()
        self._index = Index(floor.index, floor.term)
        self._manifest.note_floor(floor.index, floor.term)
        # From here on the fence outlives every restart.  If the power goes before what was
        # kept is written again, less is left, and the fence says so already.
        self._manifest.note_fence(is_fenced=True)

    def _put_aside_all(self) -> None:
        """Close every segment; the manifest will not name them, so they go to `lost/`."""
        for segment in self._segments:
            if segment.file is not None:
                segment.file.close()
        self._segments = []

    def _put_aside_unknown_files(self) -> None:
        """Move files that the manifest does not name to `lost/`; a spare is just remade."""
        disk, wal = self._disk, self._wal
        known = {segment.path.name for segment in self._segments}
        lost = self._directory / "lost"
        for name in disk.list_directory(wal):
            # Half written or whole, it holds zeros, and nobody knows how many are on the disk.
            if name == SPARE_NAME:
                disk.unlink(wal / name)
            elif name not in known:
                disk.make_directory(lost)
                # Names come again after a loss: what was put aside before stays, too.
                disk.rename(wal / name, lost / f"{self._manifest.held.starts}-{name}")
                # The new name first: a crash between the two may leave both, never neither.
                disk.sync_directory(lost)
                disk.sync_directory(wal)
