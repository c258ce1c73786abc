"""Backups by the clock: a full one every so often, the newest ones kept.

Each member that is told to does it for itself, so that one lost machine does not cost the
backups, too.  A file is named after the member and the entry it ends at, and appears under its
name only when it is whole.  Members may share a directory: each removes files of its own alone.
A backup that fails is said so, whatever it was, and tried again the next time.

`main`, given COPY, DIRECTORY, NAME and the count to keep, is a process of its own, which can be
ended at any moment: a directory on another machine may not answer for long.
"""

import asyncio
import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from roost.children import run_module
from roost.errors import RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.backup import Backup, write_full
from roost.member.snapshots.files import Files

logger = logging.getLogger(__name__)
_READ_BYTES = 1 << 20


class Saved(msgspec.Struct, frozen=True):
    """What the process has saved, or why it could not."""

    name: str = ""
    size_bytes: int = 0
    fault: str = ""


class BackupSchedule:
    """Saves a member's store into a directory."""

    def __init__(
        self, files: Files, directory: Path, *, name: str, interval_s: float, keep_count: int
    ) -> None:
        """`name` begins every file's name; at most `keep_count` files of it stay."""
        assert interval_s > 0, "the settings say so"
        assert keep_count > 0, "the settings say so"
        self._files = files
        self._directory = directory
        self._name = name
        self._interval_s = interval_s
        self._keep_count = keep_count

    async def run(self) -> None:
        """Save one backup after another, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                saved = await self.save()
            except (RoostError, OSError) as error:
                logger.error("no backup this time: %s", error)  # noqa: TRY400 - said in a line
            except Exception:
                # A bug: it must neither end the backups nor pass unseen.
                logger.exception("no backup this time")
            else:
                logger.info("backup %s, %d bytes", saved.name, saved.size_bytes)

    async def save(self) -> Saved:
        """Save one backup now, and remove the oldest ones.

        Raises:
            RoostError, OSError: it could not be made or written.

        """
        async with self._files.lend_snapshot() as copy:
            arguments = (str(copy), str(self._directory), self._name, str(self._keep_count))
            ended = await run_module("roost.member.snapshots.schedule", *arguments)
        if ended.code:
            raise BackupFailed(f"the process that wrote it ended with {ended.code}")
        saved = msgspec.json.decode(ended.said, type=Saved)
        if saved.fault:
            raise BackupFailed(saved.fault)
        return saved


@dataclass(frozen=True, slots=True)
class Shelf:
    """One member's backups in a directory that others may use, too."""

    directory: Path
    name: str

    def put(self, copy: Path) -> Backup:
        """Write a backup of a copy of the store."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self.directory / f"{self.name}-coming.db"
        saved = write_full(coming, _with_digest(copy))
        final = coming.with_name(f"{self.name}-{saved.index:016x}.db")
        coming.rename(final)
        return replace(saved, path=final)

    def backups(self) -> list[Path]:
        """Whole files of this member, as they were written, the oldest first.

        A new cluster of the same names counts its entries from the beginning again.
        """
        ours = re.compile(re.escape(self.name) + r"-[0-9a-f]{16}\.db")
        found = [it for it in self.directory.iterdir() if ours.fullmatch(it.name)]
        return sorted(found, key=lambda it: (it.stat().st_mtime_ns, it.name))

    def keep(self, count: int) -> None:
        """Remove all but the newest."""
        for old in self.backups()[:-count]:
            old.unlink()


def _with_digest(copy: Path) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with copy.open("rb") as file:
        while blob := file.read(_READ_BYTES):
            digest.update(blob)
            yield blob
    yield digest.digest()


def main() -> None:
    """Entry point of the process: copy, directory, name and count are the arguments."""
    os.nice(19)
    copy, directory, name, count = sys.argv[1:]
    shelf = Shelf(Path(directory), name)
    try:
        backup = shelf.put(Path(copy))
        shelf.keep(int(count))
        saved = Saved(name=backup.path.name, size_bytes=backup.size_bytes)
    except (RoostError, OSError) as error:
        saved = Saved(fault=str(error))
    sys.stdout.write(msgspec.json.encode(saved).decode() + "\n")
