"""Backups: the files that `roost snapshot save` writes, written and read (D6).

A full backup is a copy of the store, LMDB's own file, with the SHA-256 of it behind it: what
`Maintenance.Snapshot` streams, to any client of etcd's.

An increment holds what was written behind a backup, integers little-endian:

     0  4x  magic b"RINC"     4  u32 format
     8  u64 index            16  u64 term      of the last entry of the backup it follows
    24  u64 cluster           whose entries they are
    32      pages: u32 length, u32 crc32c, entries as `files` encodes them
            u32 0, u64 last index, u64 last term, 32x SHA-256 of everything before

Clusters count their entries alike, so neither index nor term tells whether one follows another.

What is written is read back before it has its name, and nobody else writes a file of that name
meanwhile.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.directories import sync_directory
from roost.member.errors import BackupDamaged, BackupFailed
from roost.member.snapshots.files import decode_entries
from roost.raft import Entry
from roost.store import GUID_KEY, StoreError, read_applied_file, read_metadata

DIGEST_BYTES = 32
_MAGIC, _FORMAT = b"RINC", 2
_HEAD = Struct("<4sIQQQ")
_PAGE = Struct("<II")
_END = Struct("<IQQ")
_COPY_BYTES = 1 << 20
_PAGE_BYTES_MAX = 256 << 20
# What file systems answer that have no locks.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})
# What that means to who has such a file.
NO_BACKUP = ": it is no backup, or is damaged, or not all of it came: take another one"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds: the log position it ends at, its size and its digest.

    `cluster_id` is whose it is; an increment follows `base_index`, an entry of `base_term`.
    """

    path: Path
    is_full: bool
    index: int
    term: int
    base_index: int
    size_bytes: int
    digest: str
    cluster_id: int = 0
    base_term: int = 0


def _nobody(_count: int) -> None:
    """Nobody wants to know how far it is."""


def part_of(path: Path) -> Path:
    """Where a backup is written before all of it is there."""
    return path.with_name(path.name + ".part")


class FileWriter:
    """A file that appears under its name only when it is whole; use it as a context manager.

    Whoever begins to write one that another process is writing is refused.
    """

    def __init__(self, path: Path) -> None:
        """Begin `path`.part.

        Raises:
            BackupFailed: somebody writes it.

        """
        self._path = path
        self.part = part_of(path)
        descriptor = os.open(self.part, os.O_CREAT | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._is_named = False
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        try:
            self._claim()
        except BaseException:
            self._file.close()
            raise

    def _claim(self) -> None:
        """Have the file for ourselves, and empty it."""
        descriptor = self._file.fileno()
        is_ours = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have got its name between the opening and the lock.
            is_ours = os.path.samestat(os.fstat(descriptor), self.part.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not is_ours:
            raise BackupFailed(
                f"{self._path} is being written by another process: wait until that is done, or "
                "save under another name"
            )
        os.ftruncate(descriptor, 0)

    def __enter__(self) -> "FileWriter":
        """Nothing more."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close; what is not finished is removed."""
        if not self._is_named:
            self.part.unlink(missing_ok=True)
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    def digest(self) -> bytes:
        """The SHA-256 of what was written so far."""
        return self._digest.digest()

    def sync(self) -> None:
        """Make durable what is there."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, path: Path | None = None) -> None:
        """Make it durable under its name, or another one beside it."""
        self.sync()
        final = path or self._path
        self.part.rename(final)
        self._is_named = True
        sync_directory(final.absolute().parent)


def write_checked(
    path: Path,
    blobs: Iterable[bytes],
    hear: Callable[[int], None] = _nobody,
    name: Callable[[Backup], str] | None = None,
) -> Backup:
    """Save a whole backup, under its name or that which `name` gives it.

    A file that is there stays until this one was read back; `hear` is told how many bytes of it
    were, again and again.

    Raises:
        BackupDamaged: it is none.
        BackupFailed: somebody writes it.

    """
    with FileWriter(path) as file:
        for blob in blobs:
            file.write(blob)
        return _named(file, path, hear, name)


def _named(
    file: FileWriter,
    path: Path,
    hear: Callable[[int], None] = _nobody,
    name: Callable[[Backup], str] | None = None,
) -> Backup:
    file.sync()
    held = read_backup(file.part, hear)
    final = path if name is None else path.with_name(name(held))
    file.finish(final)
    return replace(held, path=final)


def write_increment(path: Path, base: Backup, blobs: Iterable[bytes]) -> Backup:
    """Save what was written behind `base`.

    Raises:
        BackupDamaged: it does not follow it.
        BackupFailed: somebody writes it.

    """
    index, term = base.index, base.term
    with FileWriter(path) as file:
        file.write(_HEAD.pack(_MAGIC, _FORMAT, index, term, base.cluster_id))
        for blob in blobs:
            for entry in _decode(path, blob):
                if entry.index != index + 1:
                    raise BackupDamaged(f"entry {entry.index} was sent behind entry {index}")
                index, term = entry.index, entry.term
            file.write(_PAGE.pack(len(blob), crc32c(blob)) + blob)
        file.write(_END.pack(0, index, term))
        file.write(file.digest())
        return _named(file, path)


def read_backup(path: Path, hear: Callable[[int], None] = _nobody) -> Backup:
    """Check a file and say what it holds; `hear` is told how many bytes were read so far.

    Raises:
        BackupDamaged: it is no backup, or not what was saved.

    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = size - DIGEST_BYTES
        while left > 0 and (data := file.read(min(left, _COPY_BYTES))):
            digest.update(data)
            left -= len(data)
            hear(size - DIGEST_BYTES - left)
        if left or file.read() != digest.digest():
            raise BackupDamaged(f"{path}: the digest at its end is not that of the file{NO_BACKUP}")
        file.seek(0)
        if file.read(len(_MAGIC)) == _MAGIC:
            return _read_increment(path, size, digest.hexdigest())
    try:
        index, term = read_applied_file(path)
        guid = read_metadata(path, GUID_KEY) or b""
    except StoreError as error:
        text = "it is no store of Roost's; `roost import` takes etcd's snapshots"
        raise BackupDamaged(f"{path}: {text} ({error})") from error
    cluster_id = int.from_bytes(guid, "big")
    return Backup(path, True, index, term, 0, size, digest.hexdigest(), cluster_id)


def _read_increment(path: Path, size: int, digest: str) -> Backup:
    """What one holds whose digest is right."""
    content_bytes = size - DIGEST_BYTES - _END.size
    if content_bytes < _HEAD.size:
        raise BackupDamaged(f"{path}: it is too short for an increment")
    with path.open("rb") as file:
        _, file_format, base_index, base_term, cluster_id = _HEAD.unpack(file.read(_HEAD.size))
        if file_format != _FORMAT:
            raise BackupDamaged(f"{path}: format {file_format}, this version knows {_FORMAT}")
        file.seek(content_bytes)
        _, index, term = _END.unpack(file.read(_END.size))
    return Backup(path, False, index, term, base_index, size, digest, cluster_id, base_term)


def entries_of(backup: Backup) -> Iterable[Entry]:
    """What an increment holds, entry by entry.

    Raises:
        BackupDamaged: a page has changed, or is not what follows the one before.

    """
    last = backup.base_index
    with backup.path.open("rb") as file:
        file.seek(_HEAD.size)
        while True:
            said = file.read(_PAGE.size)
            if len(said) < _PAGE.size:
                raise BackupDamaged(f"{backup.path}: it ends in the middle of a page")
            length, crc = _PAGE.unpack(said)
            if not length:
                break
            if length > _PAGE_BYTES_MAX:
                raise BackupDamaged(f"{backup.path}: a page of {length} bytes")
            blob = file.read(length)
            if crc32c(blob) != crc:
                raise BackupDamaged(f"{backup.path}: a page has changed")
            for entry in _decode(backup.path, blob):
                if entry.index != last + 1:
                    raise BackupDamaged(f"{backup.path}: entry {entry.index} behind entry {last}")
                last = entry.index
                yield entry
    if last != backup.index:
        raise BackupDamaged(f"{backup.path}: it ends at entry {last}, not {backup.index}")


def _decode(path: Path, blob: bytes) -> list[Entry]:
    try:
        return decode_entries(blob)
    except ValueError as error:
        raise BackupDamaged(f"{path}: {error}") from error
