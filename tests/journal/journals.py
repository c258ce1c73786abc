"""Journals on a disk in memory, and ways to open and read them."""

import random
from pathlib import Path

from roost.journal import Identity, Journal, JournalConfig
from roost.raft import Entry, EntryKind, HardState
from roost.sim.members.disk import SimDisk

IDENTITY = Identity(cluster_id=1, member_id=2, incarnation=3, created=0.0)
HOME = Path("home")


def config(**changes: int) -> JournalConfig:
    draws = random.Random(1)
    options = {"segment_bytes": 1 << 16, "slot_count": 64, **changes}
    return JournalConfig(
        **options,
        prepares_ahead=False,
        entropy=lambda: draws.getrandbits(64),
    )


def entry(index: int, term: int = 1, size: int = 50) -> Entry:
    return Entry(index, term, EntryKind.NORMAL, b"%d/%d-" % (index, term) + b"x" * size)


def open_journal(disk: SimDisk, **changes: int) -> Journal:
    return Journal.open(HOME, identity=IDENTITY, disk=disk, config=config(**changes))


def content(journal: Journal) -> list[Entry]:
    if journal.last_index < journal.first_index:
        return []
    return list(journal.entries(journal.first_index, journal.last_index + 1, 1 << 30))


def reopened(journal: Journal, disk: SimDisk) -> Journal:
    journal.close()
    return open_journal(disk)


def wal_file(disk: SimDisk) -> tuple[Path, bytearray]:
    [path] = [it for it in disk.files if it.suffix == ".wal"]
    return path, disk.files[path].cache


def acknowledged(count: int = 20) -> SimDisk:
    """A journal whose batches were all acknowledged, not stopped in order."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [])
    for it in range(1, count + 1):
        journal.persist(None, [entry(it)])
    return disk.crash(random.Random(0), keep=0)


# What `acknowledged` holds.
WHOLE = [entry(it) for it in range(1, 21)]


def repair_all(journal: Journal, source: list[Entry]) -> None:
    """As a peer would that holds everything."""
    for index in list(journal.damaged):
        assert journal.repair(index, source[index - 1].payload)
