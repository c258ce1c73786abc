"""Entries read back while the journal is open."""

import pytest

from roost.journal import JournalDamaged
from roost.sim.members.disk import SECTOR
from tests.journal.journals import (
    WHOLE,
    acknowledged,
    content,
    open_journal,
    reopened,
    repair_all,
    wal_file,
)


def test_an_entry_that_changes_while_the_journal_is_open_is_not_handed_out() -> None:
    disk = acknowledged()
    journal = open_journal(disk)
    _, data = wal_file(disk)
    data[data.index(b"9/1-") + 8] ^= 1
    assert journal.entries(1, 21, 1 << 20) == tuple(WHOLE[:8])
    assert journal.entries(9, 21, 1 << 20) == ()
    repair_all(journal, WHOLE)
    assert content(journal) == WHOLE
    assert content(reopened(journal, disk)) == WHOLE


def test_a_sector_that_cannot_be_read_is_a_damaged_entry() -> None:
    """J16: not the end of the process."""
    disk = acknowledged()
    journal = open_journal(disk)
    path, data = wal_file(disk)
    disk.files[path].unreadable = {data.index(b"9/1-") // SECTOR}
    read = journal.entries(1, 21, 1 << 20)
    assert read == tuple(WHOLE[: len(read)])
    assert journal.first_damaged == len(read) + 1 <= 9
    disk.files[path].unreadable = set()
    repair_all(journal, WHOLE)
    assert content(journal) == WHOLE


def test_an_entry_whose_slot_changed_as_well_is_nobodys_to_name() -> None:
    disk = acknowledged()
    journal = open_journal(disk)
    _, data = wal_file(disk)
    data[data.index(b"9/1-") + 8] ^= 1
    data[8192 + 64 * 8 + 3] ^= 1
    with pytest.raises(JournalDamaged, match="the payload and its slot changed"):
        journal.entries(9, 10, 1 << 20)


def test_a_page_keeps_to_its_bytes_but_has_at_least_one_entry() -> None:
    journal = open_journal(acknowledged())
    one = len(WHOLE[0].payload)
    assert journal.entries(1, 21, 0) == tuple(WHOLE[:1])
    assert journal.entries(1, 21, 3 * one) == tuple(WHOLE[:3])
