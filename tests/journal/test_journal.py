"""Prepare, write, finish: what is persisted comes back, and is promised only then."""

import pytest

from roost.journal import PAYLOAD_BYTES_MAX, EntryTooLarge, JournalBroken
from roost.raft import HardState
from roost.sim.members.disk import SimDisk
from tests.journal.journals import content, entry, open_journal, reopened


def test_entries_and_hard_state_come_back() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(3, 2), [entry(1, 2), entry(2, 3)])
    journal = reopened(journal, disk)
    assert journal.hard_state == HardState(3, 2)
    assert content(journal) == [entry(1, 2), entry(2, 3)]
    assert [journal.term_at(it) for it in range(4)] == [0, 2, 3, None]


def test_segments_roll_and_the_whole_log_is_read_across_them() -> None:
    """J28: where one segment ends is known by the next, so that none is read short."""
    disk = SimDisk()
    journal = open_journal(disk)
    expected = [entry(it) for it in range(1, 300)]
    journal.persist(HardState(1, 0), [])
    for it in expected:
        journal.persist(None, [it])
    assert sum(it.suffix == ".wal" for it in disk.files) > 3
    assert content(reopened(journal, disk)) == expected


def test_its_size_is_that_of_its_segments() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    assert journal.size_bytes == 0
    for it in range(1, 301):
        journal.persist(HardState(1, 0), [entry(it)])
    whole = journal.size_bytes
    assert whole >= 3 << 16
    journal.compact(250)
    assert journal.size_bytes < whole
    assert reopened(journal, disk).size_bytes == journal.size_bytes


def test_an_entry_larger_than_a_segment_gets_one_of_its_own() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(1), entry(2, size=200_000), entry(3)])
    assert content(reopened(journal, disk)) == [entry(1), entry(2, size=200_000), entry(3)]


def test_a_conflicting_tail_is_replaced() -> None:
    """J27: what is dropped and what replaces it are one batch, after a start as well."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 150)])
    journal.persist(HardState(2, 0), [entry(70, 2), entry(71, 2)])
    expected = [entry(it) for it in range(1, 70)] + [entry(70, 2), entry(71, 2)]
    assert content(journal) == expected
    journal = reopened(journal, disk)
    assert content(journal) == expected
    journal.persist(None, [entry(72, 2)])
    assert content(reopened(journal, disk)) == [*expected, entry(72, 2)]


def test_compaction_drops_whole_segments_and_keeps_the_term_below() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 301)])
    journal.compact(250)
    assert 1 < journal.first_index <= 251
    first = journal.first_index
    assert journal.term_at(first - 1) == 1
    assert journal.term_at(first - 2) is None
    journal = reopened(journal, disk)
    assert journal.first_index == first
    assert content(journal) == [entry(it) for it in range(first, 301)]


def test_compaction_after_a_truncation_across_segments() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 200)])
    journal.persist(HardState(2, 0), [entry(it, 2) for it in range(90, 260)])
    journal.compact(200)
    expected = [entry(it, 2) for it in range(journal.first_index, 260)]
    assert content(journal) == expected
    assert content(reopened(journal, disk)) == expected


def test_a_truncation_after_a_compaction_cuts_where_it_says() -> None:
    """go-raft kept offsets of the file before, and cut at another byte."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 260)])
    journal.compact(150)
    first = journal.first_index
    assert 1 < first <= 151
    journal.persist(HardState(2, 0), [entry(it, 2) for it in range(200, 230)])
    expected = [entry(it) for it in range(first, 200)] + [entry(it, 2) for it in range(200, 230)]
    assert content(journal) == expected
    assert content(reopened(journal, disk)) == expected


def test_a_batch_is_not_durable_before_it_is_finished() -> None:
    """What is on its way to the disk promises nothing.

    Checklist 142; J10, J11.
    """
    journal = open_journal(SimDisk())
    batch = journal.prepare(HardState(1, 0), [entry(1)])
    assert journal.durable_index == 0
    journal.write(batch)
    assert journal.durable_index == 0
    journal.finish(batch)
    assert journal.durable_index == 1


def test_after_one_failed_sync_nothing_is_written_any_more() -> None:
    """The next sync might say that all is well of pages that the kernel has dropped.

    Checklist 149; J15.
    """
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(1)])
    disk.fail_at = disk.calls + 3  # the sync of the next batch
    with pytest.raises(JournalBroken):
        journal.persist(None, [entry(2)])
    with pytest.raises(JournalBroken):
        journal.persist(None, [entry(3)])
    with pytest.raises(JournalBroken):
        journal.compact(1)


def test_frames_and_slots_of_a_batch_cost_one_sync() -> None:
    """J10: two writes, then one sync covers both, as in PAR (FAST'18)."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(1)])
    before = disk.calls
    journal.persist(None, [entry(it) for it in range(2, 12)])
    assert disk.calls == before + 3


def test_a_term_is_durable_before_the_first_frame_is_written() -> None:
    """J13: hard state is two files, each written and synced, before the batch begins."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(1)])
    disk.fail_at = disk.calls + 4  # the second copy's sync
    with pytest.raises(JournalBroken):
        journal.persist(HardState(2, 0), [entry(2, 2)])
    [path] = [it for it in disk.files if it.suffix == ".wal"]
    assert b"2/2-" not in disk.files[path].cache


def test_what_is_larger_than_an_entry_may_be_changes_nothing() -> None:
    journal = open_journal(SimDisk())
    journal.persist(HardState(1, 0), [entry(1)])
    with pytest.raises(EntryTooLarge):
        journal.prepare(HardState(2, 0), [entry(2, 2), entry(3, 2, size=PAYLOAD_BYTES_MAX)])
    assert journal.hard_state == HardState(1, 0)
    assert journal.last_index == 1
    journal.invariants()


def test_one_batch_is_prepared_at_a_time() -> None:
    """J9: what replaces part of one that is being written waits for it."""
    journal = open_journal(SimDisk())
    batch = journal.prepare(HardState(1, 0), [entry(1), entry(2)])
    journal.invariants()
    with pytest.raises(AssertionError, match="one batch at a time"):
        journal.prepare(None, [entry(3)])
    with pytest.raises(AssertionError, match="one batch at a time"):
        journal.compact(1)
    journal.write(batch)
    journal.finish(batch)
    journal.invariants()
    assert journal.durable_index == 2


def test_what_may_be_damaged_is_dropped_by_an_owner_that_has_asked() -> None:
    """J21: and stays dropped."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 9)])
    journal.drop_from(5)
    assert content(journal) == [entry(it) for it in range(1, 5)]
    assert content(reopened(journal, disk)) == [entry(it) for it in range(1, 5)]


def test_a_journal_behind_a_snapshot_holds_nothing_older() -> None:
    """J32, J25: and a term that it never heard of is its own from then on."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 2), [entry(it) for it in range(1, 9)])
    journal.begin_behind(20, 3)
    journal.invariants()
    assert (journal.first_index, journal.last_index, journal.term_at(20)) == (21, 20, 3)
    assert journal.hard_state == HardState(3, 0)
    journal.persist(None, [entry(21, 3)])
    assert content(reopened(journal, disk)) == [entry(21, 3)]


def test_compaction_never_takes_the_newest_durable_entry() -> None:
    """J29, J34: whatever it is asked for."""
    journal = open_journal(SimDisk())
    journal.persist(HardState(1, 0), [entry(it) for it in range(1, 301)])
    journal.compact(10_000)
    assert journal.last_index == 300
    assert journal.first_index <= 300
    journal.invariants()
