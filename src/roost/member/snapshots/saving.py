"""A backup of a member's store, saved where somebody asks for it.

`main` is a process of its own, given COPY and PATH: writing and hashing a large file would hold the
member up, and a directory on another machine may not answer for long.
"""

import hashlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec

from roost.children import Ended, run_module
from roost.errors import RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.backup import Backup, part_of, write_checked
from roost.member.snapshots.files import Files

_READ_BYTES = 1 << 20


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the process has saved, or why it could not."""

    index: int = 0
    term: int = 0
    size_bytes: int = 0
    digest: str = ""
    fault: str = ""


async def save(
    files: Files, path: Path, *, run_process: Callable[..., Awaitable[Ended]] = run_module
) -> Backup:
    """Save everything that is applied now; the file appears under its name when it is whole.

    Raises:
        SnapshotFailed: the store could not be copied.
        BackupFailed: the file could not be written; the text says why.

    """
    try:
        async with files.lend_snapshot() as copy:
            ended = await run_process(__name__, str(copy), str(path))
    except BaseException:
        part_of(path).unlink(missing_ok=True)  # the process may have been ended in the middle
        raise
    if ended.code:
        raise BackupFailed(f"the process for it ended with {ended.code}")
    told = msgspec.json.decode(ended.said, type=Told)
    if told.fault:
        raise BackupFailed(told.fault)
    return Backup(path, True, told.index, told.term, 0, told.size_bytes, told.digest)


def with_digest(copy: Path) -> Iterator[bytes]:
    """A copy of the store in pieces, and its SHA-256 behind them: what a full backup is."""
    digest = hashlib.sha256()
    with copy.open("rb") as file:
        while blob := file.read(_READ_BYTES):
            digest.update(blob)
            yield blob
    yield digest.digest()


def main() -> None:
    """Entry point of the process."""
    os.nice(19)
    _, copy, path = sys.argv
    try:
        saved = write_checked(Path(path), with_digest(Path(copy)))
    except (RoostError, OSError) as error:
        told = Told(fault=str(error))
    else:
        told = Told(
            index=saved.index,
            term=saved.term,
            size_bytes=saved.size_bytes,
            digest=saved.digest,
        )
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
