"""Backups by the clock: a full one every so often, the newest ones kept.

Each member that is told to does it for itself, so that one lost machine does not cost the
backups, too.  A file is named after the member and the entry it ends at, and appears under its
name only when it is whole.  Members may share a directory: each removes files of its own alone.
A backup that fails is said so, whatever it was, and tried again the next time.
The first one is due an interval after the newest that is there, so that a member which restarts
often saves as many as one that does not.  What was made while a clock was ahead is from the
future: it would be the newest for ever, and each new backup be removed at once.  So it gets the
time of now.

`main` is a process of its own, which can be ended at any moment: a directory on another machine
may not answer for long.  Given COPY, DIRECTORY, NAME and the count to keep it saves one; given
DIRECTORY and NAME it says how old the newest is.
"""

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from roost.children import Ended, run_module
from roost.errors import RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.backup import Backup, write_full
from roost.member.snapshots.files import Files
from roost.member.snapshots.saving import with_digest

logger = logging.getLogger(__name__)


class Saved(msgspec.Struct, frozen=True):
    """What the process has saved, or why it could not."""

    name: str = ""
    size_bytes: int = 0
    fault: str = ""


class Newest(msgspec.Struct, frozen=True):
    """How old the newest backup is; None when there is none."""

    age_s: float | None = None


class BackupSchedule:
    """Saves a member's store into a directory."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        *,
        name: str,
        interval_s: float,
        keep_count: int,
        run_process: Callable[..., Awaitable[Ended]] = run_module,
    ) -> None:
        """`name` begins every file's name; at most `keep_count` files of it stay."""
        assert interval_s > 0, "the settings say so"
        assert keep_count > 0, "the settings say so"
        self._files = files
        self._directory = directory
        self._name = name
        self._interval_s = interval_s
        self._keep_count = keep_count
        self._run_process = run_process

    async def run(self) -> None:
        """Save one backup after another, until cancelled."""
        await asyncio.sleep(await self._first_wait_s())
        while True:
            try:
                saved = await self.save()
            except (RoostError, OSError) as error:
                logger.error("no backup this time: %s", error)  # noqa: TRY400 - said in a line
            except Exception:
                # A bug: it must neither end the backups nor pass unseen.
                logger.exception("no backup this time")
            else:
                logger.info("backup %s, %d bytes", saved.name, saved.size_bytes)
            await asyncio.sleep(self._interval_s)

    async def _first_wait_s(self) -> float:
        """How long until the first backup is due.

        A whole interval where there is none: whoever starts many members to try something wants
        no copy of each.
        """
        try:
            ended = await self._run(str(self._directory), self._name)
            age_s = msgspec.json.decode(ended.said, type=Newest).age_s
        except (RoostError, OSError) as error:
            logger.warning("the age of the newest backup is not known: %s", error)
            age_s = None
        return self._interval_s - max(0.0, min(age_s or 0.0, self._interval_s))

    async def save(self) -> Saved:
        """Save one backup now, and remove the oldest ones.

        Raises:
            RoostError, OSError: it could not be made or written.

        """
        async with self._files.lend_snapshot() as copy:
            arguments = (str(copy), str(self._directory), self._name, str(self._keep_count))
            ended = await self._run(*arguments)
        saved = msgspec.json.decode(ended.said, type=Saved)
        if saved.fault:
            raise BackupFailed(saved.fault)
        return saved

    async def _run(self, *arguments: str) -> Ended:
        ended = await self._run_process("roost.member.snapshots.schedule", *arguments)
        if ended.code:
            raise BackupFailed(f"the process for it ended with {ended.code}")
        return ended


@dataclass(frozen=True, slots=True)
class Shelf:
    """One member's backups in a directory that others may use, too."""

    directory: Path
    name: str

    def put(self, copy: Path) -> Backup:
        """Write a backup of a copy of the store."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self.directory / f"{self.name}-coming.db"
        saved = write_full(coming, with_digest(copy))
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

    def newest(self, now_s: float) -> Newest:
        """How old the newest is, by the clock of the machine, which may be wrong."""
        found = self.backups() if self.directory.exists() else []
        return Newest(now_s - found[-1].stat().st_mtime) if found else Newest()

    def set_right(self, now_ns: int) -> None:
        """Let no backup be newer than what is made now."""
        for it in self.backups():
            if it.stat().st_mtime_ns >= now_ns:
                os.utime(it, ns=(now_ns - 1, now_ns - 1))

    def keep(self, count: int, made: Path) -> None:
        """Remove all but the newest, of which `made` is the last."""
        now_ns = made.stat().st_mtime_ns
        self.set_right(now_ns)
        os.utime(made, ns=(now_ns, now_ns))
        for old in self.backups()[:-count]:
            old.unlink()


def main() -> None:
    """Entry point of the process; the module's first lines say what its arguments are."""
    os.nice(19)
    if len(sys.argv) == len(("program", "directory", "name")):
        _, directory, name = sys.argv
        shelf = Shelf(Path(directory), name)
        with suppress(OSError):  # there may be none, or it may only be read
            shelf.set_right(time.time_ns())
        _say(shelf.newest(time.time()))
        return
    copy, directory, name, count = sys.argv[1:]
    shelf = Shelf(Path(directory), name)
    try:
        backup = shelf.put(Path(copy))
        shelf.keep(int(count), backup.path)
        saved = Saved(name=backup.path.name, size_bytes=backup.size_bytes)
    except (RoostError, OSError) as error:
        saved = Saved(fault=str(error))
    _say(saved)


def _say(answer: Saved | Newest) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
