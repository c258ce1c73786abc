"""What is read back of a segment: good, torn or damaged."""

import random

import pytest

from roost.journal import JournalBroken, JournalDamaged
from roost.journal.record import FRAME_MAGIC
from roost.raft import HardState
from roost.sim.members.disk import SimDisk
from tests.journal.journals import (
    WHOLE,
    acknowledged,
    content,
    entry,
    open_journal,
    reopened,
    repair_all,
    wal_file,
)


def test_a_damaged_slot_is_written_anew() -> None:
    """J5: its frame names the same entry, far away from it."""
    disk = acknowledged()
    _, data = wal_file(disk)
    data[8192 + 64 * 5 + 3] ^= 1
    journal = open_journal(disk)
    assert content(journal) == [entry(it) for it in range(1, 21)]
    journal.close()
    assert content(open_journal(disk)) == [entry(it) for it in range(1, 21)]


def test_a_damaged_head_is_written_anew() -> None:
    """J4: the payload vouches for itself, and the slot says what it is."""
    disk = acknowledged()
    _, data = wal_file(disk)
    data[data.index(FRAME_MAGIC, data.index(b"5/1-")) + 20] ^= 1
    assert content(open_journal(disk)) == [entry(it) for it in range(1, 21)]


@pytest.mark.parametrize("position", range(20))
def test_a_damaged_payload_keeps_its_identity_until_a_peer_brings_it_back(position: int) -> None:
    """J19, J20: index, term and checksum are known, so the right bytes are, too."""
    disk = acknowledged()
    _, data = wal_file(disk)
    index = position + 1
    data[data.index(b"%d/1-" % index) + 8] ^= 1
    journal = open_journal(disk)
    assert list(journal.damaged) == [index] == [journal.first_damaged]
    assert journal.last_index == 20
    assert journal.term_at(index) == 1
    assert journal.entries(1, 21, 1 << 20) == tuple(WHOLE[:position])
    assert not journal.repair(index, b"something else")
    repair_all(journal, WHOLE)
    assert content(journal) == WHOLE
    assert content(reopened(journal, disk)) == WHOLE


@pytest.mark.parametrize("size", [512, 4096])
def test_zeroed_blocks_never_lose_an_acknowledged_entry(size: int) -> None:
    """J8: zeros are no end of the log; etcd drops acknowledged writes there."""
    end = len(wal_file(acknowledged())[1])
    outcomes = {"whole": 0, "repaired": 0}
    for begin in range(0, min(end, 8192 + 64 * 64 + 20 * 136), size):
        disk = acknowledged()
        data = wal_file(disk)[1]
        data[begin : begin + size] = bytes(size)
        journal = open_journal(disk)
        assert journal.last_index == 20, f"block at {begin}"
        outcomes["repaired" if journal.damaged else "whole"] += 1
        repair_all(journal, WHOLE)
        assert content(journal) == WHOLE, f"block at {begin}"
        assert content(reopened(journal, disk)) == WHOLE
    assert all(outcomes.values())


def test_a_flipped_bit_never_loses_an_acknowledged_entry() -> None:
    used = 8192 + 64 * 64 + 20 * 136
    for place in range(0, used, 61):
        disk = acknowledged()
        wal_file(disk)[1][place] ^= 1 << place % 8
        journal = open_journal(disk)
        repair_all(journal, WHOLE)
        assert content(journal) == WHOLE, f"bit at {place}"


def test_a_marked_entry_is_never_taken_for_torn() -> None:
    """An idle journal says what is durable: then even frame and slot may not vanish together."""
    for is_marked in (False, True):
        disk = SimDisk()
        journal = open_journal(disk)
        journal.persist(HardState(1, 0), WHOLE[:5])
        journal.persist(None, WHOLE[5:7])
        if is_marked:
            journal.prepare_mark()()
            assert journal.is_marked
        disk = disk.crash(random.Random(1), keep=0.5)
        data = wal_file(disk)[1]
        for place in (data.index(b"6/1-") - 64, 8192 + 64 * 5):
            data[place : place + 330] = bytes(330)
        if is_marked:
            with pytest.raises(JournalDamaged):
                open_journal(disk)
        else:
            assert content(open_journal(disk)) == WHOLE[:5]


def test_a_torn_entry_whose_slot_survived_is_known_to_be_doubtful() -> None:
    """Only a power cut leaves it; while the machine runs a slot is written behind its frame."""
    for keep, is_certain in ((0.0, False), (1.0, True)):
        disk = SimDisk()
        journal = open_journal(disk)
        journal.persist(HardState(1, 0), WHOLE[:5])
        journal.persist(None, WHOLE[5:7])
        disk = disk.crash(random.Random(1), keep=keep)
        data = wal_file(disk)[1]
        begin = data.index(b"6/1-") - 64
        data[begin : begin + 200] = bytes(200)
        journal = open_journal(disk)
        assert {it.is_certain for it in journal.damaged.values()} == {is_certain}
        journal.drop_from(journal.first_damaged)
        assert content(journal) == WHOLE[:5]
        journal.persist(None, [entry(6)])
        assert content(reopened(journal, disk)) == WHOLE[:6]


def test_after_an_unclean_start_the_newest_batch_is_durable_before_anything_is_promised() -> None:
    """J17: what was read may have stood in the page cache alone, with a sync that failed."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), WHOLE[:5])
    batch = journal.prepare(None, WHOLE[5:9])
    disk.fail_at = disk.calls + 3  # two writes, then the sync
    with pytest.raises(JournalBroken):
        journal.write(batch)
    # The process ends, the machine does not: a new one reads what the cache has.
    disk = disk.crash(random.Random(1), keep=1.0)
    path, data = wal_file(disk)
    file = disk.files[path]
    file.durable = bytearray(len(data))  # of all that, the disk has nothing
    journal = open_journal(disk)
    assert content(journal) == WHOLE[:9]
    begin = data.index(b"6/1-") - 64
    end = data.index(b"9/1-") + len(WHOLE[8].payload)
    assert file.durable[begin:end] == data[begin:end]
    slots = slice(8192 + 64 * 5, 8192 + 64 * 9)
    assert file.durable[slots] == data[slots]


def test_a_stop_in_order_is_followed_by_no_rewriting() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), WHOLE)
    journal.close()
    file = wal_file(disk)
    before = disk.files[file[0]].pending.copy()
    assert content(open_journal(disk)) == WHOLE
    assert disk.files[file[0]].pending == before
