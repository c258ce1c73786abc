"""Where backups are kept: a directory or a bucket, which others may use, too; and which stay there.

A full backup is named after its member and the entry it ends at, `m1-000000000000001f.db`, an
increment also after the one that it begins behind, `m1-000000000000001f-0000000000000033.inc`; each
is there under its name only when it is whole.  What tells a directory from a bucket is `Shelf`; all
else about them is the same.
"""

import hashlib
import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from roost.member.errors import BackupDamaged, BackupFailed
from roost.member.snapshots.backup import DIGEST_BYTES, NO_BACKUP, Backup

# A backup of whichever member, a full one or an increment; nothing that is named so lies elsewhere.
_FULL = re.compile(r"([^/\0]+)-(?P<end>[0-9a-f]{16})\.db")
_INCREMENT = re.compile(r"([^/\0]+)-(?P<base>[0-9a-f]{16})-(?P<end>[0-9a-f]{16})\.inc")
# Of those the newest are told.
LIST_MAX = 1000
# Is told a phase, and its bytes so far.
Hear = Callable[[str, int], None]


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
    size_bytes: int = 0
    digest: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup that is being read: as many bytes as its size, or an error."""

    size_bytes: int
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Chain:
    """A full backup and the increments that follow it, in order; none where there is no full one.

    `cut_off` are increments behind the full one that nothing leads to: something between is gone.
    """

    files: list[Kept]
    cut_off: list[Kept]


class Shelf(Protocol):
    """A place for the backups of many members.

    Whatever cannot be done is an OSError or a RoostError, whose text says what to do.
    """

    def found(self) -> Iterable[Kept]:
        """Everything there that may be a backup, in no order; nothing where nobody has been yet."""

    def put(self, member: str, copy: Path, hear: Hear) -> Kept:
        """Save a backup of a copy of the store, which is the newest of its member then."""

    def put_increment(self, member: str, made: Backup, hear: Hear) -> Kept:
        """Save an increment that was made and checked elsewhere; as `put`."""

    def digest_of(self, kept: Kept) -> str:
        """The digest at the end of one that is there, without reading all of it."""

    def open(self, name: str) -> AbstractContextManager[Opened]:
        """Read one."""

    def remove(self, name: str) -> None:
        """Remove one; one that is gone already is no error."""

    def set_right(self, member: str, now_ns: int) -> None:
        """Let none of a member's be newer than what is made now, where that can be done."""


def name_of(member: str, index: int) -> str:
    """What the full backup of a member is called that ends at an entry."""
    return f"{member}-{index:016x}.db"


def name_of_increment(member: str, base_index: int, index: int) -> str:
    """What the increment is called that has the entries behind one, up to another."""
    return f"{member}-{base_index:016x}-{index:016x}.inc"


def _matched(name: str) -> re.Match[str] | None:
    """Whose backup that is, and what it ends at; None when it is no name of one."""
    return _FULL.fullmatch(name) or _INCREMENT.fullmatch(name)


def _is_full(name: str) -> bool:
    return _FULL.fullmatch(name) is not None


def is_of(name: str, member: str) -> bool:
    """Whether that is a backup of this member: `m-1` is another one than `m`."""
    matched = _matched(name)
    return matched is not None and matched[1] == member


def known(name: str) -> str:
    """The name of a backup, as somebody has said it.

    Raises:
        BackupFailed: no backup is named so.

    """
    if _matched(name) is None:
        raise gone(name)
    return name


def gone(name: str) -> BackupFailed:
    """There is none of that name."""
    return BackupFailed(f"there is no backup {name!r}: it may have been removed meanwhile")


def list_all(shelf: Shelf, *, of_members: bool = True) -> Listed:
    """Every member's backups; or all there is, saved by whomever under whatever name."""
    found = (it for it in shelf.found() if not of_members or _matched(it.name))
    newest = heapq.nlargest(LIST_MAX + 1, found, key=lambda it: (it.at_s, it.name))
    return Listed(newest[:LIST_MAX], is_cut=len(newest) > LIST_MAX)


def chain(shelf: Shelf, member: str) -> Chain:
    """A member's newest full backup and the increments that follow it, as a restore wants them.

    Names tell what follows what, so nothing is read; increments that were made before the full one
    are of another chain, or of another cluster whose entries have the same numbers.
    """
    own = [it for it in shelf.found() if is_of(it.name, member)]
    full = max((it for it in own if _is_full(it.name)), key=_age_of, default=None)
    if full is None:
        return Chain([], [])
    after: dict[int, list[Kept]] = {}
    for it in own:
        base = _base_of(it.name)
        if base is not None and base < end_of(it.name)[0] and it.at_s >= full.at_s:
            after.setdefault(base, []).append(it)
    found = [full]
    while True:
        end, at_s = end_of(found[-1].name)[0], found[-1].at_s
        following = [it for it in after.pop(end, ()) if it.at_s >= at_s]
        if not following:
            break
        found.append(max(following, key=_age_of))
    last = end_of(found[-1].name)[0]
    cut_off = [it for base, left in after.items() if base > last for it in left]
    return Chain(found, sorted(cut_off, key=_age_of))


def check_end(shelf: Shelf, member: str, base: str, digest: str) -> None:
    """See that an increment of a member may follow `base`, which was saved with this digest.

    It would be of no use where a restore could not come to it, from a full backup on.

    Raises:
        BackupFailed: it may not; the text says why.

    """
    files = chain(shelf, member).files
    if not files or files[-1].name != base:
        why = f"the newest chain ends with {files[-1].name}" if files else "no full one is there"
        raise BackupFailed(f"what follows {base} could not be restored any more: {why}")
    if shelf.digest_of(files[-1]) != digest:
        raise BackupFailed(
            f"{base} is not what was saved there, and it would follow that: does another member "
            "of the same name save there, of another cluster?"
        )


def _age_of(kept: Kept) -> tuple[float, tuple[int, bool]]:
    return kept.at_s, end_of(kept.name)


def _base_of(name: str) -> int | None:
    """The entry that an increment begins behind; None of a full backup."""
    matched = _INCREMENT.fullmatch(name)
    return None if matched is None else int(matched["base"], 16)


def newest(shelf: Shelf, member: str, now_s: float) -> Newest:
    """How old a member's newest is, by clocks that may be wrong."""
    times = [it.at_s for it in shelf.found() if is_of(it.name, member)]
    return Newest(now_s - max(times)) if times else Newest()


def keep(shelf: Shelf, member: str, count: int, made: Kept) -> None:
    """Remove all but a member's newest full backups, of which `made` is the last.

    An increment goes with the full one that it follows in time: without that it is of no use.

    They are as old as the shelf says, and not as their numbers are: a new cluster of the same names
    counts its entries from the beginning again.  What is said to be newer than `made` is older than
    it, by a clock that was ahead, and nobody knows by how much: it goes first, or it would stay for
    ever, and each new backup go at once.
    """
    own = [it for it in shelf.found() if is_of(it.name, member)]
    # As the list has it: what a bucket says of one object alone is cut to a second, and then those
    # of the same second would be newer.
    at_s = max((it.at_s for it in own if it.name == made.name), default=made.at_s)
    own.sort(key=lambda it: (it.name == made.name, it.at_s <= at_s, it.at_s, end_of(it.name)))
    full = [position for position, it in enumerate(own) if _is_full(it.name)]
    for old in own[: full[-count] if len(full) > count else full[0]]:
        shelf.remove(old.name)


def end_of(name: str) -> tuple[int, bool]:
    """Which of two goes first that were made at one time: the increment follows what it ends."""
    matched = _matched(name)
    assert matched is not None, "it is one of a member"
    return int(matched["end"], 16), not _is_full(name)


def verify(shelf: Shelf, name: str, hear: Callable[[int, int], None]) -> Verified:
    """Read all of a backup, and compare it with the digest at its end.

    `hear` is told how many bytes were read, and of how many.

    Raises:
        BackupDamaged: it is not what was saved.

    """
    matched = _matched(known(name))
    assert matched is not None, "that is what is known"
    digest, held, count = hashlib.sha256(), b"", 0
    with shelf.open(name) as opened:
        for piece in opened.pieces:
            held += piece
            digest.update(held[:-DIGEST_BYTES])
            held = held[-DIGEST_BYTES:]
            count += len(piece)
            hear(count, opened.size_bytes)
    if held != digest.digest():
        raise BackupDamaged(f"{name}: the digest at its end is not that of the file{NO_BACKUP}")
    return Verified(int(matched["end"], 16), count, digest.hexdigest())
