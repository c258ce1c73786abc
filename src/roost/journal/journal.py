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
floor_term, clean}.  Files it does not name are moved to `lost/`, never deleted (J30).
"""

import secrets
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from crc32c import crc32c

from roost.journal import segment as segments
from roost.journal.disk import Disk, File, OsDisk
from roost.journal.errors import (
    EntryTooLarge,
    JournalBroken,
    JournalDamaged,
    UnsafePermissions,
    WrongIdentity,
)
from roost.journal.identity import Identity, load_identity, lock_directory, save_identity
from roost.journal.record import (
    FRAME_HEAD_BYTES,
    PAYLOAD_BYTES_MAX,
    TRUNCATE,
    encode_frame,
    encode_slot,
    frame_bytes,
    padding,
)
from roost.journal.recovery import Recovered, SegmentReader
from roost.journal.segment import Segment
from roost.journal.twin import Twin
from roost.raft.types import Entry, EntryKind, HardState

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

    sequence: int
    first_index: int
    epoch: int


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Which segments count, and the entry just below the oldest one kept."""

    segments: tuple[SegmentName, ...] = ()
    floor_index: int = 0
    floor_term: int = 0
    clean: bool = False


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
        self._spare_path = self._wal / "spare.tmp"
        self.identity = identity
        self._disk = disk
        self._config = config
        self._lock = lock
        self._hard = Twin(disk, directory, "hard")
        self._catalog_files = Twin(disk, directory, "catalog")
        self._catalog = Catalog()
        self._segments: list[Segment] = []
        self.hard_state = HardState()
        # The index: entry `_base + 1 + i` is at position i of each array.
        self._base = 0
        self._base_term = 0
        self._terms = array("Q")
        self._sequences = array("Q")
        self._offsets = array("Q")
        self._lengths = array("I")
        self._crcs = array("I")
        self._kind_bytes = bytearray()
        self.durable_index = 0
        self._broken: BaseException | None = None
        self._maker = ThreadPoolExecutor(1, "segments") if config.prepares_ahead else None
        self._spare: Future[None] | None = None

    # --- opening -----------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        identity: Identity,
        disk: Disk | None = None,
        config: JournalConfig | None = None,
    ) -> "Journal":
        """Open or create the journal of `identity`, recovering whatever a crash left.

        Raises:
            DirectoryLocked, UnsafePermissions, WrongIdentity, UnknownFormat: named refusals.
            JournalDamaged: something that may have been acknowledged cannot be read.
            JournalBroken: the device failed while recovering.

        """
        disk = disk or OsDisk()
        lock = lock_directory(disk, directory)
        try:
            held = load_identity(disk, directory)
            if held is None:
                save_identity(disk, directory, identity)
            elif (held.cluster_id, held.member_id) != (identity.cluster_id, identity.member_id):
                text = f"member {held.member_id:x} of cluster {held.cluster_id:x}"
                raise WrongIdentity(f"{directory} belongs to {text}")
            journal = cls(directory, held or identity, disk, config or JournalConfig(), lock)
            journal._recover()
        except BaseException:
            lock.close()
            raise
        return journal

    def _recover(self) -> None:
        disk = self._disk
        try:
            disk.make_directory(self._wal)
            hard = self._hard.load()
            if hard is not None:
                self.hard_state = msgspec.json.decode(hard, type=HardState)
            catalog = self._catalog_files.load()
            if catalog is not None:
                self._catalog = msgspec.json.decode(catalog, type=Catalog)
            was_clean = self._catalog.clean or catalog is None
            self._read_segments(is_clean=was_clean)
            if not was_clean:
                # J17: the caches may hold what the disk does not; the same bytes go there again.
                self._hard.save(msgspec.json.encode(self.hard_state))
            self._save_catalog(clean=False)
            self._put_aside_unknown_files()
        except OSError as error:
            raise JournalBroken(f"recovery of {self._directory}: {error}") from error
        self.durable_index = self.last_index
        self._prepare_spare()

    def _read_segments(self, *, is_clean: bool) -> None:
        names = self._catalog.segments
        self._base, self._base_term = self._catalog.floor_index, self._catalog.floor_term
        for name in names:
            path = segments.segment_path(self._wal, name.sequence, name.first_index)
            if not self._disk.exists(path):
                raise JournalDamaged(path, 0, 0, "the file is missing")
            if self._disk.mode(path) & 0o077:
                raise UnsafePermissions(f"{path} may be read by others: chmod 600 {path}")
            segment = segments.open_segment(self._disk, path, self.identity)
            if segment.epoch != name.epoch:
                raise JournalDamaged(path, 0, 0, "the file is of another life of this journal")
            self._segments.append(segment)
        if names:
            self._base, self._base_term = names[0].first_index - 1, 0
        for position, segment in enumerate(self._segments):
            is_newest = position == len(self._segments) - 1
            count = None if is_newest else self._segments[position + 1].frames_before
            reader = SegmentReader(segment)
            good = reader.recover(count)
            for recovered in good:
                self._replay(segment, recovered)
            reader.repair()
            if is_newest and not is_clean:
                reader.rewrite_tail(good, lambda: None)
        if names:
            self._drop_below_floor(self._segments[0].path)

    def _replay(self, segment: Segment, recovered: Recovered) -> None:
        """Put one recovered frame into the index."""
        frame = recovered.frame

        def damaged(fact: str) -> JournalDamaged:
            return JournalDamaged(segment.path, frame.position, recovered.offset, fact)

        if frame.kind == TRUNCATE:
            self._truncate_index(frame.log_index)
            return
        if frame.kind >= len(_KINDS):
            raise damaged(f"entry kind {frame.kind} is unknown")
        if frame.log_index != self.last_index + 1:
            raise damaged(f"entry {frame.log_index} follows entry {self.last_index}")
        if self._terms and frame.term < self._terms[-1]:
            raise damaged(f"term {frame.term} follows term {self._terms[-1]}")
        if frame.term > self.hard_state.term:
            raise damaged(f"term {frame.term} is above the hard state's {self.hard_state.term}")
        self._terms.append(frame.term)
        self._sequences.append(segment.sequence)
        self._offsets.append(recovered.offset)
        self._lengths.append(frame.length)
        self._crcs.append(frame.payload_crc)
        self._kind_bytes.append(frame.kind)

    def _drop_below_floor(self, path: Path) -> None:
        """Forget entries of the oldest segment that were compacted away."""
        floor, term = self._catalog.floor_index, self._catalog.floor_term
        if self._base > floor or self.last_index < floor:
            fact = f"entries {self._base + 1} … {self.last_index} do not reach floor {floor}"
            raise JournalDamaged(path, 0, 0, fact)
        self._drop_prefix(floor - self._base)
        self._base_term = term

    def _put_aside_unknown_files(self) -> None:
        """Move files that the catalogue does not name to `lost/`; a spare is just remade."""
        known = {segment.path.name for segment in self._segments}
        lost = self._directory / "lost"
        for name in self._disk.list_directory(self._wal):
            if name == self._spare_path.name:
                self._disk.unlink(self._spare_path)
            elif name not in known:
                self._disk.make_directory(lost)
                self._disk.rename(self._wal / name, lost / name)
                self._disk.sync_directory(lost)
                self._disk.sync_directory(self._wal)

    # --- reading -----------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """The oldest entry kept; last_index + 1 when there is none."""
        return self._base + 1

    @property
    def last_index(self) -> int:
        """The newest entry, durable or being written."""
        return self._base + len(self._terms)

    def term_at(self, index: int) -> int | None:
        """The term of an entry or of the one just below the first; None when not known."""
        position = index - self._base - 1
        if 0 <= position < len(self._terms):
            return self._terms[position]
        return self._base_term if position == -1 else None

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Read entries from the file, at least one, up to `bytes_max` of payload.

        Raises:
            JournalDamaged: an entry does not have its checksum any more.

        """
        assert self.first_index <= first < stop <= self.last_index + 1, "entries that are kept"
        by_sequence = {segment.sequence: segment for segment in self._segments}
        found: list[Entry] = []
        size = 0
        for position in range(first - self._base - 1, stop - self._base - 1):
            length = self._lengths[position]
            size += length
            if found and size > bytes_max:
                break
            segment = by_sequence[self._sequences[position]]
            offset = self._offsets[position]
            assert segment.file is not None, "a segment with entries is open"
            payload = segment.file.pread(length, offset + FRAME_HEAD_BYTES)
            if len(payload) != length or crc32c(payload) != self._crcs[position]:
                raise JournalDamaged(segment.path, position, offset, "the payload has changed")
            kind = _KINDS[self._kind_bytes[position]]
            index = self._base + 1 + position
            found.append(Entry(index, self._terms[position], kind, payload))
        return tuple(found)

    # --- writing -----------------------------------------------------------------------------

    def prepare(self, hard_state: HardState | None, entries: Sequence[Entry]) -> Batch:
        """Decide where `entries` go; truncates first when they begin at or below the end.

        Raises:
            EntryTooLarge: a payload is larger than PAYLOAD_BYTES_MAX; nothing was changed.
            JournalBroken: an earlier write failed.

        """
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken
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
            assert first > self._base, "what was compacted is committed and never truncated"
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
            self._terms.append(term)
            self._sequences.append(segment.sequence)
            self._offsets.append(offset)
            self._lengths.append(length)
            self._crcs.append(payload_crc)
            self._kind_bytes.append(kind)

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
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken
        try:
            if batch.hard_state is not None:
                self._hard.save(msgspec.json.encode(batch.hard_state))
            for write in batch.writes:
                if write.is_new:
                    self._install(write.segment)
                file = write.segment.file
                assert file is not None, "the segment was made before"
                file.pwrite(write.frames, write.frames_offset)
                file.pwrite(write.slots, write.slots_offset)
                file.sync_data()
        except BaseException as error:
            self._broken = error
            if isinstance(error, OSError):
                raise JournalBroken(f"{self._directory}: {error}") from error
            raise

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
        if self._spare is not None:
            self._spare.result()
            self._spare = None
        if segment.size != self._config.segment_bytes or not self._disk.exists(self._spare_path):
            segments.write_blank(self._disk, self._spare_path, segment.size)
        segments.install(self._disk, self._spare_path, segment, self.identity)
        self._save_catalog(clean=False, up_to=segment.sequence)
        self._prepare_spare()

    def _prepare_spare(self) -> None:
        """Write the next segment's zeros in the background."""
        if self._maker is not None and not self._disk.exists(self._spare_path):
            self._spare = self._maker.submit(
                segments.write_blank, self._disk, self._spare_path, self._config.segment_bytes
            )

    def _save_catalog(self, *, clean: bool, up_to: int | None = None) -> None:
        named = tuple(
            SegmentName(segment.sequence, segment.first_index, segment.epoch)
            for segment in self._segments
            if segment.file is not None and (up_to is None or segment.sequence <= up_to)
        )
        self._catalog = msgspec.structs.replace(self._catalog, segments=named, clean=clean)
        self._catalog_files.save(msgspec.json.encode(self._catalog))

    # --- truncating and compacting -------------------------------------------------------------

    def _truncate_index(self, index: int) -> None:
        """Forget entries from `index` on."""
        keep = index - self._base - 1
        if keep < 0:
            # Only while recovering: the entries below lie in segments already compacted away.
            keep = 0
            self._base, self._base_term = index - 1, 0
        for column in (self._terms, self._sequences, self._offsets, self._lengths, self._crcs):
            del column[keep:]
        del self._kind_bytes[keep:]
        self.durable_index = min(self.durable_index, self.last_index)

    def _drop_prefix(self, count: int) -> None:
        if count <= 0:
            return
        self._base_term = self._terms[count - 1]
        self._base += count
        for column in (self._terms, self._sequences, self._offsets, self._lengths, self._crcs):
            del column[:count]
        del self._kind_bytes[:count]

    def compact(self, index: int) -> None:
        """Drop whole segments that hold nothing above `index`; the catalogue goes first (J30).

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken
        index = min(index, self.durable_index - 1)
        if index < self.first_index:
            return
        keep = self._sequences[index - self._base]
        dropped = [segment for segment in self._segments if segment.sequence < keep]
        if not dropped:
            return
        count = self._sequences.index(keep)
        self._drop_prefix(count)
        self._segments = self._segments[len(dropped) :]
        self._catalog = msgspec.structs.replace(
            self._catalog, floor_index=self._base, floor_term=self._base_term
        )
        try:
            self._save_catalog(clean=False)
            self._discard(dropped)
        except OSError as error:
            self._broken = error
            raise JournalBroken(f"{self._directory}: {error}") from error

    def begin_behind(self, index: int, term: int) -> None:
        """Forget every entry: the next one follows (index, term), which a snapshot holds.

        Done at once when the catalogue is saved; a crash before leaves the old entries, one
        after leaves files that the next start puts aside (checklist 110).

        Raises:
            JournalBroken: the device failed.

        """
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken
        dropped, self._segments = self._segments, []
        self._drop_all()
        self._base, self._base_term = index, term
        self.durable_index = index
        self._catalog = msgspec.structs.replace(self._catalog, floor_index=index, floor_term=term)
        try:
            if self.hard_state.term < term:
                self.hard_state = HardState(term=term)
                self._hard.save(msgspec.json.encode(self.hard_state))
            self._save_catalog(clean=False)
            self._discard(dropped)
        except OSError as error:
            self._broken = error
            raise JournalBroken(f"{self._directory}: {error}") from error

    def _drop_all(self) -> None:
        for column in (self._terms, self._sequences, self._offsets, self._lengths, self._crcs):
            del column[:]
        del self._kind_bytes[:]

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

    def close(self) -> None:
        """Close the files; a journal that is not broken is marked as stopped in order."""
        if self._maker is not None:
            self._maker.shutdown(wait=True)
        if self._broken is None:
            self._save_catalog(clean=True)
        for segment in self._segments:
            if segment.file is not None:
                segment.file.close()
        self._hard.close()
        self._catalog_files.close()
        self._lock.close()
