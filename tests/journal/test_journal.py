"""The journal: what is persisted comes back, damage is told from a torn write."""

import errno
import json
import os
import random
from itertools import product
from pathlib import Path

import pytest

from roost.journal import (
    DirectoryLocked,
    Identity,
    Journal,
    JournalBroken,
    JournalConfig,
    JournalDamaged,
    WrongIdentity,
)
from roost.journal.record import FRAME_MAGIC
from roost.journal.recovery import VERDICTS, Evidence, FrameState, SlotState
from roost.journal.segment import Segment
from roost.journal.spare import Spare
from roost.journal.twin import Twin
from roost.raft import CorruptState, Entry, EntryKind, HardState
from roost.raft.admission import RESTORED_TERM
from roost.sim.members.disk import SimDisk, SimFile

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


def test_entries_and_hard_state_come_back() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(3, 2), [entry(1, 2), entry(2, 3)])
    journal = reopened(journal, disk)
    assert journal.hard_state == HardState(3, 2)
    assert content(journal) == [entry(1, 2), entry(2, 3)]
    assert [journal.term_at(it) for it in range(4)] == [0, 2, 3, None]


def test_a_term_that_an_attack_used_up_is_replaced_once_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where 2^64-1 was persisted, the member could never start again."""
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


@pytest.mark.parametrize("lacking", [errno.EMFILE, errno.ENFILE, errno.ENOSPC])
def test_a_spare_that_lacks_a_descriptor_or_room_is_made_when_it_is_needed(lacking: int) -> None:
    """That there is no descriptor says nothing of the device: it ended the member."""

    class Poor(SimDisk):
        is_poor = False

        def open(self, path: Path, *, create: bool = False) -> SimFile:
            if self.is_poor:
                raise OSError(lacking, os.strerror(lacking), str(path))
            return super().open(path, create=create)

    disk = Poor()
    spare = Spare(disk, HOME / "spare.tmp", 1 << 16, is_made_ahead=True)
    disk.make_directory(HOME)
    disk.is_poor = True
    spare.prepare()
    assert spare._coming is not None
    with pytest.raises(OSError, match=r"spare\.tmp"):
        spare._coming.result()
    disk.is_poor = False
    segment = Segment(HOME / "1.wal", 1, 5, 1, 64, 1 << 16)
    spare.install(segment, IDENTITY)
    assert segment.file is not None
    spare.close()


@pytest.mark.parametrize("name", ["hard", "identity", "catalog"])
def test_a_small_record_with_numbers_beyond_all_is_damage(name: str) -> None:
    disk = SimDisk()
    open_journal(disk).close()
    twin = Twin(disk, HOME, name)
    body = twin.load()
    assert body is not None or name == "hard"
    fields = json.loads(body or b"{}")
    for number in (-1, 2**64):
        for field in ("vote", "incarnation", "starts"):
            fields[field] = number
        twin.save(json.dumps(fields).encode())
        if name != "hard" or number < 0:
            with pytest.raises(JournalDamaged):
                open_journal(disk)
    twin.close()


def test_it_works_on_a_real_file_system(tmp_path: Path) -> None:
    home = tmp_path / "home"
    journal = Journal.open(home, identity=IDENTITY)
    journal.persist(HardState(1, 2), [entry(it) for it in range(1, 200)])
    with pytest.raises(DirectoryLocked):
        Journal.open(home, identity=IDENTITY)
    journal.close()
    again = Journal.open(home, identity=IDENTITY)
    assert content(again) == [entry(it) for it in range(1, 200)]
    again.close()
    assert {it.stat().st_mode & 0o777 for it in home.rglob("*") if it.is_file()} == {0o600}
    other = Identity(cluster_id=9, member_id=9, incarnation=1, created=0.0)
    with pytest.raises(WrongIdentity):
        Journal.open(home, identity=other)


def test_segments_roll_and_the_whole_log_is_read_across_them() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    expected = [entry(it) for it in range(1, 300)]
    journal.persist(HardState(1, 0), [])
    for it in expected:
        journal.persist(None, [it])
    assert sum(it.suffix == ".wal" for it in disk.files) > 3
    assert content(reopened(journal, disk)) == expected


def test_an_entry_larger_than_a_segment_gets_one_of_its_own() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 0), [entry(1), entry(2, size=200_000), entry(3)])
    assert content(reopened(journal, disk)) == [entry(1), entry(2, size=200_000), entry(3)]


def test_a_conflicting_tail_is_replaced() -> None:
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


def test_a_batch_is_not_durable_before_it_is_finished() -> None:
    """Checklist 142."""
    journal = open_journal(SimDisk())
    batch = journal.prepare(HardState(1, 0), [entry(1)])
    assert journal.durable_index == 0
    journal.write(batch)
    assert journal.durable_index == 0
    journal.finish(batch)
    assert journal.durable_index == 1


def test_after_one_failed_sync_nothing_is_written_any_more() -> None:
    """Checklist 149."""
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


def test_the_table_of_verdicts_is_complete() -> None:
    possible = set()
    for frame, slot, evidence in product(FrameState, SlotState, Evidence):
        if frame is FrameState.HEAD_BAD and slot is not SlotState.OK:
            continue  # only a valid slot can vouch for a payload
        if frame is FrameState.BAD and slot is SlotState.DIFFERS:
            continue  # without a frame there is nothing to differ from
        possible.add((frame, slot, evidence))
    assert set(VERDICTS) == possible


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


def test_a_damaged_slot_is_written_anew() -> None:
    disk = acknowledged()
    _, data = wal_file(disk)
    data[8192 + 64 * 5 + 3] ^= 1
    journal = open_journal(disk)
    assert content(journal) == [entry(it) for it in range(1, 21)]
    journal.close()
    assert content(open_journal(disk)) == [entry(it) for it in range(1, 21)]


def test_a_damaged_head_is_written_anew() -> None:
    disk = acknowledged()
    _, data = wal_file(disk)
    data[data.index(FRAME_MAGIC, data.index(b"5/1-")) + 20] ^= 1
    assert content(open_journal(disk)) == [entry(it) for it in range(1, 21)]


WHOLE = [entry(it) for it in range(1, 21)]


def mend_all(journal: Journal, source: list[Entry]) -> None:
    """As a peer would that holds everything."""
    for index in list(journal.faulty):
        assert journal.mend(index, source[index - 1].payload)


@pytest.mark.parametrize("position", range(20))
def test_a_damaged_payload_keeps_its_identity_until_a_peer_brings_it_back(position: int) -> None:
    disk = acknowledged()
    _, data = wal_file(disk)
    index = position + 1
    data[data.index(b"%d/1-" % index) + 8] ^= 1
    journal = open_journal(disk)
    assert list(journal.faulty) == [index] == [journal.first_faulty]
    assert journal.last_index == 20
    assert journal.term_at(index) == 1
    assert journal.entries(1, 21, 1 << 20) == tuple(WHOLE[:position])
    assert not journal.mend(index, b"something else")
    mend_all(journal, WHOLE)
    assert content(journal) == WHOLE
    assert content(reopened(journal, disk)) == WHOLE


def test_damage_below_what_the_store_holds_is_no_damage() -> None:
    for index in (1, 7, 20):
        disk = acknowledged()
        _, data = wal_file(disk)
        data[data.index(b"%d/1-" % index) + 8] ^= 1
        journal = Journal.open(HOME, identity=IDENTITY, disk=disk, config=config(), held=(index, 1))
        assert not journal.faulty
        assert journal.first_index == index + 1
        assert journal.term_at(index) == 1
        assert content(journal) == WHOLE[index:]
        journal.persist(None, [entry(21)])
        assert content(reopened(journal, disk)) == [*WHOLE[index:], entry(21)]


def test_an_entry_that_changes_while_the_journal_is_open_is_not_handed_out() -> None:
    disk = acknowledged()
    journal = open_journal(disk)
    _, data = wal_file(disk)
    data[data.index(b"9/1-") + 8] ^= 1
    assert journal.entries(1, 21, 1 << 20) == tuple(WHOLE[:8])
    assert journal.entries(9, 21, 1 << 20) == ()
    mend_all(journal, WHOLE)
    assert content(journal) == WHOLE
    assert content(reopened(journal, disk)) == WHOLE


@pytest.mark.parametrize("size", [512, 4096])
def test_zeroed_blocks_never_lose_an_acknowledged_entry(size: int) -> None:
    """The case in which etcd drops acknowledged writes (faults.md 0.2)."""
    end = len(wal_file(acknowledged())[1])
    outcomes = {"whole": 0, "mended": 0}
    for begin in range(0, min(end, 8192 + 64 * 64 + 20 * 136), size):
        disk = acknowledged()
        data = wal_file(disk)[1]
        data[begin : begin + size] = bytes(size)
        journal = open_journal(disk)
        assert journal.last_index == 20, f"block at {begin}"
        outcomes["mended" if journal.faulty else "whole"] += 1
        mend_all(journal, WHOLE)
        assert content(journal) == WHOLE, f"block at {begin}"
        assert content(reopened(journal, disk)) == WHOLE
    assert all(outcomes.values())


def test_a_flipped_bit_never_loses_an_acknowledged_entry() -> None:
    used = 8192 + 64 * 64 + 20 * 136
    for place in range(0, used, 61):
        disk = acknowledged()
        wal_file(disk)[1][place] ^= 1 << place % 8
        journal = open_journal(disk)
        mend_all(journal, WHOLE)
        assert content(journal) == WHOLE, f"bit at {place}"


def test_a_flipped_bit_in_any_small_file_is_mended_from_its_twin() -> None:
    names = [f"{name}.{copy}" for name in ("hard", "catalog", "identity") for copy in "ab"]
    for name in names:
        for place in range(0, len(acknowledged().files[HOME / name].cache), 7):
            disk = acknowledged()
            disk.files[HOME / name].cache[place] ^= 4
            journal = open_journal(disk)
            assert content(journal) == WHOLE
            assert journal.hard_state == HardState(1, 0)
            journal.close()
            other = f"{name[:-1]}{'b' if name.endswith('a') else 'a'}"
            disk.files[HOME / other].cache[place] ^= 4
            assert content(open_journal(disk)) == WHOLE, f"{name} was not mended"


def two_segments() -> tuple[SimDisk, list[Path]]:
    disk = acknowledged(200)
    return disk, sorted(it for it in disk.files if it.suffix == ".wal")


def test_a_missing_segment_is_named() -> None:
    disk, paths = two_segments()
    del disk.files[paths[1]]
    with pytest.raises(JournalDamaged, match="missing"):
        open_journal(disk)


@pytest.mark.parametrize("held", [0, 30, 90, 140, 200])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment_fences_unless_the_store_holds_what_was_in_it(
    held: int, which: int
) -> None:
    disk, paths = two_segments()
    del disk.files[paths[which]]

    def open_again(*, may_lose_tail: bool = False) -> Journal:
        return Journal.open(
            HOME,
            identity=IDENTITY,
            disk=disk,
            config=config(),
            held=(held, 1),
            may_lose_tail=may_lose_tail,
        )

    journal = open_again(may_lose_tail=True)
    is_newest = which == -1
    assert journal.is_fenced == (is_newest or held < 64 * (which + 1))
    if not journal.is_fenced:
        assert journal.last_index == 200
    if held < 200:
        found = content(journal)
        assert found == [entry(it) for it in range(journal.first_index, journal.last_index + 1)]
    assert journal.first_index <= held + 1
    was_fenced, last = journal.is_fenced, journal.last_index
    journal.persist(None, [entry(last + 1)])
    journal.close()
    journal = open_again()
    assert journal.is_fenced == was_fenced, "a fence outlives a restart"
    assert journal.last_index == last + 1
    journal.lift_fence()
    journal.close()
    assert not open_journal(disk).is_fenced


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
        assert {it.is_certain for it in journal.faulty.values()} == {is_certain}
        journal.drop_from(journal.first_faulty)
        assert content(journal) == WHOLE[:5]
        journal.persist(None, [entry(6)])
        assert content(reopened(journal, disk)) == WHOLE[:6]


def test_files_that_the_catalogue_does_not_name_are_put_aside() -> None:
    disk = acknowledged()
    stray = HOME / "wal" / "ffff-0001.wal"
    disk.open(stray, create=True)
    open_journal(disk)
    assert stray not in disk.files
    assert [it.name for it in disk.files if it.parent.name == "lost"] == [f"2-{stray.name}"]
