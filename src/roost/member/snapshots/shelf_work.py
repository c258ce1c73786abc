"""What is done to a shelf of backups, by a process of its own.

It can be ended at any moment: a directory on another machine, or a bucket, may not answer for long,
and to write and hash a large file would hold a member up.  It is given what to do:

    newest PLACE NAME               how old the newest backup of the member NAME is
    save PLACE NAME COPY COUNT      save a copy of its store, and keep COUNT of its backups
    follow PLACE NAME PAGES BASE DIGEST INDEX TERM CLUSTER
                                    save an increment of what was written behind the backup BASE,
                                    which ends at an entry, as a file has it (`written`)
    list PLACE                      what is there, of all members
    verify PLACE FILE               read all of a backup, and compare its digest
    send PLACE FILE                 say how large it is, and then all of it
    give COPY                       the same with a copy of a store, and its digest behind it

It prints a line of JSON, and before that, while it saves and verifies, how far it is.  A place is a
directory, or `s3://BUCKET/PREFIX` (`bucket`).
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from roost.errors import RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.backup import DIGEST_BYTES, Backup, write_increment
from roost.member.snapshots.bucket import Bucket
from roost.member.snapshots.bucket_place import is_in_bucket
from roost.member.snapshots.folder import Folder
from roost.member.snapshots.saving import with_digest
from roost.member.snapshots.shelf import (
    Listed,
    Newest,
    Shelf,
    Verified,
    check_end,
    is_of,
    keep,
    list_all,
    name_of,
    newest,
)
from roost.member.snapshots.shelf import verify as verify_on
from roost.member.snapshots.written import INCREMENT, pages_in
from roost.store import StoreError, read_applied_file

_SAY_S = 0.25
_CUT = 1


class Saved(msgspec.Struct, frozen=True):
    """What the process has saved, or why it could not.

    `index` and `term` are of the entry that it ends at, `digest` stands at its end.
    """

    name: str = ""
    size_bytes: int = 0
    index: int = 0
    term: int = 0
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


def shelf_at(place: str) -> Shelf:
    """The shelf at a place.

    Raises:
        BadPlace: it is none.
        PackageMissing: what reads and writes buckets is not installed.

    """
    return Bucket(place) if is_in_bucket(place) else Folder(Path(place))


def _newest(place: str, member: str) -> None:
    shelf = shelf_at(place)
    with suppress(OSError):  # there may be none, or it may only be read
        shelf.set_right(member, time.time_ns())
    _say(newest(shelf, member, time.time()))


def _save(place: str, member: str, copy: str, count: str) -> None:
    if not is_of(name_of(member, 0), member):
        text = f"no backup can be named after {member!r}: give the member a name without slashes"
        raise BackupFailed(text)
    try:
        index, term = read_applied_file(Path(copy))
    except StoreError as error:
        raise BackupFailed(f"the copy of the store cannot be read: {error}") from error
    shelf = shelf_at(place)
    said = _Saying(Path(copy).stat().st_size)
    made = shelf.put(member, Path(copy), said.hear)
    try:
        keep(shelf, member, int(count), made)
    except (RoostError, OSError) as error:
        raise BackupFailed(f"{made.name} is saved, but older ones stay: {error}") from error
    _say(Saved(made.name, made.size_bytes, index, term, shelf.digest_of(made)))


def _follow(
    place: str,
    member: str,
    pages: str,
    base: str,
    digest: str,
    index: str,
    term: str,
    cluster: str,
) -> None:
    shelf, path = shelf_at(place), Path(pages)
    check_end(shelf, member, base, digest)
    made = write_increment(
        path.with_suffix(INCREMENT),
        Backup(Path(base), True, int(index), int(term), 0, 0, digest, int(cluster)),
        pages_in(path),
    )
    said = _Saying(made.size_bytes)
    kept = shelf.put_increment(member, made, said.hear)
    _say(Saved(kept.name, kept.size_bytes, made.index, made.term, made.digest))


def _list(place: str) -> None:
    _say(list_all(shelf_at(place)))


def _verify(place: str, name: str) -> None:
    shelf = shelf_at(place)
    said = _Saying(0)

    def hear(count: int, total: int) -> None:
        said.hear("checking", count, total)

    _say(verify_on(shelf, name, hear))


def _send(place: str, name: str) -> None:
    with shelf_at(place).open(name) as opened:
        _say(Sent(opened.size_bytes))
        _write(opened.pieces)


def _give(copy: str) -> None:
    _say(Sent(Path(copy).stat().st_size + DIGEST_BYTES))
    _write(with_digest(Path(copy)))


def _write(pieces: Iterable[bytes]) -> None:
    """Give all of them; what breaks in the middle is no part of what is given."""
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except (RoostError, OSError) as error:
        sys.stderr.write(f"a backup was not given to its end: {error}\n")
        raise SystemExit(_CUT) from error


class _Saying:
    """Says how far it is, a few times a second."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._said = ("", -_SAY_S)

    def hear(self, phase: str, count: int, total_bytes: int = 0) -> None:
        now_s = time.monotonic()
        before, at_s = self._said
        if phase != before or now_s - at_s >= _SAY_S:
            self._said = phase, now_s
            _say(Progress(phase, count, total_bytes or self._total_bytes))


# What is done, and how a fault of it is said.
_WORK: dict[str, tuple[Callable[..., None], Callable[[str], msgspec.Struct]]] = {
    "newest": (_newest, lambda fault: Newest(fault=fault)),
    "save": (_save, lambda fault: Saved(fault=fault)),
    "follow": (_follow, lambda fault: Saved(fault=fault)),
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
