"""Where backups are kept: a directory, which the members of a cluster, and others, may use, too.

A file is named after its member and the entry it ends at, and appears under its name only when it
is whole.

`main` is a process of its own, which can be ended at any moment: a directory on another machine may
not answer for long, and to write and hash a large file would hold a member up.  It is given what to
do:

    newest PLACE NAME               how old the newest backup of the member NAME is
    save PLACE NAME COPY COUNT      save a copy of its store, and keep COUNT of its backups
    list PLACE                      what is there, of all members
    verify PLACE FILE               read all of a backup, and compare its digest
    send PLACE FILE                 say how large it is, and then all of it
    give COPY                       the same with a copy of a store, and its digest behind it

It prints a line of JSON, and before that, while it saves and verifies, how far it is.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from roost.errors import RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.backup import DIGEST_BYTES, Backup, read_backup, write_full
from roost.member.snapshots.saving import with_digest

# A whole backup of whichever member; nothing that is named so lies in another directory.
_KEPT = re.compile(r"[^/\0]+-[0-9a-f]{16}\.db")
# Of those the newest are told.
LIST_MAX = 1000
_SAY_S = 0.25


class Saved(msgspec.Struct, frozen=True):
    """What the process has saved, or why it could not."""

    name: str = ""
    size_bytes: int = 0
    fault: str = ""


class Newest(msgspec.Struct, frozen=True):
    """How old the newest backup is; None when there is none."""

    age_s: float | None = None
    fault: str = ""


class Kept(msgspec.Struct, frozen=True):
    """A backup that is there; `at_s` is when it was made, in seconds since 1970."""

    name: str
    size_bytes: int
    at_s: float


class Listed(msgspec.Struct, frozen=True):
    """All backups, the newest first; LIST_MAX at most, `is_cut` when there are more."""

    backups: list[Kept] = []
    is_cut: bool = False
    fault: str = ""


class Verified(msgspec.Struct, frozen=True):
    """What a backup holds that is as it was saved; else what is wrong with it."""

    index: int = 0
    term: int = 0
    size_bytes: int = 0
    digest: str = ""
    fault: str = ""


class Sent(msgspec.Struct, frozen=True):
    """How large the file is whose bytes follow; none do when there is a fault."""

    size_bytes: int = 0
    fault: str = ""


class Progress(msgspec.Struct, frozen=True):
    """How far the process is with what it is doing."""

    phase: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """One member's backups in a directory that others may use, too."""

    directory: Path
    name: str

    def put(
        self, copy: Path, hear: Callable[[str, int], None] = lambda _phase, _count: None
    ) -> Backup:
        """Write a backup of a copy of the store; `hear` is told a phase, and its bytes so far."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self.directory / f"{self.name}-coming.db"

        def written() -> Iterator[bytes]:
            count = 0
            for blob in with_digest(copy):
                yield blob
                count += len(blob)
                hear("writing", count)

        saved = write_full(coming, written(), lambda count: hear("checking", count))
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


def list_all(directory: Path) -> Listed:
    """Every member's backups in a directory, which need not be there yet."""
    found = []
    for it in directory.iterdir() if directory.exists() else ():
        if not _KEPT.fullmatch(it.name):
            continue
        with suppress(FileNotFoundError):  # its member has removed it meanwhile
            status = it.stat()
            found.append(Kept(it.name, status.st_size, status.st_mtime))
    found.sort(key=lambda it: (it.at_s, it.name), reverse=True)
    return Listed(found[:LIST_MAX], is_cut=len(found) > LIST_MAX)


def file_of(directory: Path, name: str) -> Path:
    """Where a backup lies that somebody has named.

    Raises:
        BackupFailed: nothing in the directory is named so.

    """
    path = directory / name
    if not _KEPT.fullmatch(name) or not path.is_file():
        raise BackupFailed(f"there is no backup {name!r}: it may have been removed meanwhile")
    return path


def _newest(place: str, name: str) -> None:
    shelf = Shelf(Path(place), name)
    with suppress(OSError):  # there may be none, or it may only be read
        shelf.set_right(time.time_ns())
    _say(shelf.newest(time.time()))


def _save(place: str, name: str, copy: str, count: str) -> None:
    shelf = Shelf(Path(place), name)
    said = _Saying(Path(copy).stat().st_size)
    backup = shelf.put(Path(copy), said.hear)
    shelf.keep(int(count), backup.path)
    _say(Saved(name=backup.path.name, size_bytes=backup.size_bytes))


def _list(place: str) -> None:
    _say(list_all(Path(place)))


def _verify(place: str, name: str) -> None:
    path = file_of(Path(place), name)
    said = _Saying(path.stat().st_size)
    held = read_backup(path, lambda count: said.hear("checking", count))
    _say(Verified(held.index, held.term, held.size_bytes, held.digest))


def _send(place: str, name: str) -> None:
    with file_of(Path(place), name).open("rb") as file:
        _say(Sent(os.fstat(file.fileno()).st_size))
        shutil.copyfileobj(file, sys.stdout.buffer)


def _give(copy: str) -> None:
    _say(Sent(Path(copy).stat().st_size + DIGEST_BYTES))
    for blob in with_digest(Path(copy)):
        sys.stdout.buffer.write(blob)


class _Saying:
    """Says how far it is, a few times a second."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._said = ("", -_SAY_S)

    def hear(self, phase: str, count: int) -> None:
        now_s = time.monotonic()
        before, at_s = self._said
        if phase != before or now_s - at_s >= _SAY_S:
            self._said = phase, now_s
            _say(Progress(phase, count, self._total_bytes))


# What is done, and how a fault of it is said.
_WORK: dict[str, tuple[Callable[..., None], Callable[[str], msgspec.Struct]]] = {
    "newest": (_newest, lambda fault: Newest(fault=fault)),
    "save": (_save, lambda fault: Saved(fault=fault)),
    "list": (_list, lambda fault: Listed(fault=fault)),
    "verify": (_verify, lambda fault: Verified(fault=fault)),
    "send": (_send, lambda fault: Sent(fault=fault)),
    "give": (_give, lambda fault: Sent(fault=fault)),
}


def main() -> None:
    """Entry point of the process; the module's first lines say what its arguments are."""
    os.nice(19)
    do(*sys.argv[1:])


def do(work: str, *arguments: str) -> None:
    """Do one of these, and print what there is to say; faults are said, too."""
    run, as_fault = _WORK[work]
    try:
        run(*arguments)
    except (RoostError, OSError) as error:
        _say(as_fault(str(error)))


def _say(answer: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()
