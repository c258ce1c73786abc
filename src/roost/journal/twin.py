"""A small record kept in two files, so that a torn write never costs both copies.

Each copy, in `<name>.a` and `<name>.b`:

     0   4x   magic  b"ROO2"
     4   u32  format
     8   u64  sequence number, +1 with each save
    16   u32  body length
    20   16x  blake2b-128 of everything else in the record
    36        body, JSON

`save` writes and syncs `.a`, then `.b`.  `load` takes the valid copy with the higher number; a
torn copy is left of the other's state.  Both invalid is damage: nothing is guessed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from struct import Struct

from roost.journal.disk import Disk, File, read_or_zeros
from roost.journal.errors import JournalDamaged, UnknownFormat
from roost.raft.types import COUNT_MAX

MAGIC = b"ROO2"
FORMAT = 1
_HEAD = Struct("<4sIQI16s")
BODY_BYTES_MAX = 1 << 20


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(head + body, digest_size=16).digest()


def _encode(sequence: int, body: bytes) -> bytes:
    bare = _HEAD.pack(MAGIC, FORMAT, sequence, len(body), bytes(16))
    return _HEAD.pack(MAGIC, FORMAT, sequence, len(body), _digest(bare, body)) + body


def _decode(record: bytes) -> tuple[int, bytes] | None:
    """The sequence number and body, or None when the copy is not valid."""
    if len(record) < _HEAD.size:
        return None
    magic, file_format, sequence, length, digest = _HEAD.unpack_from(record)
    body = record[_HEAD.size : _HEAD.size + length]
    bare = _HEAD.pack(magic, file_format, sequence, length, bytes(16))
    # The digest is over the head, too: a flipped bit of the number would make the older copy the
    # newer one.
    if magic != MAGIC or len(body) != length or digest != _digest(bare, body):
        return None
    if sequence > COUNT_MAX:
        return None  # the next could not be written
    # Only a record that is whole may say that it is of another format: a damaged one would send
    # people to look for a version of Roost that there never was.
    if file_format != FORMAT:
        raise UnknownFormat(f"record format {file_format}, this version knows {FORMAT}")
    return sequence, body


class Twin:
    """The two files of one record, kept open."""

    def __init__(self, disk: Disk, directory: Path, name: str) -> None:
        """Open both copies, making them if they are not there."""
        self._paths = [directory / f"{name}.a", directory / f"{name}.b"]
        self._is_new = not any(disk.exists(path) for path in self._paths)
        self._files: list[File] = [disk.open(path, create=True) for path in self._paths]
        self._sizes = [file.size() for file in self._files]
        # Both names are durable before anything is written: a record whose files are gone after
        # a crash would be taken for one that was never saved.
        if self._is_new:
            disk.sync_directory(directory)
        self._sequence = 0
        # Whether the last `load` found a copy that is not the newest; `save` repairs it.
        self.is_damaged = False

    def load(self) -> bytes | None:
        """The newest valid body; None when the record was never saved.

        Raises:
            JournalDamaged: both copies hold bytes, and neither is valid.
            UnknownFormat: a newer version wrote them.

        """
        copies = [read_or_zeros(file, _HEAD.size + BODY_BYTES_MAX) for file in self._files]
        valid = _valid(copies, self._paths[0])
        if not valid:
            return None
        # The higher number is the newer body.  It may be one that was never acknowledged: a crash
        # after the first copy leaves it alone.  That is as well, for nobody was told either way;
        # what matters is that it is never taken back, and the owner saves it again.
        self._sequence, body = max(valid)
        self.is_damaged = valid != [(self._sequence, body)] * len(self._files)
        return body

    def save(self, body: bytes) -> None:
        """Make `body` the durable record: the first copy is synced before the second is touched."""
        assert len(body) <= BODY_BYTES_MAX, "the record stays small"
        self._sequence += 1
        record = _encode(self._sequence, body)
        # At each instant one copy is whole: the old one while the first is written, the new one
        # while the second is.  A device that tears a write tears what is being written (J24).
        for position, file in enumerate(self._files):
            file.pwrite([record], 0)
            # A shorter record leaves the end of a longer one behind it; the length in the head
            # says where to stop, so the size of the file only grows and rarely costs a sync.
            if len(record) > self._sizes[position]:
                self._sizes[position] = len(record)
                file.sync_all()
            else:
                file.sync_data()

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()


def _valid(copies: Sequence[bytes], first: Path) -> list[tuple[int, bytes]]:
    """What the valid ones of the copies say; nothing when no record was ever saved.

    Raises:
        JournalDamaged: all copies hold bytes, and none is valid.

    """
    valid = [decoded for copy in copies if (decoded := _decode(copy)) is not None]
    # A crash while the very first record is written leaves one torn copy and an empty one.
    if not valid and all(any(copy) for copy in copies):
        raise JournalDamaged(first, 0, 0, "neither copy of the record is valid")
    return valid


def peek_record(disk: Disk, directory: Path, name: str) -> bytes | None:
    """What `Twin.load` says of a record, leaving no trace: no file is made, and none repaired.

    Raises:
        JournalDamaged, UnknownFormat: see `Twin.load`.

    """
    paths = [directory / f"{name}.a", directory / f"{name}.b"]
    copies = [_read_copy(disk, path) if disk.exists(path) else b"" for path in paths]
    valid = _valid(copies, paths[0])
    return max(valid)[1] if valid else None


def _read_copy(disk: Disk, path: Path) -> bytes:
    file = disk.open(path)
    try:
        return read_or_zeros(file, _HEAD.size + BODY_BYTES_MAX)
    finally:
        file.close()
