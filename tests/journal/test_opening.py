"""Opening: what the log is, decided from what is left of it."""

import json
from pathlib import Path

import pytest

from roost.journal import Journal, JournalDamaged
from roost.journal.twin import Twin
from roost.sim.members.disk import SimDisk
from tests.journal.journals import (
    HOME,
    IDENTITY,
    WHOLE,
    acknowledged,
    config,
    content,
    entry,
    open_journal,
    reopened,
    wal_file,
)


def two_segments() -> tuple[SimDisk, list[Path]]:
    disk = acknowledged(200)
    return disk, sorted(it for it in disk.files if it.suffix == ".wal")


def test_damage_below_what_the_store_holds_is_no_damage() -> None:
    for index in (1, 7, 20):
        disk = acknowledged()
        _, data = wal_file(disk)
        data[data.index(b"%d/1-" % index) + 8] ^= 1
        journal = Journal.open(HOME, identity=IDENTITY, disk=disk, config=config(), held=(index, 1))
        assert not journal.damaged
        assert journal.first_index == index + 1
        assert journal.term_at(index) == 1
        assert content(journal) == WHOLE[index:]
        journal.persist(None, [entry(21)])
        assert content(reopened(journal, disk)) == [*WHOLE[index:], entry(21)]


def test_a_store_that_is_ahead_of_the_log_proves_that_its_end_is_lost() -> None:
    """J36: the store applies only what was durable here."""
    disk = acknowledged()

    def open_behind(held: int, begins_at: int = 0) -> Journal:
        return Journal.open(
            HOME,
            identity=IDENTITY,
            disk=disk,
            config=config(),
            held=(held, 1),
            begins_at=begins_at,
        )

    with pytest.raises(JournalDamaged, match="the log ends at 20, the store holds 25"):
        open_behind(25)
    assert not open_behind(25, begins_at=25).is_fenced, "a snapshot's entries were never here"


def test_each_start_is_counted() -> None:
    disk = acknowledged()
    journal = open_journal(disk)
    before = journal.starts
    assert reopened(journal, disk).starts == before + 1


def test_a_segment_of_another_life_is_none_of_ours() -> None:
    """J2: what was put back from a copy may have been replaced since."""
    disk, _ = two_segments()
    twin = Twin(disk, HOME, "catalog")
    fields = json.loads(twin.load() or b"")
    fields["segments"][0]["epoch"] += 1
    twin.save(json.dumps(fields).encode())
    with pytest.raises(JournalDamaged, match="of another life"):
        open_journal(disk)


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


def test_files_that_the_manifest_does_not_name_are_put_aside() -> None:
    """J30: moved, never deleted."""
    disk = acknowledged()
    stray = HOME / "wal" / "ffff-0001.wal"
    disk.open(stray, create=True)
    open_journal(disk)
    assert stray not in disk.files
    assert [it.name for it in disk.files if it.parent.name == "lost"] == [f"2-{stray.name}"]
