"""What stays of the journal for members that lag is bounded by number, and by the data's size."""

import pytest

from roost.journal import Journal
from roost.member.trimming import PART, trim
from roost.raft import HardState
from roost.sim.members.disk import SimDisk
from tests.journal.journals import entry, open_journal

SEGMENT_BYTES = 1 << 16
COUNT = 400


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk()


@pytest.fixture
def journal(disk: SimDisk) -> Journal:
    """Entries of a kilobyte in some eight segments."""
    found = open_journal(disk, segment_bytes=SEGMENT_BYTES)
    found.persist(HardState(1, 0), [entry(it, size=1000) for it in range(1, COUNT + 1)])
    return found


def bytes_of(disk: SimDisk) -> int:
    """What the segments take."""
    return sum(len(file.cache) for path, file in disk.files.items() if path.suffix == ".wal")


def test_entries_stay_by_number(journal: Journal) -> None:
    assert trim(journal, 350, entries=100, in_use_bytes=1 << 40)
    assert 190 < journal.first_index <= 251
    first = journal.first_index
    assert not trim(journal, 350, entries=100, in_use_bytes=1 << 40)
    assert journal.first_index == first


def test_they_take_no_more_than_a_part_of_what_the_data_takes(
    journal: Journal, disk: SimDisk
) -> None:
    """Ten thousand entries of a megabyte were ten gigabytes beside a store of one."""
    for segments in (5, 4, 2):
        assert bytes_of(disk) > segments * SEGMENT_BYTES
        in_use = PART * segments * SEGMENT_BYTES
        assert trim(journal, COUNT, entries=10_000, in_use_bytes=in_use, bytes_min=0)
        assert bytes_of(disk) == segments * SEGMENT_BYTES
        assert journal.last_index == COUNT


def test_a_little_stays_however_small_the_store_is(journal: Journal, disk: SimDisk) -> None:
    assert not trim(journal, COUNT, entries=10_000, in_use_bytes=0)
    trim(journal, COUNT, entries=10_000, in_use_bytes=0, bytes_min=3 * SEGMENT_BYTES)
    assert bytes_of(disk) == 3 * SEGMENT_BYTES
    trim(journal, COUNT, entries=10_000, in_use_bytes=0, bytes_min=0)
    assert bytes_of(disk) == SEGMENT_BYTES


def test_what_is_needed_stays_whatever_it_takes(journal: Journal) -> None:
    """What the store has not made durable, and what follows a snapshot on its way."""
    trim(journal, 100, entries=10_000, in_use_bytes=0, bytes_min=0)
    assert journal.first_index <= 101
    assert trim(journal, 200, entries=10_000, in_use_bytes=0, bytes_min=0)
    assert 101 < journal.first_index <= 201


def test_a_segment_that_is_empty_yet_is_none() -> None:
    """A journal that was just begun behind a snapshot has nothing to keep or to drop."""
    journal = open_journal(SimDisk())
    assert journal.first_within(0) == journal.last_index + 1
    assert not trim(journal, 0, entries=0, in_use_bytes=0, bytes_min=0)
    journal.begin_behind(50, 3)
    assert not trim(journal, 50, entries=0, in_use_bytes=0, bytes_min=0)
