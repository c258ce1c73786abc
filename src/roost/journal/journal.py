"""The journal: entries, hard state and the manifest of segments, durable in order.

    <directory>/LOCK  identity.a .b  hard.a .b  catalog.a .b  wal/*.wal  wal/spare.tmp

A batch is written in three steps, so that a slow disk can be given a thread of its own:

    prepare   in the loop: decides where every frame goes, updates the index in memory
    write     all device work: hard state first (both copies), then frames, slots, one fdatasync;
              a full segment is synced before the next is made and named
    finish    in the loop: `durable_index` moves; only now may anybody be promised anything

`persist` is the three in one.  Truncation is a TRUNCATE record in the same batch as the entries
that replace what it drops.  The first error of the device poisons the journal for good (J15).

`opening` recovers what a crash left, and says how damage is met; `manifest` says which files
count; `reading` brings entries back.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from crc32c import crc32c

from roost.journal.batch import Batch, JournalConfig, Write, begin_segment
from roost.journal.discards import Discards
from roost.journal.disk import Disk, File, OsDisk
from roost.journal.errors import EntryTooLarge, JournalBroken, JournalDamaged
from roost.journal.identity import Identity, lock_directory
from roost.journal.index import Damage, Index, Place
from roost.journal.opening import SPARE_NAME, Opened, Position, open_journal
from roost.journal.reading import read_entries
from roost.journal.record import (
    PAYLOAD_BYTES_MAX,
    TRUNCATE,
    encode_frame,
    encode_slot,
    frame_bytes,
    padding,
)
from roost.journal.segment import Segment, write_mark
from roost.journal.spare import Spare
from roost.raft.types import Entry, EntryKind, HardState


class Journal:
    """One member's durable log; satisfies `raft.Storage`.  One owner, one thread at a time."""

    def __init__(
        self, directory: Path, disk: Disk, config: JournalConfig, lock: File, opened: Opened
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._wal = directory / "wal"
        self._disk = disk
        self._config = config
        self._lock = lock
        self.identity = opened.identity
        self._hard = opened.hard
        self._manifest = opened.manifest
        self._segments = opened.segments
        self._index = opened.index
        # What was asked for last; `_hard.held` is what is durable of it.
        self.hard_state = opened.hard.held
        # The newest entry that a sync has covered.  Opening has synced everything it found.
        self.durable_index = self.last_index
        # The batch between `prepare` and `finish`.  There is one at a time: while a thread writes
        # it, nothing else may touch the files or the manifest.
        self._underway: Batch | None = None
        # The first error of the device; nothing is written after it.
        self._broken: BaseException | None = None
        self._discards = Discards(disk, is_in_background=config.prepares_ahead)
        self.spare = Spare(
            disk,
            self._wal / SPARE_NAME,
            config.segment_bytes,
            is_made_ahead=config.prepares_ahead,
            wait_for_room=self._discards.wait,
        )

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
            opened = open_journal(
                directory,
                identity=identity,
                disk=disk,
                held=Position(*held) if held else None,
                begins_at=begins_at,
                may_lose_tail=may_lose_tail,
            )
            journal = cls(directory, disk, config or JournalConfig(), lock, opened)
            if opened.kept:
                # Into a new segment, as any other entries: the files they were read from are
                # already put aside.
                journal.persist(None, opened.kept)
        except BaseException:
            lock.close()
            raise
        journal.spare.prepare()
        return journal

    def prepare(self, hard_state: HardState | None, entries: Sequence[Entry]) -> Batch:
        """Decide where `entries` go; truncates first when they begin at or below the end.

        One batch at a time: `write` and `finish` it before the next.

        Raises:
            EntryTooLarge: a payload is larger than PAYLOAD_BYTES_MAX; nothing was changed.
            JournalBroken: an earlier write failed.

        """
        self._refuse_when_broken()
        assert self._underway is None, "one batch at a time"
        # Refusals come before the first change: half a batch in the index would be a log that
        # the file never gets.
        for entry in entries:
            if len(entry.payload) > PAYLOAD_BYTES_MAX:
                raise EntryTooLarge(f"entry {entry.index} has {len(entry.payload)} bytes")
        # Told apart from what is durable (`_hard.held`), as the end of the log is: the next batch
        # is decided while this one is being written.
        if hard_state is not None:
            assert hard_state.term >= self.hard_state.term, "terms never decrease"
            self.hard_state = hard_state
        writes: list[Write] = []
        last_index = self.last_index
        if entries and entries[0].index <= last_index:
            first = entries[0].index
            assert first > self._index.base, "what was compacted is committed and never truncated"
            # What is overwritten stays in its file; that it does not count any more must be as
            # durable as what replaces it, and not earlier.  Were the old entries erased first, a
            # crash would leave this member with less than it acknowledged; were the record left
            # out, a start would find two entries at one index.  One batch, one sync: after a
            # crash there is the old tail or the new one (J27).
            self._truncate_index(first)
            self._place(writes, TRUNCATE, first, entries[0].term, b"")
            last_index = first - 1
        # From here on readers see the entries: the index has them, and who proposes or answers
        # goes by `durable_index`, which has not moved.
        for entry in entries:
            last_index += 1
            assert entry.index == last_index, "entries are contiguous"
            self._place(writes, entry.kind, entry.index, entry.term, entry.payload)
        self._underway = Batch(hard_state, writes, last_index)
        return self._underway

    def _place(self, writes: list[Write], kind: int, index: int, term: int, payload: bytes) -> None:
        """Give one frame its place in the newest segment, or in a new one."""
        length = len(payload)
        if not self._segments or not self._segments[-1].has_room(length):
            before = self._segments[-1] if self._segments else None
            segment = begin_segment(self._wal, before, index, length, self._config)
            self._segments.append(segment)
            writes.append(Write(segment, is_new=True))
        segment = self._segments[-1]
        if not writes or writes[-1].segment is not segment:
            writes.append(Write(segment, is_new=False))
        write = writes[-1]
        payload_crc = crc32c(payload)
        # How many frames before this one share its sync.  After a crash this tells a torn write
        # from damage: all of one batch may be torn, but a frame of a later batch proves that the
        # sync before it came back (see `recovery`).  In the next segment the count begins anew,
        # for that part of the batch has a sync of its own.
        delta = len(write.slots)
        position, offset, epoch = segment.position, segment.offset, segment.epoch
        # The chain: a frame of another history at the same place, whole in itself, does not have
        # the checksum of the frame before it.
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
        # A truncation has a place in the file, and none in the log.
        if kind != TRUNCATE:
            self._index.append((segment.sequence, offset, length, payload_crc, term, kind))

    def write(self, batch: Batch) -> None:
        """Do the device work of a batch; durable on return.

        May run in a thread of its own, one batch at a time, in the order of `prepare`.

        Raises:
            JournalBroken: final; the process must end.

        """
        # No `with`: this is on the way of each put, and a generator is slow where we are compiled.
        self._refuse_when_broken()
        try:
            self._write(batch)
        except BaseException as error:
            self._break(error)
            raise

    def _write(self, batch: Batch) -> None:
        # Term and vote first, and synced: an entry on the disk of a term that the hard state
        # does not know would be one that nobody was elected for (J13).
        if batch.hard_state is not None:
            self._hard.save(batch.hard_state)
        for write in batch.writes:
            if write.is_new:
                # The segments before this one are synced by now, so a start may take all of
                # them but the newest for whole (J28).
                self._install(write.segment)
            file = write.segment.file
            assert file is not None, "the segment was made before"
            # Frames before slots.  While the machine runs the page cache keeps this order:
            # a slot that is there vouches for a frame that was there.  A power cut does not
            # keep it, nor does it need to: one sync covers both, and before it returns
            # nobody is told anything.
            file.pwrite(write.frames, write.frames_offset)
            file.pwrite(write.slots, write.slots_offset)
            # The file's size never changes, its blocks were written once as zeros: the sync
            # costs the data alone, no metadata (J3, J14).
            file.sync_data()

    def finish(self, batch: Batch) -> None:
        """The batch is written: what it holds may be promised."""
        assert batch is self._underway, "it was prepared last"
        # By the batch, not by the end of the log: the next one may be in the index already.
        self._underway = None
        self.durable_index = batch.last_index

    def persist(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Prepare, write and finish at once."""
        batch = self.prepare(hard_state, entries)
        self.write(batch)
        self.finish(batch)

    def _install(self, segment: Segment) -> None:
        """Make the file of a new segment and have the manifest name it, durably."""
        self.spare.install(segment, self.identity)
        # Named before the first entry in it is written, so that no acknowledged entry is ever in
        # a file that a start would put aside.  A crash in between leaves an empty segment, which
        # costs nothing.  A later segment of the batch has no file yet, and is not named.
        self._save_manifest()
        self.spare.prepare()

    def _save_manifest(self, *, is_clean: bool = False) -> None:
        # Entries in doubt are the exception, and few; with none this is no loop at all.
        is_certain = self._index.is_certain
        self._manifest.save(self._segments, is_clean=is_clean, is_certain=is_certain)

    def _truncate_index(self, index: int) -> None:
        """Forget entries from `index` on."""
        # The file still has them, and a start before the next sync would bring them back: they are
        # not durable any more, and not yet durably gone.
        self._index.truncate(index)
        self.durable_index = min(self.durable_index, self.last_index)

    @property
    def first_index(self) -> int:
        """The oldest entry kept; last_index + 1 when there is none."""
        return self._index.base + 1

    @property
    def last_index(self) -> int:
        """The newest entry, durable or being written."""
        return self._index.last

    @property
    def size_bytes(self) -> int:
        """What its segments take on the disk, with what is not written in them yet."""
        return sum(segment.size for segment in self._segments)

    def term_at(self, index: int) -> int | None:
        """The term of an entry or of the one just below the first; None when not known."""
        return self._index.term_at(index)

    @property
    def damaged(self) -> Mapping[int, Damage]:
        """Entries whose payload is damaged here, by their position in the log."""
        return self._index.damaged

    @property
    def first_damaged(self) -> int:
        """The oldest entry whose payload is damaged here; 0 when there is none."""
        return min(self._index.damaged, default=0)

    @property
    def is_fenced(self) -> bool:
        """Whether the end of the log was lost, and with it what was promised."""
        return self._manifest.held.is_fenced

    @property
    def starts(self) -> int:
        """How often this journal was opened."""
        return self._manifest.held.starts

    def damage_at(self, index: int) -> JournalDamaged:
        """What is wrong with a damaged entry, as an error that says what can be done."""
        place = self._index.place(index)
        segment = next(it for it in self._segments if it.sequence == place.sequence)
        position = self._index.damaged[index].position
        fact = f"entry {index} of term {place.term} is damaged"
        return JournalDamaged(segment.path, position, place.offset, fact)

    def place(self, index: int) -> Place:
        """The identity of an entry that is kept, and where it lies."""
        return self._index.place(index)

    def changes_after(self, index: int) -> list[int]:
        """Where changes of the configuration stand behind `index`, whether they can be read."""
        # The kind of an entry stands in its slot and in the index, so a configuration is found also
        # where its payload is damaged: then it is known that there is one, and a member that does
        # not know it does not campaign by the one before.
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
        of is noted in `damaged`.
        """
        assert self.first_index <= first < stop <= self.last_index + 1, "entries that are kept"
        return read_entries(self._index, self._segments, first, stop, bytes_max)

    def repair(self, index: int, payload: bytes) -> bool:
        """Write a damaged entry anew, durably; False when the payload is not that entry's.

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        assert self._underway is None, "one batch at a time"
        damage, place = self._index.damaged[index], self._index.place(index)
        # Length and checksum are from the slot, which is whole; with index and term they name
        # one content (J20).  So it does not matter who brings it, a leader or not.
        if (len(payload), crc32c(payload)) != (place.length, place.payload_crc):
            return False
        segment = next(it for it in self._segments if it.sequence == place.sequence)
        frame = (place.kind, index, place.term, place.length, place.payload_crc)
        head = encode_frame(
            (*frame, damage.chain, damage.position, damage.batch_delta), segment.epoch
        )
        with self._poisoned_by_errors():
            assert segment.file is not None, "a segment with entries is open"
            # The same bytes at the same place: torn, it is as damaged as it was before.
            segment.file.pwrite([head, payload, padding(place.length)], place.offset)
            segment.file.sync_data()
        # Only now: whoever counts this entry may count on it.
        del self._index.damaged[index]
        return True

    def drop_from(self, index: int) -> None:
        """Forget entries from `index` on, durably: nobody was ever promised them.

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        assert self._underway is None, "one batch at a time"
        assert index > self._index.base, "what was compacted is committed and never dropped"
        writes: list[Write] = []
        term = self._index.terms[index - self._index.base - 1]
        self._truncate_index(index)
        self._place(writes, TRUNCATE, index, term, b"")
        # The record is of the term of what it drops: a start checks no term of a truncation, and
        # a leader's entries that come here later bring their own.
        batch = self._underway = Batch(None, writes, self.last_index)
        self.write(batch)
        self.finish(batch)

    def first_within(self, bytes_max: int) -> int:
        """Where the newest segments begin that take `bytes_max` together; at least one counts."""
        first, taken = self.last_index + 1, 0
        for segment in reversed(self._segments):
            taken += segment.size
            if taken > bytes_max and first <= self.last_index:
                break
            # A segment begun by a truncation may begin below those before it.
            first = min(first, segment.first_index)
        return first

    def compact(self, index: int) -> None:
        """Drop whole segments that hold nothing above `index`; the manifest goes first (J30).

        Not while a batch is being written in another thread.

        Raises:
            JournalBroken: the device failed.

        """
        self._refuse_when_broken()
        assert self._underway is None, "one batch at a time"
        # One durable entry stays: its term is what a leader's next entry is checked against.
        index = min(index, self.durable_index - 1)
        if index < self.first_index:
            return
        # Whole segments only: a file is never cut, so that no crash can leave half of one.
        keep = self._index.place(index + 1).sequence
        dropped = [segment for segment in self._segments if segment.sequence < keep]
        if not dropped:
            return
        self._index.drop_to(self._index.first_of(keep) - 1)
        self._segments = self._segments[len(dropped) :]
        self._manifest.note_floor(self._index.base, self._index.base_term)
        # The names go first, durably.  The other way round a crash would leave a manifest that
        # names files which are not there, and that is how a lost segment looks.
        with self._poisoned_by_errors():
            self._save_manifest()
            self._discards.take(dropped)

    def begin_behind(self, index: int, term: int) -> None:
        """Forget every entry: the next one follows (index, term), which a snapshot holds.

        Done at once when the manifest is saved; a crash before leaves the old entries, one
        after leaves files that the next start puts aside (checklist 110).

        Raises:
            JournalBroken: the device failed.

        """
        self._refuse_when_broken()
        assert self._underway is None, "one batch at a time"
        dropped, self._segments = self._segments, []
        # Entries behind the snapshot go as well, though they may be the right ones: the leader
        # sends them again, and no byte is kept of a log that did not reach the snapshot.
        self._index = Index(index, term)
        self.durable_index = index
        self._manifest.note_floor(index, term)
        with self._poisoned_by_errors():
            # The snapshot may be of a term that this member slept through.  It takes the term,
            # and no vote with it (J25); and it takes it before the log can say that term.
            if self.hard_state.term < term:
                self.hard_state = HardState(term=term)
                self._hard.save(self.hard_state)
            self._save_manifest()
            self._discards.take(dropped)
            # Segments are numbered from one again: none of before may go under a new one's name.
            self._discards.wait()
        self._refuse_when_broken()

    def lift_fence(self) -> None:
        """The log holds everything again that this member ever promised.

        Who says so is the core: here nobody can know what was lost (`raft.fence`).
        """
        assert self._underway is None, "one batch at a time"
        with self._poisoned_by_errors():
            # Durable before this member votes again: a fence that comes back after a crash costs
            # time, one that is forgotten costs votes.
            self._manifest.note_fence(is_fenced=False)
            self._save_manifest()

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
        # Without a mark the newest batch can only be told from a torn write by what follows it,
        # and behind the last entry of an idle member nothing ever follows.  The mark is what
        # follows: one small write, when nothing more comes.
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.file is None or self.durable_index < self.last_index:
            return lambda: None
        file, epoch, count = newest.file, newest.epoch, newest.position
        newest.marked = count

        def work() -> None:
            with self._poisoned_by_errors():
                write_mark(file, epoch, count)

        return work

    def _refuse_when_broken(self) -> None:
        if self._broken is None and self._discards.error is not None:
            self._break(self._discards.error)
        if self._broken is not None:
            raise JournalBroken("an earlier write failed") from self._broken

    @contextmanager
    def _poisoned_by_errors(self) -> Iterator[None]:
        """The first error of the device is the last thing the journal does (J15)."""
        self._refuse_when_broken()
        try:
            yield
        except BaseException as error:
            self._break(error)
            raise

    def _break(self, error: BaseException) -> None:
        """Do nothing any more, and say so where it was the device's."""
        # Whatever it was, a batch may be half on the disk.  After a failed sync the kernel may have
        # dropped our pages and called them clean, so the next sync would say "all well" of bytes
        # that are nowhere: there is no second try, and no way on.
        self._broken = error
        if isinstance(error, OSError):
            raise JournalBroken(f"{self._directory}: {error}") from error

    def invariants(self) -> None:
        """Assert what holds between any two calls, also while a batch is being written.

        Cheap: what it looks at are the segments and the damaged entries, not the entries.
        """
        # Nothing of a file is asked here: a thread may be writing it.
        index, held = self._index, self._segments
        index.invariants()
        assert index.base <= self.durable_index <= index.last, "nothing unknown is durable"
        assert not index.terms or index.terms[-1] <= self.hard_state.term, (
            "terms are voted on first"
        )
        numbers = [it.sequence for it in held]
        assert numbers == sorted(set(numbers)), "segments follow one another"
        for segment in held:
            segment.invariants()
        if index.last > index.base:
            assert held, "entries lie in segments"
            assert held[0].sequence <= index.place(index.base + 1).sequence, "the first is there"
            assert index.place(index.last).sequence <= held[-1].sequence, "and the last"

    def abandon(self) -> None:
        """Close the files and write nothing more."""
        # To `close`, a journal that was given up is one that failed: it says of no clean stop.
        self._broken = self._broken or JournalBroken("the journal was closed")
        self.close()

    def close(self) -> None:
        """Close the files; a journal that is not broken is marked as stopped in order."""
        self.spare.close()
        self._discards.close()
        if self._discards.error is not None:
            self._broken = self._broken or self._discards.error
        # The word "clean" is believed at the next start, and spares it every doubt: it must be
        # the last thing that is written, and not by a journal that has failed.
        if self._broken is None:
            self.prepare_mark()()
            self._save_manifest(is_clean=True)
        for segment in self._segments:
            if segment.file is not None:
                segment.file.close()
        self._hard.close()
        self._manifest.close()
        self._lock.close()
