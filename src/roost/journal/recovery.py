"""Reading a segment back: what is good, what is torn, what is damaged.

For each position in order, three things are seen: the state of the frame, the state of its
slot, and whether anything after it proves that it was written.  A table decides (`verdicts`).

A *torn* write is one that a crash cut short: it was never acknowledged, so everything from it
on is dropped.  *Damage* is anything else: it may have been acknowledged, so nothing is dropped.
A *damaged* entry has a bad frame and a good slot: it keeps its place, and a peer may bring its
payload back.  A *hole* is damage of which not even the identity is known; what follows it is
read on, but nobody can say what was in between.

How far a segment is certainly durable is in its *mark* (see `segment`), which is written when
the journal is idle.  Everything below the mark, in a sealed segment, before an entry of a later
batch, or in a journal that was stopped in order was acknowledged, so nothing of it is torn.  While
the machine has not restarted the page cache has survived, and slots are written behind whole
frames: then a slot whose frame is bad is certain, too.
"""

from dataclasses import dataclass

from crc32c import crc32c

from roost.journal.disk import read_or_zeros
from roost.journal.errors import JournalDamaged
from roost.journal.index import Damage, Place
from roost.journal.record import (
    FRAME_HEAD_BYTES,
    FRAME_MAGIC,
    PAYLOAD_BYTES_MAX,
    SLOT_BYTES,
    Frame,
    Slot,
    decode_frame,
    decode_slot,
    encode_frame,
    encode_slot,
    frame_bytes,
    read_whole,
)
from roost.journal.segment import SLOTS_OFFSET, Segment, read_mark
from roost.journal.verdicts import VERDICTS, Evidence, FrameState, SlotState, Verdict

_ROT_BITS_MAX = 2


@dataclass(slots=True)
class Recovered:
    """One frame and where it lies; with `damage`, only its slot could be read."""

    frame: Frame
    offset: int
    damage: Damage | None = None


@dataclass(slots=True)
class Hole:
    """Frames that cannot be read, nor what they were."""

    damage: JournalDamaged


class SegmentReader:
    """Reads one segment; the whole file is in memory while it does, one segment at a time."""

    def __init__(self, segment: Segment, *, is_clean: bool, is_cache_alive: bool) -> None:
        """Read the file.

        `is_clean`: the journal was stopped in order.  `is_cache_alive`: the machine has not
        restarted since it was written.
        """
        assert segment.file is not None, "the segment is open"
        self._segment = segment
        # Once, and whole: judging goes back and forth, and a disk that answers the same question
        # twice in two ways would have us decide by neither.
        self._data = read_or_zeros(segment.file, segment.size)
        self._is_clean = is_clean
        self._is_cache_alive = is_cache_alive
        self._marked = read_mark(self._data, segment.epoch)
        # The first position of the batch that was read last: where to begin to write again.
        self._newest_batch_start = 0
        # What `_find_newest` came to; it reads all slots, so once is enough.
        self._newest: tuple[int, int] | None = None
        # Heads and slots to be written anew, and where.  Nothing is written before everything is
        # read: a reader that repairs as it goes would judge what follows by what it wrote.
        self._repairs: list[tuple[bytes, int]] = []

    def recover(self, frame_count: int | None) -> list[Recovered | Hole]:
        """Find the frames, in order; `frame_count` is the seal, None for the newest segment."""
        segment = self._segment
        found: list[Recovered | Hole] = []
        while segment.position < segment.slot_count and segment.position != frame_count:
            position = segment.position
            slot_offset = segment.slot_offset(position)
            # Nearly all frames are whole and end here; the table is for the others.
            frame = read_whole(self._data, segment.offset, slot_offset, position, segment.epoch)
            if frame is not None and frame.chain == segment.chain:
                found.append(Recovered(frame, segment.offset))
                self._newest_batch_start = position - frame.batch_delta
                segment.offset += frame_bytes(frame.length)
                segment.chain = frame.payload_crc
                segment.position = position + 1
                continue
            verdict, frame = self._judge(is_sealed=frame_count is not None)
            # The end of the log, and the only place where something is dropped without a word: it
            # was never acknowledged.
            if verdict is Verdict.TORN:
                break
            fact = verdict.value
            if verdict is Verdict.DAMAGED:
                recovered = self._damaged(is_sealed=frame_count is not None)
            elif frame is not None and verdict is not Verdict.CONFLICT:
                recovered = Recovered(frame, segment.offset)
                # Behind a hole there is nothing that the chain could be held against.
                if frame.chain != segment.chain and not _follows_hole(found):
                    verdict = Verdict.CONFLICT
                    fact = "the entry does not continue the one before"
            else:
                verdict = Verdict.CONFLICT
            if verdict is Verdict.CONFLICT:
                damage = JournalDamaged(segment.path, segment.position, segment.offset, fact)
                found.append(Hole(damage))
                if not self._skip_hole():
                    break
                continue
            found.append(recovered)
            frame = recovered.frame
            self._newest_batch_start = segment.position - frame.batch_delta
            segment.offset += frame_bytes(frame.length)
            segment.chain = frame.payload_crc
            segment.position += 1
        return found

    def _damaged(self, *, is_sealed: bool) -> Recovered:
        """The frame at this position, as its slot has it."""
        segment = self._segment
        slot, _ = self._read_slot(segment.position)
        assert slot is not None, "the verdict says so"
        # Whether it was durable once, or may be what a power cut left.  A certain one is worth
        # waiting for as long as it takes; an uncertain one is dropped when nobody has it.
        is_certain = (
            is_sealed
            or self._is_clean
            or self._is_cache_alive
            or segment.position < self._marked
            or self._evidence() is Evidence.LATER_BATCH
        )
        frame = _frame_of(slot, segment)
        damage = Damage(segment.position, segment.chain, slot.batch_delta, is_certain)
        return Recovered(frame, segment.offset, damage)

    def _skip_hole(self) -> bool:
        """Go to the next position whose slot can be read; say whether there is one."""
        segment = self._segment
        # By slots, not by looking for the next magic: a payload may hold anything, whole frames of
        # another journal included.
        begin, end = segment.offset, segment.size
        for position in range(segment.position + 1, segment.slot_count):
            slot, _ = self._read_slot(position)
            if slot is not None and begin < slot.offset < end:
                segment.position, segment.offset = position, slot.offset
                return True
        return False

    def _judge(self, *, is_sealed: bool) -> tuple[Verdict, Frame | None]:
        """Look at the next position and decide."""
        segment = self._segment
        slot, slot_state = self._read_slot(segment.position)
        frame, frame_state = self._read_frame(slot)
        if slot is not None and frame is not None and not _same(frame, slot, segment.offset):
            slot_state = SlotState.DIFFERS
        # Whole, and it names a frame elsewhere: one misplaced write, and as little proof as
        # rubbish.
        if slot is not None and frame is None and slot.offset != segment.offset:
            slot_state = SlotState.GARBAGE  # it is not of this frame
        # Evidence decides only where the frame is bad, and to look for it reads the whole segment.
        evidence = Evidence.NONE
        if frame_state is FrameState.BAD:
            is_known = is_sealed or segment.position < self._marked
            evidence = Evidence.LATER_BATCH if is_known else self._evidence()
        # Of all that can be seen of one position, nothing is decided anywhere but in the table.
        verdict = VERDICTS[(frame_state, slot_state, evidence)]
        if verdict is Verdict.REWRITE_SLOT:
            assert frame is not None, "a good frame was read"
            body = encode_slot(_slot_of(frame, segment.offset), segment.epoch)
            self._repairs.append((body, segment.slot_offset(segment.position)))
        elif verdict is Verdict.REWRITE_HEAD:
            assert slot is not None, "a good slot was read"
            frame = _frame_of(slot, segment)
            self._repairs.append((encode_frame(frame, segment.epoch), segment.offset))
        return verdict, frame

    def _read_slot(self, position: int) -> tuple[Slot | None, SlotState]:
        offset = self._segment.slot_offset(position)
        slot = decode_slot(self._data, offset, self._segment.epoch)
        if slot is not None:
            return slot, SlotState.OK
        # A slot has an epoch of 64 random bits: a bit or two are rot in a place never written.
        # Without the checksum, which comes last, it is a write that was cut short.
        body = self._data[offset : offset + SLOT_BYTES]
        is_rot = int.from_bytes(body, "little").bit_count() <= _ROT_BITS_MAX
        is_zero = is_rot or not any(body[-4:])
        return None, SlotState.ZERO if is_zero else SlotState.GARBAGE

    def _read_frame(self, slot: Slot | None) -> tuple[Frame | None, FrameState]:
        segment, data = self._segment, self._data
        offset = segment.offset
        frame = decode_frame(data, offset, segment.epoch)
        if frame is not None and frame.position == segment.position:
            # The length is checked against the file's end before it is believed (J6).
            end = offset + FRAME_HEAD_BYTES + frame.length
            fits = frame.length <= PAYLOAD_BYTES_MAX and end <= segment.size
            payload = data[offset + FRAME_HEAD_BYTES : end] if fits else b""
            if fits and crc32c(payload) == frame.payload_crc:
                return frame, FrameState.OK
            return None, FrameState.BAD
        if slot is not None and slot.offset == offset:
            end = offset + FRAME_HEAD_BYTES + slot.length
            if slot.length <= PAYLOAD_BYTES_MAX and end <= segment.size:
                # The slot says what the payload must be, so a head that rotted costs nothing: it is
                # written anew from there.
                payload = data[offset + FRAME_HEAD_BYTES : end]
                if crc32c(payload) == slot.payload_crc:
                    return None, FrameState.HEAD_BAD
        return None, FrameState.BAD

    def _evidence(self) -> Evidence:
        """Whether slots or frames after this position prove that it was acknowledged.

        Everything of one batch shares one sync: a batch start at or before this position means
        that the same crash may have cut both.
        """
        if self._newest is None:
            self._newest = self._find_newest()
        batch_start, position = self._newest
        if batch_start > self._segment.position:
            return Evidence.LATER_BATCH
        return Evidence.SAME_BATCH if position > self._segment.position else Evidence.NONE

    def _find_newest(self) -> tuple[int, int]:
        """The newest batch's first position and the last position, as all that is valid says."""
        # Slots and frames are asked apart: each may have outlived the other.  A frame found by its
        # magic may be a payload's bytes, but not one with our epoch, which no client has seen.
        segment, data = self._segment, self._data
        batch_start = newest = -1
        begin = segment.slot_offset(0)
        last = len(data[begin : segment.data_offset].rstrip(b"\0")) + begin
        for offset in range(begin, last, SLOT_BYTES):
            slot = decode_slot(data, offset, segment.epoch)
            if slot is not None:
                position = (offset - SLOTS_OFFSET) // SLOT_BYTES
                batch_start = max(batch_start, position - slot.batch_delta)
                newest = max(newest, position)
        offset = data.find(FRAME_MAGIC, segment.data_offset)
        while offset >= 0:
            frame = decode_frame(data, offset, segment.epoch)
            if frame is not None:
                batch_start = max(batch_start, frame.position - frame.batch_delta)
                newest = max(newest, frame.position)
            offset = data.find(FRAME_MAGIC, offset + 8)
        return batch_start, newest

    def repair(self) -> None:
        """Write anew what was damaged beside an intact twin, and sync."""
        # At once, and not when somebody meets it again: the next damage to the same entry would be
        # the second, and then nobody knows what it was.
        if not self._repairs:
            return
        file = self._segment.file
        assert file is not None, "the segment is open"
        for body, offset in self._repairs:
            file.pwrite([body], offset)
        file.sync_data()

    def rewrite_tail(self, found: list[Recovered | Hole]) -> None:
        """After an unclean start: make the tail certain (J17).

        What lies behind the end is torn: slots are cleared and synced before frames, so that no
        slot ever outlives its frame.  Then the newest batch is written once more with the same
        bytes: the page cache may hold what the disk does not.
        """
        segment, data = self._segment, self._data
        file = segment.file
        assert file is not None, "the segment is open"
        slots_begin = segment.slot_offset(segment.position)
        if found and isinstance(found[-1], Hole):
            # What lies behind it is not known to be torn; and this segment is not written again,
            # for a log that ends in a hole begins anew (see `opening`).
            return
        # Left as it is, an old slot would one day lie behind a write that a crash cut short, and be
        # taken for proof that it was acknowledged.
        for begin, end in ((slots_begin, segment.data_offset), (segment.offset, segment.size)):
            count = len(data[begin:end].rstrip(b"\0"))
            if count:
                file.pwrite([bytes(count)], begin)
                file.sync_data()
        if not found or any(isinstance(it, Hole) for it in found):
            return
        last = found[-1]
        assert isinstance(last, Recovered), "no hole among them"
        newest = found[max(0, self._newest_batch_start)]
        assert isinstance(newest, Recovered), "no hole among them"
        first, frames_begin = newest.frame.position, newest.offset
        # What was read, with the repairs in it.  The same bytes over the same sectors are safe even
        # where this write is torn in its turn: before and after, each sector holds the same.
        fixed = bytearray(data)
        for body, offset in self._repairs:
            fixed[offset : offset + len(body)] = body
        file.pwrite([bytes(fixed[frames_begin : segment.offset])], frames_begin)
        slot_begin = segment.slot_offset(first)
        file.pwrite([bytes(fixed[slot_begin:slots_begin])], slot_begin)
        file.sync_data()


def find_damage(segment: Segment, place: Place) -> Damage | None:
    """What an entry's frame must look like, as its slot says; None when that is damaged, too."""
    assert segment.file is not None, "the segment is open"
    data = read_or_zeros(segment.file, segment.data_offset)
    # The chain is the checksum of the frame before, which its slot has as well; where that slot is
    # damaged this frame cannot be built again.
    chain: int | None = 0
    for position in range(segment.position):
        slot = decode_slot(data, segment.slot_offset(position), segment.epoch)
        if slot is not None and slot.offset == place.offset:
            if position and chain is None:
                return None
            return Damage(position, chain or 0, slot.batch_delta, is_certain=True)
        chain = None if slot is None else slot.payload_crc
    return None


def _follows_hole(found: list[Recovered | Hole]) -> bool:
    return bool(found) and isinstance(found[-1], Hole)


def _frame_of(slot: Slot, segment: Segment) -> Frame:
    return Frame(
        slot.kind,
        slot.log_index,
        slot.term,
        slot.length,
        slot.payload_crc,
        segment.chain,
        segment.position,
        slot.batch_delta,
    )


def _same(frame: Frame, slot: Slot, offset: int) -> bool:
    return slot == _slot_of(frame, offset)


def _slot_of(frame: Frame, offset: int) -> Slot:
    return Slot(
        frame.log_index,
        frame.term,
        offset,
        frame.length,
        frame.payload_crc,
        frame.batch_delta,
        frame.kind,
    )
