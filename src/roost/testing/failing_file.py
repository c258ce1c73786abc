"""A file on FUSE whose writes fail in chosen ranges, to be the device beneath a file system.

    python -m roost.testing.failing_file MOUNT_POINT BACKING_FILE RANGES_FILE

`MOUNT_POINT/disk.img` is BACKING_FILE, but a write that touches a range named in RANGES_FILE, a
line each of two numbers of bytes, `begin end`, answers EIO and changes nothing.  A missing
RANGES_FILE names none.  It runs until it is unmounted.
"""

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any


class FailingFile:
    """One directory with one file; what FUSE asks besides is the library's `Operations`'."""

    use_ns = True

    def __init__(self, backing: Path, ranges: Path) -> None:
        """`backing` exists and keeps its size."""
        self._descriptor = os.open(backing, os.O_RDWR)
        self._size = backing.stat().st_size
        self._ranges = ranges

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """The directory, or the file."""
        del fh
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == "/disk.img":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}
        raise OSError(errno.ENOENT, path)

    def readdir(self, path: str, fh: int) -> list[str]:
        """The one file."""
        del path, fh
        return [".", "..", "disk.img"]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Whatever is there."""
        del path, fh
        return os.pread(self._descriptor, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """All of it, or EIO and nothing."""
        del fh
        end = offset + len(data)
        if any(offset < stop and begin < end for begin, stop in self._failing()):
            raise OSError(errno.EIO, path)
        return os.pwrite(self._descriptor, data, offset)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """Write through to the backing file."""
        del path, datasync, fh
        os.fdatasync(self._descriptor)
        return 0

    def _failing(self) -> list[tuple[int, int]]:
        try:
            lines = self._ranges.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(int(begin), int(end)) for begin, end in map(str.split, lines)]


def main() -> None:
    """Serve until somebody unmounts."""
    # Loads libfuse at once, which not every machine has that only wants to know this module.
    import mfusepy

    class Served(FailingFile, mfusepy.Operations):  # type: ignore[misc] # it has no types
        """Operations of the library, with ours before them."""

    mount_point, backing, ranges = sys.argv[1:]
    file = Served(Path(backing), Path(ranges))
    mfusepy.FUSE(file, mount_point, foreground=True, nothreads=True, direct_io=True)


if __name__ == "__main__":
    main()
