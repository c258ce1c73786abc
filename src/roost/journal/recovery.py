"""Reading a segment back: what is good, what is torn, what is damaged (journal.md 3.5).

For each position in order, three things are seen: the state of the frame, the state of its
slot, and whether anything after it proves that it was written.  `VERDICTS` decides; it is the
whole rule, and a test reaches every row.

A *torn* write is one that a crash cut short: it was never acknowledged, so everything from it
on is dropped.  *Damage* is anything else: it may have been acknowledged, so nothing is dropped
and the journal does not open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from crc32c import crc32c

from roost.journal.errors import JournalDamaged
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
)
from roost.journal.segment import SLOTS_OFFSET, Segment


class FrameState(Enum):
    """How a frame looks."""

    OK = "ok"
    HEAD_BAD = "head bad, payload as the slot says"
    BAD = "bad"


class SlotState(Enum):
    """How a slot looks."""

    OK = "ok"
    DIFFERS = "valid, but of another entry"
    ZERO = "zero"
    GARBAGE = "garbage"


class Evidence(Enum):
    """What later positions prove about this one."""

    NONE = "nothing later"
    SAME_BATCH = "later entries of the same batch"
    LATER_BATCH = "entries of a later batch"


class Verdict(Enum):
    """What a position is worth."""

    GOOD = "good"
    REWRITE_SLOT = "good; its slot is written anew"
    REWRITE_HEAD = "good; its head is written anew"
    TORN = "torn: a crash cut the write short"
    FAULTY = "the entry is damaged; its identity is known from its slot"
    DOUBLE_FAULT = "entry and slot are damaged, and later entries prove that it was written"
    TAIL_UNKNOWN = "the last entry and its slot are damaged"
    CONFLICT = "the entry and its slot contradict each other"


_ANY = tuple(Evidence)


def _rows(frame: FrameState, slot: SlotState, verdict: Verdict) -> dict[object, Verdict]:
    return {(frame, slot, evidence): verdict for evidence in _ANY}


VERDICTS: dict[object, Verdict] = {
    **_rows(FrameState.OK, SlotState.OK, Verdict.GOOD),
    **_rows(FrameState.OK, SlotState.ZERO, Verdict.REWRITE_SLOT),
    **_rows(FrameState.OK, SlotState.GARBAGE, Verdict.REWRITE_SLOT),
    **_rows(FrameState.OK, SlotState.DIFFERS, Verdict.CONFLICT),
    **_rows(FrameState.HEAD_BAD, SlotState.OK, Verdict.REWRITE_HEAD),
    **_rows(FrameState.BAD, SlotState.OK, Verdict.FAULTY),
    (FrameState.BAD, SlotState.ZERO, Evidence.NONE): Verdict.TORN,
    (FrameState.BAD, SlotState.ZERO, Evidence.SAME_BATCH): Verdict.TORN,
    (FrameState.BAD, SlotState.ZERO, Evidence.LATER_BATCH): Verdict.DOUBLE_FAULT,
    (FrameState.BAD, SlotState.GARBAGE, Evidence.NONE): Verdict.TAIL_UNKNOWN,
    (FrameState.BAD, SlotState.GARBAGE, Evidence.SAME_BATCH): Verdict.TAIL_UNKNOWN,
    (FrameState.BAD, SlotState.GARBAGE, Evidence.LATER_BATCH): Verdict.DOUBLE_FAULT,
}
_KEPT = (Verdict.GOOD, Verdict.REWRITE_SLOT, Verdict.REWRITE_HEAD)


@dataclass(slots=True)
class Recovered:
    """One good frame and where it lies."""

    frame: Frame
    offset: int


class SegmentReader:
    """Reads one segment; the whole file is in memory while it does, one segment at a time."""

    def __init__(self, segment: Segment) -> None:
        """Read the file."""
        assert segment.file is not None, "the segment is open"
        self._segment = segment
        self._data = segment.file.pread(segment.size, 0)
        self._newest_batch_start = 0
        self._repairs: list[tuple[bytes, int]] = []

    def recover(self, frame_count: int | None) -> list[Recovered]:
        """Find the good frames; `frame_count` is the seal, None for the newest segment.

        Raises:
            JournalDamaged: something that may have been acknowledged cannot be read.

        """
        segment = self._segment
        good: list[Recovered] = []
        while segment.position < segment.slot_count and segment.position != frame_count:
            verdict, frame = self._judge(is_sealed=frame_count is not None)
            if verdict is Verdict.TORN:
                break
            if verdict not in _KEPT:
                raise JournalDamaged(segment.path, segment.position, segment.offset, verdict.value)
            assert frame is not None, "what is kept was read"
            if frame.chain != segment.chain:
                fact = "the entry does not continue the one before"
                raise JournalDamaged(segment.path, segment.position, segment.offset, fact)
            good.append(Recovered(frame, segment.offset))
            self._newest_batch_start = segment.position - frame.batch_delta
            segment.offset += frame_bytes(frame.length)
            segment.chain = frame.payload_crc
            segment.position += 1
        return good

    def _judge(self, *, is_sealed: bool) -> tuple[Verdict, Frame | None]:
        """Look at the next position and decide."""
        segment = self._segment
        slot, slot_state = self._read_slot(segment.position)
        frame, frame_state = self._read_frame(slot)
        if frame is not None and slot is not None and not _same(frame, slot, segment.offset):
            slot_state = SlotState.DIFFERS
        evidence = Evidence.NONE
        if frame_state is FrameState.BAD:
            evidence = Evidence.LATER_BATCH if is_sealed else self._evidence()
        verdict = VERDICTS[(frame_state, slot_state, evidence)]
        if verdict is Verdict.REWRITE_SLOT:
            assert frame is not None, "a good frame was read"
            body = encode_slot(_slot_of(frame, segment.offset), segment.epoch)
            self._repairs.append((body, segment.slot_offset(segment.position)))
        elif verdict is Verdict.REWRITE_HEAD:
            assert slot is not None, "a good slot was read"
            frame = Frame(
                slot.kind,
                slot.log_index,
                slot.term,
                slot.length,
                slot.payload_crc,
                segment.chain,
                segment.position,
                slot.batch_delta,
            )
            self._repairs.append((encode_frame(frame, segment.epoch), segment.offset))
        return verdict, frame

    def _read_slot(self, position: int) -> tuple[Slot | None, SlotState]:
        offset = self._segment.slot_offset(position)
        slot = decode_slot(self._data, offset, self._segment.epoch)
        if slot is not None:
            return slot, SlotState.OK
        is_zero = not any(self._data[offset : offset + SLOT_BYTES])
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
                payload = data[offset + FRAME_HEAD_BYTES : end]
                if crc32c(payload) == slot.payload_crc:
                    return None, FrameState.HEAD_BAD
        return None, FrameState.BAD

    def _evidence(self) -> Evidence:
        """Whether slots or frames after this position prove that it was acknowledged.

        Everything of one batch shares one sync: a batch start at or before this position means
        that the same crash may have cut both.
        """
        segment, data, here = self._segment, self._data, self._segment.position
        found = Evidence.NONE
        slots_end = segment.data_offset
        begin = segment.slot_offset(here + 1)
        last = len(data[begin:slots_end].rstrip(b"\0")) + begin
        for offset in range(begin, last, SLOT_BYTES):
            slot = decode_slot(data, offset, segment.epoch)
            position = (offset - SLOTS_OFFSET) // SLOT_BYTES
            if slot is None:
                continue
            if position - slot.batch_delta > here:
                return Evidence.LATER_BATCH
            found = Evidence.SAME_BATCH
        offset = data.find(FRAME_MAGIC, segment.offset + 8)
        while offset >= 0:
            frame = decode_frame(data, offset, segment.epoch)
            if frame is not None and frame.position > here:
                if frame.position - frame.batch_delta > here:
                    return Evidence.LATER_BATCH
                found = Evidence.SAME_BATCH
            offset = data.find(FRAME_MAGIC, offset + 8)
        return found

    def repair(self) -> None:
        """Write anew what was damaged beside an intact twin, and sync."""
        if not self._repairs:
            return
        file = self._segment.file
        assert file is not None, "the segment is open"
        for body, offset in self._repairs:
            file.pwrite([body], offset)
        file.sync_data()

    def rewrite_tail(self, good: list[Recovered], progress: Callable[[], None]) -> None:
        """After an unclean start: make the tail certain (J17).

        What lies behind the end is torn: slots are cleared and synced before frames, so that no
        slot ever outlives its frame.  Then the newest batch is written once more with the same
        bytes: the page cache may hold what the disk does not.
        """
        segment, data = self._segment, self._data
        file = segment.file
        assert file is not None, "the segment is open"
        slots_begin = segment.slot_offset(segment.position)
        for begin, end in ((slots_begin, segment.data_offset), (segment.offset, segment.size)):
            count = len(data[begin:end].rstrip(b"\0"))
            if count:
                file.pwrite([bytes(count)], begin)
                file.sync_data()
        progress()
        if not good:
            return
        first = max(0, self._newest_batch_start)
        frames_begin = good[first].offset
        fixed = bytearray(data)
        for body, offset in self._repairs:
            fixed[offset : offset + len(body)] = body
        file.pwrite([bytes(fixed[frames_begin : segment.offset])], frames_begin)
        slot_begin = segment.slot_offset(first)
        file.pwrite([bytes(fixed[slot_begin:slots_begin])], slot_begin)
        file.sync_data()


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
