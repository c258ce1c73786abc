"""Backups in a directory, which members of a cluster, and others, may use, too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from roost.member.snapshots.backup import DIGEST_BYTES, Backup, write_checked
from roost.member.snapshots.saving import with_digest
from roost.member.snapshots.shelf import (
    Hear,
    Kept,
    Opened,
    end_of,
    gone,
    is_of,
    known,
    name_of,
    name_of_increment,
)

_READ_BYTES = 1 << 20
# Between the times of two files that are set: less is lost where times are seconds as a float.
_STEP_NS = 1000


@dataclass(frozen=True, slots=True)
class Folder:
    """As `Shelf`; the directory is made when something is put there."""

    directory: Path

    def found(self) -> Iterator[Kept]:
        """As `Shelf`."""
        for it in self.directory.iterdir() if self.directory.exists() else ():
            if not _is_text(it.name):
                continue
            with suppress(FileNotFoundError):  # its member has removed it meanwhile
                status = it.stat()
                if S_ISREG(status.st_mode):
                    yield Kept(it.name, status.st_size, status.st_mtime)

    def put(self, member: str, copy: Path, hear: Hear) -> Kept:
        """As `Shelf`: written, synced and read back before it has its name."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self.directory / f"{member}-coming.db"

        def written() -> Iterator[bytes]:
            count = 0
            for blob in with_digest(copy):
                yield blob
                count += len(blob)
                hear("writing", count)

        saved = write_checked(
            coming,
            written(),
            lambda count: hear("checking", count),
            lambda held: name_of(member, held.index),
        )
        return self.made_now(member, saved.path)

    def put_increment(self, member: str, made: Backup, hear: Hear) -> Kept:
        """As `Shelf`: as `put`."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

        def written() -> Iterator[bytes]:
            count = 0
            with made.path.open("rb") as source:
                while blob := source.read(_READ_BYTES):
                    yield blob
                    count += len(blob)
                    hear("writing", count)

        saved = write_checked(
            self.directory / f"{member}-coming.inc",
            written(),
            lambda count: hear("checking", count),
            lambda held: name_of_increment(member, held.base_index, held.index),
        )
        return self.made_now(member, saved.path)

    def digest_of(self, kept: Kept) -> str:
        """As `Shelf`."""
        try:
            with (self.directory / known(kept.name)).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - DIGEST_BYTES))
                return file.read().hex()
        except FileNotFoundError as error:
            raise gone(kept.name) from error

    def made_now(self, member: str, made: Path) -> Kept:
        """Let what was made now be the newest of its member."""
        now_ns = made.stat().st_mtime_ns
        self.set_right(member, now_ns)
        os.utime(made, ns=(now_ns, now_ns))
        status = made.stat()
        return Kept(made.name, status.st_size, status.st_mtime)

    @contextmanager
    def open(self, name: str) -> Iterator[Opened]:
        """As `Shelf`."""
        path = self.directory / known(name)
        if not path.is_file():
            raise gone(name)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            yield Opened(size, iter(lambda: file.read(_READ_BYTES), b""))

    def remove(self, name: str) -> None:
        """As `Shelf`."""
        (self.directory / known(name)).unlink(missing_ok=True)

    def set_right(self, member: str, now_ns: int) -> None:
        """As `Shelf`: files get other times, and stay in the order in which they were."""
        own = []
        for it in self.directory.iterdir():
            if is_of(it.name, member):
                with suppress(FileNotFoundError):  # somebody has removed it meanwhile
                    own.append((it.stat().st_mtime_ns, end_of(it.name), it))
        # Those that were moved before lie close together, so one may have to make way for another.
        stop_ns = now_ns
        for at_ns, _, it in sorted(own, reverse=True):
            stop_ns -= _STEP_NS
            if at_ns <= stop_ns:
                break
            with suppress(FileNotFoundError):
                os.utime(it, ns=(stop_ns, stop_ns))


def _is_text(name: str) -> bool:
    """Whether a name can be said at all: what is none of ours may have bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
