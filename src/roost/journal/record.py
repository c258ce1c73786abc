"""Frames and identifier slots, format 1.  All integers little-endian.

A frame is an entry with a 64-byte head; frames follow each other at multiples of 8:

     0  4x   magic b"RFRM"
     4  u8   kind     EntryKind, or 255 for TRUNCATE (drop everything from `index` on)
     5  3x   zeros
     8  u64  epoch    of the segment: bytes left over from another file can never pass
    16  u64  index
    24  u64  term
    32  u32  length   of the payload, 0 … PAYLOAD_BYTES_MAX
    36  u32  crc32c of the payload
    40  u32  chain    the previous frame's payload crc; 0 for a segment's first
    44  u32  position number of this frame in its segment, from 0
    48  u32  batch delta  position - position of the first frame of its sync batch
    52  8x   zeros
    60  u32  crc32c of bytes 0 … 59
    64       payload, then zeros to the next multiple of 8

A slot names a frame once more, far from it, so that damage to either is told apart from a torn
write (PAR, FAST'18); 64 bytes never straddle a sector:

     0  u64  index       8  u64  term       16  u64  offset of the frame in the file
    24  u32  length     28  u32  payload crc32c     32  u32  batch delta   36  u8 kind  37 3x
    40  u64  epoch      48  12x  zeros      60  u32  crc32c of bytes 0 … 59

Two checksums in a frame: a damaged head must not hide an intact payload, nor the reverse (J4).
"""

from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c

FRAME_MAGIC: Final = b"RFRM"
TRUNCATE: Final = 255
FRAME_HEAD_BYTES: Final = 64
SLOT_BYTES: Final = 64
# Before a length is believed it is held against this and against the file's end (J6): a flipped
# bit of it must not make a start ask for gigabytes.
PAYLOAD_BYTES_MAX: Final = 64 << 20

_FRAME: Final = Struct("<4sB3xQQQIIIII8x")
_SLOT: Final = Struct("<QQQIIIB3xQ12x")
_CRC: Final = Struct("<I")
# Made once: there is one behind nearly every payload.
_PADDING: Final = tuple(bytes(count) for count in range(8))

assert _FRAME.size == FRAME_HEAD_BYTES - 4, "a frame's head is 64 bytes with its checksum"
assert _SLOT.size == SLOT_BYTES - 4, "a slot is 64 bytes with its checksum"


class Frame(NamedTuple):
    """A frame's head, as it was read; the payload is at the head's offset + 64."""

    kind: int
    log_index: int
    term: int
    length: int
    payload_crc: int
    chain: int
    position: int
    batch_delta: int


class Slot(NamedTuple):
    """A slot, as it was read."""

    log_index: int
    term: int
    offset: int
    length: int
    payload_crc: int
    batch_delta: int
    kind: int


def frame_bytes(length: int) -> int:
    """Bytes a frame with a payload of `length` takes in the file."""
    return FRAME_HEAD_BYTES + ((length + 7) & ~7)


def padding(length: int) -> bytes:
    """The zeros after a payload of `length`."""
    return _PADDING[-length % 8]


def encode_frame(frame: tuple[int, int, int, int, int, int, int, int], epoch: int) -> bytes:
    """Build a frame's head from the fields of `Frame`; a plain tuple does for hot paths."""
    # The checksum of the payload stands in the head, and the head's own covers it: so a whole
    # head says what the payload must be, also when the payload is not that.
    head = _FRAME.pack(FRAME_MAGIC, frame[0], epoch, *frame[1:])
    return head + _CRC.pack(crc32c(head))


def decode_frame(data: bytes, offset: int, epoch: int) -> Frame | None:
    """Read a frame's head; None when it is not a valid one of this epoch."""
    head = data[offset : offset + FRAME_HEAD_BYTES]
    # The magic first: most places that are asked hold payloads or zeros, and need no checksum.
    if len(head) < FRAME_HEAD_BYTES or head[:4] != FRAME_MAGIC:
        return None
    if _CRC.unpack_from(head, 60)[0] != crc32c(head[:60]):
        return None
    # Whole, and of another epoch: a frame of an older life of these blocks (J2).
    _, kind, frame_epoch, *rest = _FRAME.unpack_from(head)
    return Frame(kind, *rest) if frame_epoch == epoch else None


def read_whole(
    data: bytes, offset: int, slot_offset: int, position: int, epoch: int
) -> Frame | None:
    """The frame at `offset` when all of it, and its slot, are as they must be; None otherwise.

    What most frames are: one look at each byte, and no more objects than the answer.
    """
    head = data[offset : offset + FRAME_HEAD_BYTES]
    if len(head) < FRAME_HEAD_BYTES or crc32c(head[:60]) != int.from_bytes(head[60:], "little"):
        return None
    magic, kind, frame_epoch, index, term, length, payload_crc, chain, at, delta = (
        _FRAME.unpack_from(head)
    )
    # Whole, and not ours: what was here before the file was, or a frame that landed in another
    # one's place.
    if magic != FRAME_MAGIC or frame_epoch != epoch or at != position:
        return None
    begin = offset + FRAME_HEAD_BYTES
    payload = data[begin : begin + length]
    if len(payload) != length or crc32c(payload) != payload_crc or length > PAYLOAD_BYTES_MAX:
        return None
    # The slot is not decoded: it is what this frame's slot would be, byte for byte, or not.
    body = _SLOT.pack(index, term, offset, length, payload_crc, delta, kind, epoch)
    if data[slot_offset : slot_offset + SLOT_BYTES] != body + _CRC.pack(crc32c(body)):
        return None
    return Frame(kind, index, term, length, payload_crc, chain, at, delta)


def encode_slot(slot: tuple[int, int, int, int, int, int, int], epoch: int) -> bytes:
    """Build a slot from the fields of `Slot`; a plain tuple does for hot paths."""
    body = _SLOT.pack(*slot, epoch)
    return body + _CRC.pack(crc32c(body))


def decode_slot(data: bytes, offset: int, epoch: int) -> Slot | None:
    """Read a slot; None when it is not a valid one of this epoch."""
    body = data[offset : offset + SLOT_BYTES]
    if len(body) < SLOT_BYTES or _CRC.unpack_from(body, 60)[0] != crc32c(body[:60]):
        return None
    *fields, slot_epoch = _SLOT.unpack_from(body)
    return Slot(*fields) if slot_epoch == epoch else None
