"""The journal: entries, hard state and the catalogue of segments, durable in order.

    <directory>/LOCK  identity.a .b  hard.a .b  catalog.a .b  wal/*.wal  wal/spare.tmp

A batch is written in three steps, so that a slow disk can be given a thread of its own:

    prepare   in the loop: decides where every frame goes, updates the index in memory
    write     all device work: hard state first (both copies), then frames, slots, one fdatasync;
              a full segment is synced before the next is made and catalogued
    finish    in the loop: `durable_index` moves; only now may anybody be promised anything

`persist` is the three in one.  Truncation is a TRUNCATE record in the same batch as the entries
that replace what it drops.  The first error of the device poisons the journal for good (J15).

The catalogue says which files count: {segments: [{sequence, first_index, epoch}], floor_index,
floor_term, clean, boot, starts, is_fenced}.  Files it does not name are moved to `lost/`, never
deleted (J30).  `boot` tells whether the page cache has survived since; `starts` counts openings.

Damage (see `recovery`) is met in this order:

    below what the store holds    not needed: the journal begins behind it
    an entry whose slot is good   `faulty`: it keeps its place and its vote; peers bring it back
    anything else                 the end of the log is lost, and nobody knows how much was
                                  promised: the journal is *fenced*.  Its member may not vote
                                  before it holds an entry of a leader's own term, which proves
                                  that it holds everything that was ever committed
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EIO
from pathlib import Path

import msgspec
from crc32c import crc32c

from roost.errors import UNDECODABLE
from roost.journal import segment as segments
from roost.journal.disk import Disk, File, OsDisk
from roost.journal.errors import (
    EntryTooLarge,
    JournalBroken,
    JournalDamaged,
    WrongIdentity,
)
from roost.journal.hard_state import HardRecord
from roost.journal.identity import Identity, load_identity, lock_directory, save_identity
from roost.journal.index import Fault, Index, Place
from roost.journal.record import (
    FRAME_HEAD_BYTES,
    PAYLOAD_BYTES_MAX,
    TRUNCATE,
    encode_frame,
    encode_slot,
    frame_bytes,
    padding,
)
from roost.journal.recovery import SegmentReader, find_fault
from roost.journal.replay import Replay, Run
from roost.journal.segment import Segment
from roost.journal.spare import Spare
from roost.journal.twin import Twin
from roost.raft.types import Count, Entry, EntryKind, HardState, Id

logger = logging.getLogger(__name__)
_KINDS = tuple(EntryKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalConfig:
    """Sizes in bytes; `entropy` draws a segment's epoch."""

    segment_bytes: int = 16 << 20
    slot_count: int = 32_768
    prepares_ahead: bool = True
    entropy: Callable[[], int] = field(default=lambda: secrets.randbits(64))


class SegmentName(msgspec.Struct, frozen=True):
    """A segment as the catalogue names it."""

    sequence: Count
    first_index: Count
    epoch: Id


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Which segments count, and the entry just below the oldest one kept."""

    segments: tuple[SegmentName, ...] = ()
    floor_index: Count = 0
    floor_term: Count = 0
    clean: bool = False
    boot: str = ""
    starts: Count = 0
    is_fenced: bool = False


@dataclass(slots=True)
class Write:
    """The part of a batch that goes into one segment."""

    segment: Segment
    is_new: bool
    frames_offset: int
    slots_offset: int
    frames: list[bytes] = field(default_factory=list)
    slots: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """What `prepare` decided and `write` carries out."""

    hard_state: HardState | None
    writes: list[Write]
    last_index: int


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """A frozen view of the journal."""

    first_index: int
    last_index: int
    durable_index: int
    segment_count: int
    file_bytes: int


class Journal:
    """One member's durable log; satisfies `raft.Storage`.  One owner, one thread at a time."""

    def __init__(
        self, directory: Path, identity: Identity, disk: Disk, config: JournalConfig, lock: File
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._wal = directory / "wal"
        self.identity = identity
        self._disk = disk
        self._config = config
        self._lock = lock
        self._hard = HardRecord(disk, directory)
        self._catalog_files = Twin(disk, directory, "catalog")
        self._catalog = Catalog()
        self._boot = ""
        self._begins_at = 0
        self._segments: list[Segment] = []
        self.hard_state = HardState()
        self._index = Index()
        self.durable_index = 0
        self._broken: BaseException | None = None
        self.spare = Spare(
            disk,
            self._wal / "spare.tmp",
            config.segment_bytes,
            is_made_ahead=config.prepares_ahead,
        )

    # --- opening -----------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        identity: Identity,
        disk: Disk | None = None,
        config: JournalConfig | None = None,
        held: tuple[int, int] | None = None,
        begins_at: int = 0,
        may_lose_tail: bool = False,
        lock: File | None = None,
    ) -> "Journal":
        """Open or create the journal of `identity`, recovering whatever a crash left.

        `lock` is the directory's, where the caller has taken it; it is closed with the journal.

        `held` is the index and term up to which the store has everything durably: damage below
        is of no interest.  A store that is ahead of the log proves that the log's end is lost,
        unless it began with that entry, `begins_at`.  With `may_lose_tail` a log whose end is
        lost opens fenced, with what is left of it; without, it does not open.

        Raises:
            DirectoryLocked, UnsafePermissions, WrongIdentity, UnknownFormat: named refusals.
            JournalDamaged: something that may have been acknowledged cannot be read.
            JournalBroken: the device failed while recovering.

        """
        disk = disk or OsDisk()
        lock = lock or lock_directory(disk, directory)
        try:
            kept = load_identity(disk, directory)
            if kept is None:
                save_identity(disk, directory, identity)
            elif (kept.cluster_id, kept.member_id) != (identity.cluster_id, identity.member_id):
                text = f"member {kept.member_id:x} of cluster {kept.cluster_id:x}"
                raise WrongIdentity(f"{directory} belongs to {text}")
            journal = cls(directory, kept or identity, disk, config or JournalConfig(), lock)
            journal._begins_at = begins_at
            journal._recover(held, may_lose_tail=may_lose_tail)
        except BaseException:
            lock.close()
            raise
        return journal

    def _recover(self, held: tuple[int, int] | None, *, may_lose_tail: bool) -> None:
        disk = self._disk
        try:
            disk.make_directory(self._wal)
            self.hard_state = self._hard.load()
            catalog = self._catalog_files.load()
            if catalog is not None:
                self._catalog = _read_catalog(catalog, self._directory)
            boot = self._boot = disk.boot_id(self._wal)
            was_clean = self._catalog.clean or catalog is None
            runs = self._read_segments(
                is_clean=was_clean, is_cache_alive=bool(boot) and self._catalog.boot == boot
            )
            self._hard.save_again(always=not was_clean)
            starts = self._catalog.starts + 1
            self._catalog = msgspec.structs.replace(self._catalog, starts=starts)
            self._settle(runs, held or (-1, 0), may_lose_tail=may_lose_tail)
            index = self._index
            last_term = index.terms[-1] if index.terms else index.base_term
            self.hard_state = self._hard.settle(index.base_term, last_term)
            self._save_catalog(clean=False)
            self._put_aside_unknown_files()
        except OSError as error:
            raise JournalBroken(f"recovery of {self._directory}: {error}") from error
        self.durable_index = self.last_index
        self.spare.prepare()

    def _read_segments(self, *, is_clean: bool, is_cache_alive: bool) -> list[Run]:
        """Open every segment of the catalogue, and put together what they hold."""
        names = self._catalog.segments
        base = names[0].first_index - 1 if names else self._catalog.floor_index
        replay = Replay(base, self.hard_state.term)
        if not names:
            replay.runs[0].index.base_term = self._catalog.floor_term
        opened = [self._open_segment(name) for name in names]
        for position, segment in enumerate(opened):
            if isinstance(segment, JournalDamaged):
                replay.note_hole(segment)
                continue
            self._segments.append(segment)
            following = opened[position + 1] if position + 1 < len(opened) else None
            is_newest = position + 1 == len(opened)
            # Without the segment behind it nobody says how many frames there were.
            count = following.frames_before if isinstance(following, Segment) else None
            reader = SegmentReader(segment, is_clean=is_clean, is_cache_alive=is_cache_alive)
            found = reader.recover(count)
            for item in found:
                replay.take(segment, item)
            reader.repair()
            if is_newest and not is_clean:
                reader.rewrite_tail(found)
        return replay.runs

    def _open_segment(self, name: SegmentName) -> Segment | JournalDamaged:
        """A segment of the catalogue, or what is wrong with it."""
        path = segments.segment_path(self._wal, name.sequence, name.first_index)
        if not self._disk.exists(path):
            return JournalDamaged(path, 0, 0, "the file is missing")
        try:
            segment = segments.open_segment(self._disk, path, self.identity)
        except JournalDamaged as damage:
            return damage
        if segment.epoch != name.epoch:
            return JournalDamaged(path, 0, 0, "the file is of another life of this journal")
        return segment

    def _settle(self, runs: list[Run], held: tuple[int, int], *, may_lose_tail: bool) -> None:
        """Decide what the log is, from what could be read of it."""
        newest = runs[-1]
        if newest.hole is None and newest.index.last < held[0] != self._begins_at:
            fact = f"the log ends at {newest.index.last}, the store holds {held[0]}"
            newest.hole = JournalDamaged(self._wal, 0, 0, fact)
        floor = self._catalog.floor_index, self._catalog.floor_term
        has_gap = len(runs) > 1
        if newest.hole is None and (not has_gap or newest.index.base <= max(floor, held)[0]):
            self._index = index = newest.index
            if has_gap or any(it <= held[0] for it in index.faulty):
                floor = max(floor, held)
            self._begin_at_floor(floor)
            if has_gap:
                self._leave_segments_before_gap()
            if index.faulty:
                text = "%d entries from %d on are damaged; the other members will be asked"
                logger.warning(text, len(index.faulty), min(index.faulty))
            return
        damage = newest.hole or runs[-2].hole
        assert damage is not None, "something is missing"
        if not may_lose_tail:
            raise damage
        logger.error("the end of the log is lost: %s", damage)
        self._salvage(runs, max(held, floor))

    def _begin_at_floor(self, floor: tuple[int, int]) -> None:
        """Forget what lies at or below the floor."""
        index = self._index
        if floor[0] > index.last:
            if index.last > index.base or floor[0] < index.base:
                self._put_aside_all()
                self._index = Index(*floor)
        elif floor[0] >= index.base:
            index.drop_to(floor[0])
            index.base_term = floor[1]
        elif self._segments:
            fact = f"entries {index.base + 1} … {index.last} do not reach floor {floor[0]}"
            raise JournalDamaged(self._segments[0].path, 0, 0, fact)
        self._catalog = msgspec.structs.replace(
            self._catalog, floor_index=self._index.base, floor_term=self._index.base_term
        )

    def _leave_segments_before_gap(self) -> None:
        """What lies before a gap is not needed; the gap must not be met again."""
        index = self._index
        if index.last == index.base:
            self._put_aside_all()
            return
        first = index.place(index.base + 1).sequence
        for segment in self._segments:
            if segment.sequence < first and segment.file is not None:
                segment.file.close()
        self._segments = [it for it in self._segments if it.sequence >= first]

    def _salvage(self, runs: list[Run], floor: tuple[int, int]) -> None:
        """Begin anew with what is left behind `floor`, fenced."""
        kept: tuple[Entry, ...] = ()
        self._catalog = msgspec.structs.replace(self._catalog, is_fenced=True)
        for run in runs:
            index = run.index
            last = min(index.faulty, default=index.last + 1) - 1
            if index.base <= floor[0] < last:
                self._index = index
                kept = self.entries(floor[0] + 1, last + 1, 1 << 40)
        self._put_aside_all()
        self._index = Index(*floor)
        self._catalog = msgspec.structs.replace(
            self._catalog, floor_index=floor[0], floor_term=floor[1]
        )
        self._save_catalog(clean=False)
        self._put_aside_unknown_files()
        if kept:
            self.persist(None, kept)

    def _put_aside_all(self) -> None:
        """Close every segment; the catalogue will not name them, so they go to `lost/`."""
        for segment in self._segments:
            if segment.file is not None:
                segment.file.close()
        self._segments = []

    def _put_aside_unknown_files(self) -> None:
        """Move files that the catalogue does not name to `lost/`; a spare is just remade."""
        known = {segment.path.name for segment in self._segments}
        lost = self._directory / "lost"
        for name in self._disk.list_directory(self._wal):
            if name == self.spare.path.name:
                self._disk.unlink(self.spare.path)
            elif name not in known:
                self._disk.make_directory(lost)
                # Names come again after a loss: what was put aside before stays, too.
                self._disk.rename(self._wal / name, lost / f"{self.starts}-{name}")
                self._disk.sync_directory(lost)
                self._disk.sync_directory(self._wal)

    # --- reading -----------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """The oldest entry kept; last_index + 1 when there is none."""
        return self._index.base + 1

    @property
    def last_index(self) -> int:
        """The newest entry, durable or being written."""
        return self._index.last

    def term_at(self, index: int) -> int | None:
        """The term of an entry or of the one just below the first; None when not known."""
        return self._index.term_at(index)

    @property
    def faulty(self) -> Mapping[int, Fault]:
        """Entries whose payload is damaged here, by their position in the log."""
        return self._index.faulty

    @property
    def first_faulty(self) -> int:
        """The oldest entry whose payload is damaged here; 0 when there is none."""
        return min(self._index.faulty, default=0)

    @property
    def is_fenced(self) -> bool:
        """Whether the end of the log was lost, and with it what was promised."""
        return self._catalog.is_fenced

    @property
    def starts(self) -> int:
        """How often this journal was opened."""
        return self._catalog.starts

    def damage_at(self, index: int) -> JournalDamaged:
        """What is wrong with a damaged entry, as an error that says what can be done."""
        place = self._index.place(index)
        segment = next(it for it in self._segments if it.sequence == place.sequence)
        position = self._index.faulty[index].position
        fact = f"entry {index} of term {place.term} is damaged"
        return JournalDamaged(segment.path, position, place.offset, fact)

    def place(self, index: int) -> Place:
        """The identity of an entry that is kept, and where it lies."""
        return self._index.place(index)

    def changes_after(self, index: int) -> list[int]:
        """Where changes of the configuration stand behind `index`, whether they can be read."""
        first = max(index, self._index.base) + 1
        kinds = self._index.kinds_from(first)
        return [
            first + position
            for position, kind in enumerate(kinds)
            if kind == EntryKind.CONFIGURATION
        ]

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Read entries from the file up to `bytes_max` of payload, at least one.

        They end before the first damaged one, which may be the first.  Damage that nobody knew
        of is noted in `faulty`.
        """
        assert self.first_index <= first < stop <= self.last_index + 1, "entries that are kept"
        by_sequence = {segment.sequence: segment for segment in self._segments}
        found: list[Entry] = []
        size = 0
        for index in range(first, stop):
            place = self._index.place(index)
            size += place.length
            if (found and size > bytes_max) or index in self._index.faulty:
                break
            segment = by_sequence[place.sequence]
            assert segment.file is not None, "a segment with entries is open"
            payload = _read_payload(segment.file, place)
            if payload is None:
                self._note_fault(index, segment, place)
                break
            found.append(Entry(index, place.term, _KINDS[place.kind], payload))
        return tuple(found)

    def _note_fault(self, index: int, segment: Segment, place: Place) -> None:
        """An entry that was good when the journal was opened is not any more."""
        fault = find_fault(segment, place)
        if fault is None:
            raise JournalDamaged(segment.path, 0, place.offset, "the payload and its slot changed")
        logger.error("entry %d has changed on the disk: %s", index, segment.path.name)
        self._index.faulty[index] = fault

    # --- repairing -----------------------------------------------------------------------------

    def mend(self, index: int, payload: bytes) -> bool:
        """Write a damaged entry anew, durably; False when the payload is not that entry's.

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        fault, place = self._index.faulty[index], self._index.place(index)
        if (len(payload), crc32c(payload)) != (place.length, place.payload_crc):
            return False
        segment = next(it for it in self._segments if it.sequence == place.sequence)
        frame = (place.kind, index, place.term, place.length, place.payload_crc)
        head = encode_frame((*frame, fault.chain, fault.position, fault.batch_delta), segment.epoch)
        with self._poisoned_by_errors():
            assert segment.file is not None, "a segment with entries is open"
            segment.file.pwrite([head, payload, padding(place.length)], place.offset)
            segment.file.sync_data()
        del self._index.faulty[index]
        return True

    def drop_from(self, index: int) -> None:
        """Forget entries from `index` on, durably: nobody was ever promised them.

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        assert index > self._index.base, "what was compacted is committed and never dropped"
        writes: list[Write] = []
        term = self._index.terms[index - self._index.base - 1]
        self._truncate_index(index)
        self._place(writes, TRUNCATE, index, term, b"")
        batch = Batch(None, writes, self.last_index)
        self.write(batch)
        self.finish(batch)

    def lift_fence(self) -> None:
        """The log holds everything again that this member ever promised."""
        with self._poisoned_by_errors():
            self._catalog = msgspec.structs.replace(self._catalog, is_fenced=False)
            self._save_catalog(clean=False)

    def raise_fence(self) -> None:
        """The end of the log is found to be lost: remember it durably."""
        with self._poisoned_by_errors():
            self._catalog = msgspec.structs.replace(self._catalog, is_fenced=True)
            self._save_catalog(clean=False)

    @property
    def is_marked(self) -> bool:
        """Whether the newest segment says that all its frames are durable."""
        newest = self._segments[-1] if self._segments else None
        return newest is None or newest.marked == newest.position

    def prepare_mark(self) -> Callable[[], None]:
        """Decide what is durable now, so that damage is never taken for torn; return the work.

        Not while a batch is being written in another thread.  The work may run in that thread;
        it raises JournalBroken when the device fails.
        """
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.file is None or self.durable_index < self.last_index:
            return lambda: None
        file, epoch, count = newest.file, newest.epoch, newest.position
        newest.marked = count

        def work() -> None:
            with self._poisoned_by_errors():
                segments.write_mark(file, epoch, count)

        return work

    def _refuse_when_broken(self) -> None:
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken

    @contextmanager
    def _poisoned_by_errors(self) -> Iterator[None]:
        """The first error of the device is the last thing the journal does (J15)."""
        self._refuse_when_broken()
        try:
            yield
        except BaseException as error:
            self._broken = error
            if isinstance(error, OSError):
                raise JournalBroken(f"{self._directory}: {error}") from error
            raise

    # --- writing -----------------------------------------------------------------------------

    def prepare(self, hard_state: HardState | None, entries: Sequence[Entry]) -> Batch:
        """Decide where `entries` go; truncates first when they begin at or below the end.

        Raises:
            EntryTooLarge: a payload is larger than PAYLOAD_BYTES_MAX; nothing was changed.
            JournalBroken: an earlier write failed.

        """
        self._refuse_when_broken()
        for entry in entries:
            if len(entry.payload) > PAYLOAD_BYTES_MAX:
                raise EntryTooLarge(f"entry {entry.index} has {len(entry.payload)} bytes")
        if hard_state is not None:
            assert hard_state.term >= self.hard_state.term, "terms never decrease"
            self.hard_state = hard_state
        writes: list[Write] = []
        last_index = self.last_index
        if entries and entries[0].index <= last_index:
            first = entries[0].index
            assert first > self._index.base, "what was compacted is committed and never truncated"
            self._truncate_index(first)
            self._place(writes, TRUNCATE, first, entries[0].term, b"")
            last_index = first - 1
        for entry in entries:
            last_index += 1
            assert entry.index == last_index, "entries are contiguous"
            self._place(writes, entry.kind, entry.index, entry.term, entry.payload)
        return Batch(hard_state, writes, last_index)

    def _place(self, writes: list[Write], kind: int, index: int, term: int, payload: bytes) -> None:
        """Give one frame its place in the newest segment, or in a new one."""
        length = len(payload)
        if not self._segments or not self._segments[-1].has_room(length):
            writes.append(self._roll(index, length))
        segment = self._segments[-1]
        if not writes or writes[-1].segment is not segment:
            slots_offset = segment.slot_offset(segment.position)
            writes.append(Write(segment, False, segment.offset, slots_offset))
        write = writes[-1]
        payload_crc = crc32c(payload)
        delta = len(write.slots)
        position, offset, epoch = segment.position, segment.offset, segment.epoch
        frame = (kind, index, term, length, payload_crc, segment.chain, position, delta)
        write.frames.append(encode_frame(frame, epoch))
        if length:
            write.frames.append(payload)
            if length & 7:
                write.frames.append(padding(length))
        slot = (index, term, offset, length, payload_crc, delta, kind)
        write.slots.append(encode_slot(slot, epoch))
        segment.position = position + 1
        segment.offset = offset + frame_bytes(length)
        segment.chain = payload_crc
        if kind != TRUNCATE:
            self._index.append((segment.sequence, offset, length, payload_crc, term, kind))

    def _roll(self, index: int, length: int) -> Write:
        """Begin the next segment in memory; `write` makes its file."""
        config = self._config
        before = self._segments[-1] if self._segments else None
        sequence = before.sequence + 1 if before else 1
        segment = Segment(
            segments.segment_path(self._wal, sequence, index),
            sequence,
            config.entropy(),
            index,
            config.slot_count,
            segments.size_for(length, config.slot_count, config.segment_bytes),
            before.position if before else 0,
        )
        self._segments.append(segment)
        return Write(segment, True, segment.offset, segment.slot_offset(0))

    def write(self, batch: Batch) -> None:
        """Do the device work of a batch; durable on return.

        May run in a thread of its own, one batch at a time, in the order of `prepare`.

        Raises:
            JournalBroken: final; the process must end.

        """
        with self._poisoned_by_errors():
            if batch.hard_state is not None:
                self._hard.save(batch.hard_state)
            for write in batch.writes:
                if write.is_new:
                    self._install(write.segment)
                file = write.segment.file
                assert file is not None, "the segment was made before"
                file.pwrite(write.frames, write.frames_offset)
                file.pwrite(write.slots, write.slots_offset)
                file.sync_data()

    def finish(self, batch: Batch) -> None:
        """The batch is written: what it holds may be promised."""
        # A later batch may already have truncated part of this one.
        self.durable_index = min(batch.last_index, self.last_index)

    def persist(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Prepare, write and finish at once."""
        batch = self.prepare(hard_state, entries)
        self.write(batch)
        self.finish(batch)

    def _install(self, segment: Segment) -> None:
        """Make the file of a new segment and put it into the catalogue, durably."""
        self.spare.install(segment, self.identity)
        self._save_catalog(clean=False, up_to=segment.sequence)
        self.spare.prepare()

    def _save_catalog(self, *, clean: bool, up_to: int | None = None) -> None:
        named = tuple(
            SegmentName(segment.sequence, segment.first_index, segment.epoch)
            for segment in self._segments
            if segment.file is not None and (up_to is None or segment.sequence <= up_to)
        )
        # What a power cut left in doubt stays in doubt until it is settled.
        is_settled = all(fault.is_certain for fault in self._index.faulty.values())
        boot = self._boot if is_settled else self._catalog.boot
        self._catalog = msgspec.structs.replace(
            self._catalog, segments=named, clean=clean and is_settled, boot=boot
        )
        self._catalog_files.save(msgspec.json.encode(self._catalog))

    # --- truncating and compacting -------------------------------------------------------------

    def _truncate_index(self, index: int) -> None:
        """Forget entries from `index` on."""
        self._index.truncate(index)
        self.durable_index = min(self.durable_index, self.last_index)

    def compact(self, index: int) -> None:
        """Drop whole segments that hold nothing above `index`; the catalogue goes first (J30).

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        self._refuse_when_broken()
        index = min(index, self.durable_index - 1)
        if index < self.first_index:
            return
        keep = self._index.place(index + 1).sequence
        dropped = [segment for segment in self._segments if segment.sequence < keep]
        if not dropped:
            return
        self._index.drop_to(self._index.first_of(keep) - 1)
        self._segments = self._segments[len(dropped) :]
        self._catalog = msgspec.structs.replace(
            self._catalog, floor_index=self._index.base, floor_term=self._index.base_term
        )
        with self._poisoned_by_errors():
            self._save_catalog(clean=False)
            self._discard(dropped)

    def begin_behind(self, index: int, term: int) -> None:
        """Forget every entry: the next one follows (index, term), which a snapshot holds.

        Done at once when the catalogue is saved; a crash before leaves the old entries, one
        after leaves files that the next start puts aside (checklist 110).

        Raises:
            JournalBroken: the device failed.

        """
        self._refuse_when_broken()
        dropped, self._segments = self._segments, []
        self._index = Index(index, term)
        self.durable_index = index
        self._catalog = msgspec.structs.replace(self._catalog, floor_index=index, floor_term=term)
        with self._poisoned_by_errors():
            if self.hard_state.term < term:
                self.hard_state = HardState(term=term)
                self._hard.save(self.hard_state)
            self._save_catalog(clean=False)
            self._discard(dropped)

    def _discard(self, dropped: Sequence[Segment]) -> None:
        """Remove the files of segments that the catalogue does not name any more."""
        for segment in dropped:
            if segment.file is not None:
                segment.file.close()
                self._disk.unlink(segment.path)
        self._disk.sync_directory(self._wal)

    # --- the rest --------------------------------------------------------------------------------

    def statistics(self) -> JournalStatistics:
        """A frozen view."""
        return JournalStatistics(
            self.first_index,
            self.last_index,
            self.durable_index,
            len(self._segments),
            sum(segment.size for segment in self._segments),
        )

    def abandon(self) -> None:
        """Close the files and write nothing more."""
        self._broken = self._broken or JournalBroken("the journal was closed")
        self.close()

    def close(self) -> None:
        """Close the files; a journal that is not broken is marked as stopped in order."""
        self.spare.close()
        if self._broken is None:
            self.prepare_mark()()
            self._save_catalog(clean=True)
        for segment in self._segments:
            if segment.file is not None:
                segment.file.close()
        self._hard.close()
        self._catalog_files.close()
        self._lock.close()


def _read_catalog(body: bytes, directory: Path) -> Catalog:
    try:
        return msgspec.json.decode(body, type=Catalog)
    except UNDECODABLE as error:
        raise JournalDamaged(directory / "catalog.a", 0, 0, f"the catalogue: {error}") from error


def _read_payload(file: File, place: Place) -> bytes | None:
    """An entry's payload; None when it is not what it was."""
    try:
        payload = file.pread(place.length, place.offset + FRAME_HEAD_BYTES)
    except OSError as error:
        if error.errno != EIO:
            raise
        return None
    if len(payload) != place.length or crc32c(payload) != place.payload_crc:
        return None
    return payload
