"""Term and vote: saved before anything rests on them, and never made up."""

import random

import pytest

from roost.journal import JournalDamaged
from roost.journal.hard_state import HardRecord
from roost.journal.twin import Twin
from roost.raft import CorruptState, HardState
from roost.raft.admission import RESTORED_TERM
from roost.sim.members.disk import SimDisk
from tests.journal.journals import HOME, content, entry, open_journal, reopened


def test_a_term_that_an_attack_used_up_is_replaced_once_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """J25.  Where 2^64-1 was persisted, the member could never start again."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(3, 2), [entry(1, 2), entry(2, 3)])
    journal.persist(HardState(2**64 - 1, 777, 1, 2), [])
    journal = reopened(journal, disk)
    assert journal.hard_state == HardState(RESTORED_TERM, 0, 1, 2)
    assert content(journal) == [entry(1, 2), entry(2, 3)]
    assert "which no election reaches" in caplog.text
    caplog.clear()
    journal.persist(HardState(RESTORED_TERM + 1, 2), [])
    journal = reopened(journal, disk)
    assert journal.hard_state == HardState(RESTORED_TERM + 1, 2)
    assert not caplog.text


def test_a_log_that_an_attack_used_up_is_named_with_what_can_be_done() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(2**64 - 1, 2), [entry(1, 2**64 - 1)])
    journal.close()
    with pytest.raises(CorruptState, match="no election can follow that; restore"):
        open_journal(disk)


def test_what_was_saved_comes_back() -> None:
    disk = SimDisk()
    HardRecord(disk, HOME).save(HardState(3, 2, 7, 2))
    assert HardRecord(disk, HOME).load() == HardState(3, 2, 7, 2)


def test_a_snapshot_of_a_later_term_raises_the_term_and_takes_the_vote() -> None:
    """J25: the vote was given in an older term, and nobody knows of one in this."""
    disk = SimDisk()
    record = HardRecord(disk, HOME)
    record.save(HardState(3, 2))
    assert record.resume(5, 5) == HardState(5, 0)
    assert HardRecord(disk, HOME).load() == HardState(5, 0), "before it votes"


def test_a_vote_is_never_made_up_from_the_log() -> None:
    """J25: entries of a term say nothing of whom this member voted for in it."""
    journal = open_journal(SimDisk())
    journal.persist(HardState(4, 0), [entry(1, 4)])
    assert journal.hard_state.vote == 0


def test_a_record_that_says_nothing_a_node_could_be_in_is_damage() -> None:
    disk = SimDisk()
    Twin(disk, HOME, "hard").save(b'{"term":1,"vote":-1}')
    with pytest.raises(JournalDamaged, match="is no hard state"):
        HardRecord(disk, HOME).load()


def test_the_term_is_durable_before_entries_of_it_are() -> None:
    """J13: whatever the power cut keeps, no entry is of a term above the hard state's."""
    for seed in range(50):
        dice = random.Random(seed)
        disk = SimDisk()
        journal = open_journal(disk)
        disk.cut_at(dice.randint(1, 12))
        try:
            journal.persist(HardState(1, 2), [entry(1, 1)])
            journal.persist(HardState(2, 2), [entry(2, 2)])
        except BaseException:  # noqa: BLE001 - a power cut is none of the usual errors
            disk = disk.crash(dice, keep=0.5)
        else:
            continue
        journal = open_journal(disk)
        assert all(it.term <= journal.hard_state.term for it in content(journal))
