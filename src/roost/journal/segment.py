"""A segment file: `wal/<sequence>-<first index>.wal`, of fixed size, written with zeros first.

         0        head, 512 bytes        and once more at 4096
      1024        mark, 24 bytes: 4x b"RMRK", u32 crc32c of the rest, u64 epoch, u64 how many
                  frames are certainly durable; written when the journal is idle
      8192        slot area: SLOT_COUNT slots of 64 bytes (see `record`)
      8192 + 64 x SLOT_COUNT
                  data area: frames, to the end of the file

The head, little-endian:

     0  4x   magic b"RSEG"     4  u32  format       8  u64  cluster id    16  u64  member id
    24  u64  sequence         32  u64  epoch       40  u64  first index   48  u64  slot count
    56  u64  file size        64  u64  frames in the segment before (its seal, J28)
    72  u32  crc32c of bytes 0 … 71

A segment file is never recycled for another; the epoch, 64 random bits, is in every frame and
slot, so bytes of another life of the same blocks are never taken for ours (J2).
"""

from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from crc32c import crc32c

from roost.journal.disk import Disk, File, read_or_zeros, write_zeros
from roost.journal.errors import JournalDamaged, UnknownFormat, WrongIdentity
from roost.journal.identity import Identity
from roost.journal.record import SLOT_BYTES, frame_bytes

MAGIC: Final = b"RSEG"
FORMAT = 1
# The two heads lie in blocks of their own, 4,096 bytes apart, and no slot or frame shares one with
# them: what writes entries never touches the sectors that say whose they are, and no block that a
# device loses costs both.
SLOTS_OFFSET: Final = 8192
_COPIES = (0, 4096)
_HEAD: Final = Struct("<4sIQQQQQQQQ")
_CRC: Final = Struct("<I")
_MARK_MAGIC: Final = b"RMRK"
_MARK_OFFSET: Final = 1024
_MARK_BODY: Final = Struct("<QQ")


@dataclass(slots=True)
class Segment:
    """One segment; `position` and `offset` say where the next frame goes."""

    path: Path
    sequence: int
    epoch: int
    first_index: int
    slot_count: int
    size: int
    frames_before: int = 0
    file: File | None = None
    # The next frame's number, its place in the file, and the checksum that it continues.  They
    # are what is decided, which may be ahead of what is written.
    position: int = 0
    offset: int = 0
    chain: int = 0
    # How many frames the newest mark of this process vouches for; never more than `position`.
    marked: int = 0

    def __post_init__(self) -> None:
        """Start at the beginning of the data area."""
        if not self.offset:
            self.offset = self.data_offset

    @property
    def data_offset(self) -> int:
        """Where frames begin."""
        return SLOTS_OFFSET + self.slot_count * SLOT_BYTES

    def invariants(self) -> None:
        """Assert that what was placed is inside the file, and that what is marked was placed."""
        assert 0 <= self.marked <= self.position <= self.slot_count, "a slot a frame"
        assert self.data_offset <= self.offset <= self.size, "frames lie in the data area"

    def has_room(self, length: int) -> bool:
        """Whether one more frame with a payload of `length` fits."""
        return self.position < self.slot_count and self.offset + frame_bytes(length) <= self.size

    def slot_offset(self, position: int) -> int:
        """Where the slot of a frame is."""
        return SLOTS_OFFSET + position * SLOT_BYTES


def segment_path(directory: Path, sequence: int, first_index: int) -> Path:
    """The file's name says its order and where it begins."""
    return directory / f"{sequence:016x}-{first_index:016x}.wal"


def size_for(length: int, slot_count: int, size: int) -> int:
    """The file size for a segment that must take a payload of `length`: `size`, or larger."""
    return max(size, SLOTS_OFFSET + slot_count * SLOT_BYTES + frame_bytes(length))


def write_blank(disk: Disk, path: Path, size: int) -> None:
    """Write a file of zeros and make it durable; its name is not yet."""
    file = disk.open(path, create=True)
    try:
        # A leftover that is larger was begun for an entry that had a segment to its measure.  It is
        # rare, and a new file needs no call of the disk that nothing else does.
        if file.size() > size:
            disk.unlink(path)
            file.close()
            file = disk.open(path, create=True)
        write_zeros(file, size)
        file.sync_all()
    finally:
        file.close()


def install(disk: Disk, blank: Path, segment: Segment, identity: Identity) -> None:
    """Turn a blank file into `segment`: head, sync, name, sync of the directory (J3)."""
    body = _HEAD.pack(
        MAGIC,
        FORMAT,
        identity.segment_cluster_id,
        identity.member_id,
        segment.sequence,
        segment.epoch,
        segment.first_index,
        segment.slot_count,
        segment.size,
        segment.frames_before,
    )
    head = body + _CRC.pack(crc32c(body))
    # Under its old name the file is nobody's: a crash before the rename leaves a spare, which the
    # next start removes.  After it the head is whole, for it was synced first.
    file = disk.open(blank)
    for offset in _COPIES:
        file.pwrite([head], offset)
    file.sync_all()
    disk.rename(blank, segment.path)
    # Some file systems lose a rename in a crash though the file itself was synced (J14).
    disk.sync_directory(segment.path.parent)
    segment.file = file


def write_mark(file: File, epoch: int, count: int) -> None:
    """Say durably that `count` frames are durable."""
    # In place, in one sector: torn, the mark says nothing, and nothing is what was said before
    # there was one.  It is only ever a witness for, never against.
    body = _MARK_BODY.pack(epoch, count)
    file.pwrite([_MARK_MAGIC + _CRC.pack(crc32c(body)) + body], _MARK_OFFSET)
    file.sync_data()


def read_mark(data: bytes, epoch: int) -> int:
    """How many frames are certainly durable; 0 when nothing says so."""
    mark = data[_MARK_OFFSET : _MARK_OFFSET + 8 + _MARK_BODY.size]
    if mark[:4] != _MARK_MAGIC or _CRC.unpack_from(mark, 4)[0] != crc32c(mark[8:]):
        return 0
    held_epoch, count = _MARK_BODY.unpack_from(mark, 8)
    return int(count) if held_epoch == epoch else 0


def open_segment(disk: Disk, path: Path, identity: Identity) -> Segment:
    """Open a segment by its head; its end is found by recovery.

    What a file lacks at its end is filled with zeros, which recovery takes for damage.

    Raises:
        JournalDamaged: neither copy of the head is valid.
        WrongIdentity: it is another member's.

    """
    file = disk.open(path)
    for offset in _COPIES:
        head = read_or_zeros(file, _HEAD.size + _CRC.size, offset)
        if len(head) < _HEAD.size + _CRC.size:
            continue
        body = head[: _HEAD.size]
        if head[:4] != MAGIC or _CRC.unpack_from(head, _HEAD.size)[0] != crc32c(body):
            continue
        _, file_format, cluster, member, sequence, epoch, first, slots, size, before = _HEAD.unpack(
            body
        )
        # The head is whole, so this is no damage: it is to be said by name, before anything in the
        # file is taken for rot and sent for repair.
        if file_format != FORMAT:
            raise UnknownFormat(f"{path.name}: segment format {file_format}, we know {FORMAT}")
        if (cluster, member) != (identity.segment_cluster_id, identity.member_id):
            raise WrongIdentity(f"{path.name} belongs to member {member:x} of {cluster:x}")
        # A file that was cut, by a copy that stopped, say: with zeros at its end everything that
        # follows is judged by one rule, and not by how a read happens to end.
        if (have := file.size()) < size:
            write_zeros(file, size - have, have)
            file.sync_all()
        return Segment(path, sequence, epoch, first, slots, size, before, file)
    raise JournalDamaged(path, 0, 0, "neither copy of the segment's head is valid")
