"""Disk space set aside, so that a member whose disk is full can still delete and recover.

    <data-dir>/reserve    blocks that hold nothing

The alarm NOSPACE is raised while the file is still there.  When space goes on shrinking, or a
write finds none, the file is given up, which leaves room for the journal's next segments and the
store's next commits; it is made again when there is plenty.
"""

import errno
import logging
import os
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
RESERVE_BYTES = 64 << 20
# On a small file system the reserve is this part of it at most.
_PART_OF_DISK = 16


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """Bytes of a member's store, and of its disk once all of it is there.

    The states of `corrupt_members` differ from those of the others; `forgetful_members` came back
    from a restart with less than they had acknowledged.
    """

    store_bytes: int
    disk_free_bytes: int
    disk_reserve_bytes: int
    corrupt_members: frozenset[int]
    forgetful_members: frozenset[int] = frozenset()


class Reserve:
    """The file that holds space for bad times."""

    def __init__(self, data_dir: Path, size_bytes: int = RESERVE_BYTES) -> None:
        """Look at the file system; nothing is set aside before `look`."""
        self._path = data_dir / "reserve"
        self._data_dir = data_dir
        total = _space(data_dir)[1]
        self.size_bytes = min(size_bytes, total // _PART_OF_DISK)

    @property
    def is_held(self) -> bool:
        """Whether space is set aside now."""
        return self._path.exists()

    def free_bytes(self) -> int:
        """What is free on the disk besides the reserve."""
        return _space(self._data_dir)[0]

    def look(self) -> None:
        """Set space aside when there is plenty; give it up when nothing else is left."""
        free = self.free_bytes()
        if self.is_held:
            if free < self.size_bytes // 2:
                self.release()
        elif free > 3 * self.size_bytes:
            self._take()

    def release(self) -> None:
        """Give the space up."""
        if self.is_held:
            self._path.unlink()
            logger.warning("the disk is full: %d reserved bytes are given up", self.size_bytes)

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, max(1, self.size_bytes))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._path.unlink()
        finally:
            os.close(descriptor)


def _space(path: Path) -> tuple[int, int]:
    """Free and all bytes of the file system that holds `path`."""
    found = os.statvfs(path if path.exists() else path.parent)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
