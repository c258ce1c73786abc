"""Backups: the files that `roost snapshot save` writes, written and read (D6).

A full backup is a copy of the store, LMDB's own file, with the SHA-256 of it behind it: what
`Maintenance.Snapshot` streams, to any client of etcd's.

An increment holds what was written behind a backup, integers little-endian:

     0  4x  magic b"RINC"     4  u32 format
     8  u64 index            16  u64 term      of the last entry of the backup it follows
    24      pages: u32 length, u32 crc32c, entries as `files` encodes them
            u32 0, u64 last index, u64 last term, 32x SHA-256 of everything before
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.directories import sync_directory
from roost.member.errors import BackupDamaged
from roost.member.snapshots.files import decode_entries
from roost.raft import Entry
from roost.store import StoreError, read_applied_file

DIGEST_BYTES = 32
_MAGIC, _FORMAT = b"RINC", 1
_HEAD = Struct("<4sIQQ")
_PAGE = Struct("<II")
_END = Struct("<IQQ")
_COPY_BYTES = 1 << 20
_PAGE_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds: the log position it ends at, its size and its digest."""

    path: Path
    is_full: bool
    index: int
    term: int
    base_index: int
    size_bytes: int
    digest: str


def _nobody(_count: int) -> None:
    """Nobody wants to know how far it is."""


def part_of(path: Path) -> Path:
    """Where a backup is written before all of it is there."""
    return path.with_name(path.name + ".part")


class FileWriter:
    """A file that appears under its name only when it is whole; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Begin `path`.part."""
        self._path = path
        self._part = part_of(path)
        descriptor = os.open(self._part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> "FileWriter":
        """Nothing more."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close; what is not finished is removed."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    def digest(self) -> bytes:
        """The SHA-256 of what was written so far."""
        return self._digest.digest()

    def finish(self) -> None:
        """Make it durable under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.rename(self._path)
        sync_directory(self._path.absolute().parent)


def write_full(path: Path, blobs: Iterable[bytes], hear: Callable[[int], None] = _nobody) -> Backup:
    """Save what `Maintenance.Snapshot` streams; it must end with its digest.

    `hear` is told how many bytes of it were read back, again and again.

    Raises:
        BackupDamaged: it does not.

    """
    with FileWriter(path) as file:
        for blob in blobs:
            file.write(blob)
        file.finish()
    try:
        return read_backup(path, hear)
    except BackupDamaged:
        path.unlink()
        raise


def write_increment(path: Path, base: Backup, blobs: Iterable[bytes]) -> Backup:
    """Save what was written behind `base`.

    Raises:
        BackupDamaged: it does not follow it.

    """
    index, term = base.index, base.term
    with FileWriter(path) as file:
        file.write(_HEAD.pack(_MAGIC, _FORMAT, index, term))
        for blob in blobs:
            for entry in _decode(path, blob):
                if entry.index != index + 1:
                    raise BackupDamaged(f"entry {entry.index} was sent behind entry {index}")
                index, term = entry.index, entry.term
            file.write(_PAGE.pack(len(blob), crc32c(blob)) + blob)
        file.write(_END.pack(0, index, term))
        file.write(file.digest())
        file.finish()
    return read_backup(path)


def read_backup(path: Path, hear: Callable[[int], None] = _nobody) -> Backup:
    """Check a file and say what it holds; `hear` is told how many bytes were read so far.

    Raises:
        BackupDamaged: it is no backup, or not what was saved.

    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        file.seek(0)
        left = size - DIGEST_BYTES
        while left > 0 and (data := file.read(min(left, _COPY_BYTES))):
            digest.update(data)
            left -= len(data)
            hear(size - DIGEST_BYTES - left)
        if left or file.read() != digest.digest():
            raise BackupDamaged(f"{path}: the digest at its end is not that of the file")
    if head[:4] == _MAGIC:
        _, file_format, base_index, _ = _HEAD.unpack(head)
        if file_format != _FORMAT:
            raise BackupDamaged(f"{path}: format {file_format}, this version knows {_FORMAT}")
        with path.open("rb") as file:
            file.seek(size - DIGEST_BYTES - _END.size)
            _, index, term = _END.unpack(file.read(_END.size))
        return Backup(path, False, index, term, base_index, size, digest.hexdigest())
    try:
        index, term = read_applied_file(path)
    except StoreError as error:
        text = "it is no store of Roost's; `roost import` takes etcd's snapshots"
        raise BackupDamaged(f"{path}: {text} ({error})") from error
    return Backup(path, True, index, term, 0, size, digest.hexdigest())


def entries_of(backup: Backup) -> Iterable[Entry]:
    """What an increment holds, entry by entry.

    Raises:
        BackupDamaged: a page has changed.

    """
    with backup.path.open("rb") as file:
        file.seek(_HEAD.size)
        while True:
            length, crc = _PAGE.unpack(file.read(_PAGE.size))
            if not length:
                return
            if length > _PAGE_BYTES_MAX:
                raise BackupDamaged(f"{backup.path}: a page of {length} bytes")
            blob = file.read(length)
            if crc32c(blob) != crc:
                raise BackupDamaged(f"{backup.path}: a page has changed")
            yield from _decode(backup.path, blob)


def _decode(path: Path, blob: bytes) -> list[Entry]:
    try:
        return decode_entries(blob)
    except ValueError as error:
        raise BackupDamaged(f"{path}: {error}") from error
