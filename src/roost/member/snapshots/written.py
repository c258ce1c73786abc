"""What was written behind a backup, on its way into an increment that a process makes of it.

A member's pages of entries (`Files.entries_since`) go into a file of its data directory, from which
the process reads them (`shelf_work`): u32 length, little-endian, and as many bytes, again and
again.  Whoever reads it began when all of it was written.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from struct import Struct

from roost.member.errors import BackupDamaged
from roost.member.snapshots.files import Files

_LENGTH = Struct("<I")
# What a process makes of it, beside it.
INCREMENT = ".inc"


@asynccontextmanager
async def lend_written(files: Files, index: int, term: int) -> AsyncIterator[Path]:
    """A file of what was written behind entry `index`, which is of `term`, while it is used.

    Raises:
        HistoryTrimmed, OtherHistory, SnapshotFailed: as `Files.entries_since`.
        OSError: the file cannot be written.

    """
    loop = asyncio.get_running_loop()
    path = files.path_for(f"written-{index:016x}.pages")
    try:
        await loop.run_in_executor(None, path.write_bytes, b"")
        async for page in files.entries_since(index, term):
            await loop.run_in_executor(None, _append, path, page)
        yield path
    finally:
        files.discard(path)
        files.discard(path.with_suffix(INCREMENT))


def _append(path: Path, page: bytes) -> None:
    """One more page.

    Whoever gives it up cannot stop the thread: so the file is opened by nobody else meanwhile.
    """
    with path.open("ab") as file:
        file.write(_LENGTH.pack(len(page)) + page)


def pages_in(path: Path) -> Iterator[bytes]:
    """The pages of such a file.

    Raises:
        BackupDamaged: one ends early.

    """
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            page = b""
            if len(head) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                page = file.read(length)
            if not page or len(page) != length:
                raise BackupDamaged(f"{path}: a page of what was written ends early")
            yield page
