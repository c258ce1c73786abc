"""Frames and slots: what is written is read back, and nothing else is taken for it."""

from hypothesis import given
from hypothesis import strategies as st

from roost.journal.record import (
    FRAME_HEAD_BYTES,
    SLOT_BYTES,
    Frame,
    Slot,
    decode_frame,
    decode_slot,
    encode_frame,
    encode_slot,
    frame_bytes,
    padding,
    read_whole,
)

EPOCH = 0x0123456789ABCDEF
U8, U32, U64 = st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
FRAMES = st.builds(Frame, U8, U64, U64, U32, U32, U32, U32, U32)
SLOTS = st.builds(Slot, U64, U64, U64, U32, U32, U32, U8)


@given(FRAMES)
def test_a_frame_is_read_back(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame, EPOCH), 0, EPOCH) == frame


@given(SLOTS)
def test_a_slot_is_read_back(slot: Slot) -> None:
    assert decode_slot(encode_slot(slot, EPOCH), 0, EPOCH) == slot


@given(FRAMES, SLOTS)
def test_bytes_of_another_segment_are_neither_frame_nor_slot(frame: Frame, slot: Slot) -> None:
    """J2: the epoch is of one file alone, so what is left over from another can never pass."""
    assert decode_frame(encode_frame(frame, EPOCH), 0, EPOCH + 1) is None
    assert decode_slot(encode_slot(slot, EPOCH), 0, EPOCH + 1) is None


@given(SLOTS, st.integers(0, 8 * SLOT_BYTES - 1))
def test_a_flipped_bit_is_no_slot(slot: Slot, bit: int) -> None:
    data = bytearray(encode_slot(slot, EPOCH))
    data[bit // 8] ^= 1 << bit % 8
    assert decode_slot(bytes(data), 0, EPOCH) is None


def test_slots_never_straddle_a_sector() -> None:
    """J5: a torn write leaves each of them whole or untouched."""
    assert 512 % SLOT_BYTES == 0


def whole(payload: bytes) -> bytes:
    """A slot area of one slot, then one frame."""
    from crc32c import crc32c

    crc = crc32c(payload)
    frame = Frame(0, 7, 3, len(payload), crc, 0, 0, 0)
    slot = Slot(7, 3, SLOT_BYTES, len(payload), crc, 0, 0)
    return encode_slot(slot, EPOCH) + encode_frame(frame, EPOCH) + payload + padding(len(payload))


@given(st.binary(max_size=40), st.data())
def test_a_frame_and_its_slot_are_whole_or_not(payload: bytes, data: st.DataObject) -> None:
    """J4, J5: any bit of head, payload or slot counts; those of the padding do not."""
    record = whole(payload)
    assert len(record) == SLOT_BYTES + frame_bytes(len(payload))
    found = read_whole(record, SLOT_BYTES, 0, 0, EPOCH)
    assert found is not None
    assert (found.log_index, found.term) == (7, 3)
    counted = SLOT_BYTES + FRAME_HEAD_BYTES + len(payload)
    bit = data.draw(st.integers(0, 8 * counted - 1))
    damaged = bytearray(record)
    damaged[bit // 8] ^= 1 << bit % 8
    assert read_whole(bytes(damaged), SLOT_BYTES, 0, 0, EPOCH) is None


def test_a_damaged_payload_does_not_hide_the_head() -> None:
    """J4: two checksums, so that one part vouches for itself without the other."""
    record = bytearray(whole(b"payload"))
    record[SLOT_BYTES + FRAME_HEAD_BYTES] ^= 1
    frame = decode_frame(bytes(record), SLOT_BYTES, EPOCH)
    assert frame is not None
    assert frame.log_index == 7
