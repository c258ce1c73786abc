"""The only module that touches the file system for the journal.

`Disk` is what the journal asks of a device; `OsDisk` is the real one.  Tests and the simulator
bring their own, with faults.  Every error is an `OSError`; the journal turns it into
`JournalBroken` and never tries again.
"""

import ctypes
import fcntl
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from typing import Protocol

from roost.directories import sync_directory

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
_ZEROS = bytes(1 << 20)
# The kernel takes 1,024 buffers a call.
_IOV_MAX = 1000
# What a device reads or fails to read as one, at the least.
_BLOCK_BYTES = 512
# linux/stat.h: the mask, the offset of stx_mnt_id, and the size of struct statx.
_STATX_MNT_ID_UNIQUE, _STATX_MNT_ID_OFFSET, _STATX_BYTES = 0x4000, 0x90, 256
_AT_FDCWD = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """What a directory says of one name: permission bits, the owner's number, the kind."""

    mode: int
    owner: int
    is_link: bool
    is_directory: bool


class File(Protocol):
    """An open file; every write goes to a stated offset."""

    def pread(self, count: int, offset: int) -> bytes:
        """Read up to `count` bytes."""

    def pwrite(self, buffers: Sequence[bytes], offset: int) -> None:
        """Write all buffers one after another, or raise."""

    # Two kinds of sync, since the difference is what a put costs: the first need not write any
    # metadata where the file was laid out before (J3).
    def sync_data(self) -> None:
        """Make the content durable; the size must not have changed since `sync_all`."""

    def sync_all(self) -> None:
        """Make content and size durable."""

    def size(self) -> int:
        """Bytes in the file."""

    def close(self) -> None:
        """Give the descriptor back."""


class Disk(Protocol):
    """A file system, as far as the journal needs one."""

    def make_directory(self, path: Path) -> None:
        """Create a private directory if it is not there."""

    def list_directory(self, path: Path) -> list[str]:
        """Names in a directory, sorted."""

    def exists(self, path: Path) -> bool:
        """Whether there is such a file."""

    def facts(self, path: Path, *, follows: bool) -> "PathFacts":
        """Who owns a path and who may use it; of what a link leads to when it `follows`."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """Open for reading and writing."""

    def rename(self, old: Path, new: Path) -> None:
        """Rename, replacing `new`."""

    def unlink(self, path: Path) -> None:
        """Remove a name."""

    def sync_directory(self, path: Path) -> None:
        """Make names durable."""

    def lock(self, path: Path) -> File | None:
        """Take the exclusive lock on a file, or None when somebody holds it."""

    def boot_id(self, path: Path) -> str:
        """Changes whenever the page cache of this directory is lost; empty when nobody can say."""


class OsFile:
    """A file of the operating system."""

    def __init__(self, fd: int) -> None:
        """Own the descriptor."""
        self._fd = fd

    def pread(self, count: int, offset: int) -> bytes:
        """Read until `count` bytes or the end of the file."""
        parts: list[bytes] = []
        while count > 0:
            # Less than was asked for is no error and not the end: only nothing is.
            part = os.pread(self._fd, count, offset)
            if not part:
                break
            parts.append(part)
            count -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pwrite(self, buffers: Sequence[bytes], offset: int) -> None:
        """Write all buffers; a short write is carried on, or fails."""
        # A short write is no error of its own, but what is not written must be, or must be said:
        # the batch counts as a whole (J10).  Only where the fast way falls short are the buffers
        # joined, which copies them.
        wanted = sum(map(len, buffers))
        if len(buffers) <= _IOV_MAX:
            written = os.pwritev(self._fd, buffers, offset)
            if written == wanted:
                return
        rest = memoryview(b"".join(buffers))
        written = 0
        while written < wanted:
            count = os.pwrite(self._fd, rest[written:], offset + written)
            if count == 0:
                # Neither done nor refused: to ask again could go on for ever, with callers waiting.
                raise OSError("a write made no progress")
            written += count

    def sync_data(self) -> None:
        """Call fdatasync."""
        os.fdatasync(self._fd)

    def sync_all(self) -> None:
        """Call fsync."""
        os.fsync(self._fd)

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


# Locks that are held here.  A fork has what its parent had open, and would hold them, too, for as
# long as it lives: nobody could open the directory again, whatever became of the parent.
_lock_descriptors: set[int] = set()


def _let_go() -> None:
    """We are a fork: the locks are our parent's."""
    for fd in _lock_descriptors:
        os.close(fd)
    _lock_descriptors.clear()


os.register_at_fork(after_in_child=_let_go)


class _LockFile(OsFile):
    """A file whose lock is held until it is closed, or the process ends."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        _lock_descriptors.add(fd)

    def close(self) -> None:
        """Give the lock back; that of a parent is left alone."""
        if self._fd in _lock_descriptors:
            _lock_descriptors.remove(self._fd)
            super().close()


class OsDisk:
    """The file system of the operating system; files 0600, directories 0700 (J1)."""

    def make_directory(self, path: Path) -> None:
        """Create a private directory, and those above it, and make their names durable."""
        if path.is_dir():
            return
        if not path.parent.is_dir():
            # `parents=True` would make those above with the modes of everybody's files.
            self.make_directory(path.parent)
        # With the mode from the first moment on: a `chmod` afterwards leaves an instant in which
        # somebody may look in.
        path.mkdir(mode=DIRECTORY_MODE)
        self.sync_directory(path.parent)

    def list_directory(self, path: Path) -> list[str]:
        """Names in a directory, sorted."""
        return sorted(entry.name for entry in path.iterdir())

    def exists(self, path: Path) -> bool:
        """Whether there is such a file."""
        return path.exists()

    def facts(self, path: Path, *, follows: bool) -> PathFacts:
        """Who owns a path and who may use it; a link that leads nowhere is looked at itself."""
        found = path.stat() if follows and path.exists() else path.lstat()
        mode = found.st_mode
        return PathFacts(
            mode=stat.S_IMODE(mode),
            owner=found.st_uid,
            is_link=stat.S_ISLNK(mode),
            is_directory=stat.S_ISDIR(mode),
        )

    def open(self, path: Path, *, create: bool = False) -> OsFile:
        """Open for reading and writing; symbolic links are not followed."""
        # A link in our directory that somebody else put there must not have us write elsewhere.
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        return OsFile(os.open(path, flags, FILE_MODE))

    def rename(self, old: Path, new: Path) -> None:
        """Rename, replacing `new`."""
        # Durable with the next `sync_directory`, and at once or not at all: what replaces a file is
        # whole, or the old one is still there.
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        """Make names durable (J14)."""
        sync_directory(path)

    def lock(self, path: Path) -> OsFile | None:
        """Take the exclusive lock; the kernel gives it back when the process ends."""
        # flock, not a file that is there or not: after a crash nothing has to be cleaned up, and
        # a pid that is used again locks nobody out.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return _LockFile(fd)

    def boot_id(self, path: Path) -> str:
        """The kernel's boot id and the id of the mount, which no other mount ever has (J35)."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""  # not Linux: nobody can say
        # The boot alone is not enough: a file system that was taken away and mounted again has
        # lost its pages, in the same boot.  Where one of the two is not known nobody can say, and
        # a start takes the careful way.
        mount = unique_mount_id(path)
        return f"{boot}:{mount}" if mount else ""


def is_locked(path: Path) -> bool:
    """Whether somebody holds the exclusive lock on a file; one that is not there nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def unique_mount_id(path: Path) -> int:
    """The id of the mount that holds `path`, never used again; 0 before Linux 6.8.

    statx(2) with STATX_MNT_ID_UNIQUE, which the standard library does not offer: the older ids
    are used again after umount and mount, and would vouch for a cache that is gone.
    """
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return 0
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_MNT_ID_UNIQUE, buffer):
        return 0
    mask = int.from_bytes(buffer.raw[:4], sys.byteorder)
    begin = _STATX_MNT_ID_OFFSET
    mount = int.from_bytes(buffer.raw[begin : begin + 8], sys.byteorder)
    return mount if mask & _STATX_MNT_ID_UNIQUE else 0


def read_or_zeros(file: File, count: int, offset: int = 0) -> bytes:
    """Read up to `count` bytes; blocks that cannot be read count as zeros (J16)."""
    try:
        return file.pread(count, offset)
    except OSError as error:
        if error.errno != EIO:
            raise
    # Only now piece by piece: one bad sector in a segment of 16 MiB must not cost all of it.
    count = max(0, min(count, file.size() - offset))
    found = bytearray(count)
    for begin in range(0, count, _BLOCK_BYTES):
        try:
            block = file.pread(min(_BLOCK_BYTES, count - begin), offset + begin)
        except OSError as error:
            if error.errno != EIO:
                raise
        else:
            found[begin : begin + len(block)] = block
    return bytes(found)


def write_zeros(file: File, count: int, offset: int = 0) -> None:
    """Write zeros: unlike reserved blocks, written ones cost no metadata at a sync (J3)."""
    while count > 0:
        size = min(count, len(_ZEROS))
        file.pwrite([_ZEROS[:size]], offset)
        offset += size
        count -= size
