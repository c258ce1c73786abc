"""What happens to the bytes of a disk behind everybody's back."""

import random
from pathlib import Path

from roost.sim.members.disk import SECTOR, SimDisk

BLOCK = 4096


def segments(disk: SimDisk) -> list[Path]:
    """The segments of a member's journal, oldest first."""
    return sorted(it for it in disk.files if it.suffix == ".wal" and it.parent.name == "wal")


def flip(disk: SimDisk, path: Path, place: int, bit: int = 0) -> None:
    """One bit of a file changes."""
    for data in (disk.files[path].cache, disk.files[path].durable):
        if place < len(data):
            data[place] ^= 1 << bit


def zero(disk: SimDisk, path: Path, begin: int, count: int = SECTOR) -> None:
    """A block of a file becomes zeros."""
    for data in (disk.files[path].cache, disk.files[path].durable):
        end = min(begin + count, len(data))
        data[begin:end] = bytes(end - begin)


def cut(disk: SimDisk, path: Path, size: int) -> None:
    """A file loses its end."""
    for data in (disk.files[path].cache, disk.files[path].durable):
        del data[size:]


def remove(disk: SimDisk, path: Path) -> None:
    """A file is gone."""
    del disk.files[path]
    disk.durable_names.pop(path, None)


def misdirect(disk: SimDisk, path: Path, begin: int, target: int, count: int = SECTOR) -> None:
    """A block was written over another one as well."""
    for data in (disk.files[path].cache, disk.files[path].durable):
        piece = data[begin : begin + count]
        data[target : target + len(piece)] = piece


def used_bytes(disk: SimDisk, path: Path) -> int:
    """Where the zeros at the end of a file begin."""
    return len(bytes(disk.files[path].cache).rstrip(b"\0"))


def damage_journal(disk: SimDisk, dice: random.Random) -> str:
    """One thing happens to one segment; says what, empty when there is nothing to damage."""
    paths = segments(disk)
    if not paths:
        return ""
    path = dice.choice((paths[-1], dice.choice(paths)))
    used = max(used_bytes(disk, path), 1)
    place = dice.randrange(used)
    what = dice.random()
    if what < 0.35:
        flip(disk, path, place, dice.randrange(8))
        return f"a bit of byte {place} of {path.name} flips"
    if what < 0.75:
        size = dice.choice((SECTOR, SECTOR, BLOCK))
        zero(disk, path, place // size * size, size)
        return f"{size} bytes at {place // size * size} of {path.name} are zero"
    if what < 0.85:
        other = dice.randrange(used) // SECTOR * SECTOR
        misdirect(disk, path, place // SECTOR * SECTOR, other)
        return f"the sector of byte {place} of {path.name} is at {other}, too"
    if what < 0.95:
        cut(disk, path, place)
        return f"{path.name} ends at byte {place}"
    remove(disk, path)
    return f"{path.name} is gone"
