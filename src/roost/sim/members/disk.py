"""A disk in memory that forgets what was not synced, tears writes, and fails when told to.

Files are byte arrays with pending writes, kept in pieces of SECTOR bytes, and pending names.
`crash` keeps any subset of the pending sectors and, in order, a prefix of the pending names: what
a power cut may leave behind on a file system that keeps its promises about fsync.
"""

import os
import random
from collections.abc import Sequence
from errno import EIO, ENOENT
from pathlib import Path

from roost.journal.disk import DIRECTORY_MODE, FILE_MODE, PathFacts

SECTOR = 512


class InjectedError(OSError):
    """The device failed because a test wanted it to."""


class PowerCut(BaseException):
    """The machine went away in the middle of a device call; no code of its may go on."""

    def __init__(self, disk: "SimDisk") -> None:
        """Say which machine's disk it was."""
        super().__init__("the power is cut")
        self.disk = disk


class SimFile:
    """An open file: what is durable, and what only the cache has."""

    def __init__(self, disk: "SimDisk") -> None:
        """Begin empty."""
        self._disk = disk
        self.cache = bytearray()
        self.durable = bytearray()
        self.pending: set[int] = set()  # sectors written since the last sync
        self.is_locked = False
        self.unreadable: set[int] = set()  # sectors that give an error, until they are written

    def pread(self, count: int, offset: int) -> bytes:
        """Read from the cache."""
        if self.unreadable:
            sectors = range(offset // SECTOR, (offset + count + SECTOR - 1) // SECTOR)
            if not self.unreadable.isdisjoint(sectors):
                raise InjectedError(EIO, "injected read error")
        return bytes(self.cache[offset : offset + count])

    def pwrite(self, buffers: Sequence[bytes], offset: int) -> None:
        """Write to the cache; an injected fault may leave the first half."""
        data = b"".join(buffers)
        fails = self._disk.counts_down()
        if fails:
            data = data[: len(data) // 2]
        end = offset + len(data)
        if end > len(self.cache):
            self.cache += bytes(end - len(self.cache))
        self.cache[offset:end] = data
        if data:
            written = range(offset // SECTOR, (end - 1) // SECTOR + 1)
            self.pending.update(written)
            self.unreadable.difference_update(written)
        if fails:
            raise self._disk.failure("injected write error")

    def sync_data(self) -> None:
        """Make the cache durable."""
        if self._disk.counts_down():
            raise self._disk.failure("injected sync error")
        self.durable = bytearray(self.cache)
        self.pending.clear()

    def sync_all(self) -> None:
        """Make the cache durable."""
        self.sync_data()

    def size(self) -> int:
        """Bytes in the file."""
        return len(self.cache)

    def close(self) -> None:
        """Give the lock back."""
        self.is_locked = False

    def crashed(self, dice: random.Random, *, keep: float) -> "SimFile":
        """The file as a power cut may leave it; each pending sector survives with odds `keep`."""
        kept = {sector for sector in sorted(self.pending) if dice.random() < keep}
        return self.with_sectors(self._disk, kept)

    def with_sectors(self, disk: "SimDisk", sectors: set[int]) -> "SimFile":
        """The file as a power cut leaves it that kept just these pending sectors."""
        after = SimFile(disk)
        after.durable = bytearray(self.durable)
        for sector in sorted(sectors):
            begin = sector * SECTOR
            piece = self.cache[begin : begin + SECTOR]
            if len(after.durable) < begin + len(piece):
                after.durable += bytes(begin + len(piece) - len(after.durable))
            after.durable[begin : begin + len(piece)] = piece
        after.cache = bytearray(after.durable)
        after.unreadable = set(self.unreadable)
        return after


class SimDisk:
    """A file system in memory."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.files: dict[Path, SimFile] = {}
        self.durable_names: dict[Path, SimFile] = {}
        self.directories: set[Path] = set()
        self._pending_names: list[tuple[Path, dict[Path, SimFile]]] = []
        self.calls = 0
        self.fail_at = 0
        self.is_cut_at = False
        self.boots = 1

    def boot_id(self, path: Path) -> str:  # noqa: ARG002 - one machine, one cache
        """Grows with each power cut."""
        return str(self.boots)

    def cut_at(self, call: int) -> None:
        """Have the power go away in that device call from now."""
        self.fail_at, self.is_cut_at = self.calls + call, True

    def failure(self, text: str) -> BaseException:
        """What the call that is to fail raises."""
        return PowerCut(self) if self.is_cut_at else InjectedError(5, text)

    def counts_down(self) -> bool:
        """Count a call that touches the device; True when it is the one to fail."""
        self.calls += 1
        if self.is_cut_at:
            return self.calls >= self.fail_at  # a machine that is off does nothing any more
        return self.calls == self.fail_at

    def _touch_names(self, directory: Path) -> None:
        self._pending_names.append((directory, dict(self.files)))

    def make_directory(self, path: Path) -> None:
        """Make a directory."""
        self.directories.add(path)

    def list_directory(self, path: Path) -> list[str]:
        """Names in a directory, sorted."""
        return sorted(it.name for it in self.files if it.parent == path)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file."""
        return path in self.files

    def facts(self, path: Path, *, follows: bool) -> PathFacts:
        """Everything is ours, and nothing a link."""
        del follows
        is_directory = path in self.directories
        mode = DIRECTORY_MODE if is_directory else FILE_MODE
        return PathFacts(mode=mode, owner=os.geteuid(), is_link=False, is_directory=is_directory)

    def open(self, path: Path, *, create: bool = False) -> SimFile:
        """Open a file."""
        if path not in self.files and create:
            self.files[path] = SimFile(self)
            self._touch_names(path.parent)
        self._check(path)
        return self.files[path]

    def _check(self, path: Path) -> None:
        if path not in self.files:
            raise FileNotFoundError(ENOENT, "no such file", str(path))

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file."""
        if self.counts_down():
            raise self.failure("injected rename error")
        self._check(old)
        self.files[new] = self.files.pop(old)
        self._touch_names(new.parent)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        self._check(path)
        del self.files[path]
        self._touch_names(path.parent)

    def sync_directory(self, path: Path) -> None:
        """Make the names of a directory durable."""
        if self.counts_down():
            raise self.failure("injected directory sync error")
        durable = {name: it for name, it in self.durable_names.items() if name.parent != path}
        durable |= {name: it for name, it in self.files.items() if name.parent == path}
        self.durable_names = durable
        self._pending_names = [it for it in self._pending_names if it[0] != path]

    def lock(self, path: Path) -> SimFile | None:
        """Take the lock, unless somebody holds it."""
        file = self.open(path, create=True)
        if file.is_locked:
            return None
        file.is_locked = True
        return file

    def names_after_cut(self) -> list[dict[Path, SimFile]]:
        """What names a power cut may leave: the synced ones, and a first part of the others."""
        names = self.durable_names
        found = [names]
        for directory, snapshot in self._pending_names:
            names = {it: file for it, file in names.items() if it.parent != directory}
            names |= {it: file for it, file in snapshot.items() if it.parent == directory}
            found.append(names)
        return found

    def moved(self, old: Path, new: Path) -> "SimDisk":
        """A copy of it, in which what was below `old` is below `new`."""
        copy = SimDisk()
        copy.boots = self.boots

        def place(path: Path) -> Path:
            return new / path.relative_to(old) if path.is_relative_to(old) else path

        copy.directories = {place(it) for it in self.directories}
        for name, file in self.files.items():
            copy.files[place(name)] = file.with_sectors(copy, file.pending)
        copy.durable_names = dict(copy.files)
        return copy

    def crash(self, dice: random.Random, *, keep: float) -> "SimDisk":
        """The disk as a power cut may leave it."""
        after = SimDisk()
        after.boots = self.boots + (keep < 1.0)
        after.directories = set(self.directories)
        # One draw only when there is a choice, so that a seed's stream does not shift.
        choices = self.names_after_cut()
        names = choices[dice.randint(0, len(choices) - 1)] if len(choices) > 1 else choices[0]
        for name, file in names.items():
            copy = file.crashed(dice, keep=keep)
            copy._disk = after  # noqa: SLF001 - one of ours
            after.files[name] = copy
        after.durable_names = dict(after.files)
        return after
