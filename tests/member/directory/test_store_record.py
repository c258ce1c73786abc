"""Which directory holds the store: one answer, durable, or a refusal that says why."""

import random
from pathlib import Path

import pytest

from roost.member import StoreDamaged
from roost.member.directory.store_record import (
    StoreRecord,
    change_record,
    newest_number,
    open_record,
    read_record,
    renew_record,
)
from roost.sim.members.disk import SimDisk

HOME = Path("/home")


def lived() -> SimDisk:
    """A disk on which a record was written."""
    disk = SimDisk()
    file = open_record(disk, HOME)
    file.save(StoreRecord(number=3, index=7, term=2, peers=("http://a:1",)))
    file.close()
    return disk


def ruin(disk: SimDisk, *copies: str) -> None:
    for copy in copies:
        file = disk.open(HOME / copy)
        file.pwrite([b"\xff" * file.size()], 0)
        file.close()


def test_a_record_that_was_never_written_is_that_of_the_first_store() -> None:
    disk = SimDisk()
    assert read_record(disk, HOME) == StoreRecord()
    assert disk.files == {}, "reading leaves no file"


def test_what_was_saved_counts_after_a_power_cut() -> None:
    disk = lived().crash(random.Random(1), keep=0.0)
    assert read_record(disk, HOME).directory == "db.3"


@pytest.mark.parametrize("copy", ["store.a", "store.b"])
def test_either_copy_is_enough_and_a_damaged_one_is_said(copy: str) -> None:
    disk = lived()
    ruin(disk, copy)
    file = open_record(disk, HOME)
    assert (file.record.number, file.is_whole) == (3, False)
    file.save(file.record)
    assert file.is_whole
    file.close()


def test_a_record_that_cannot_be_read_is_no_new_one_but_may_be_renewed() -> None:
    disk = lived()
    ruin(disk, "store.a", "store.b")
    with pytest.raises(StoreDamaged, match="nobody can say which store it is"):
        read_record(disk, HOME)
    file = renew_record(disk, HOME)
    assert (file.record, file.is_whole) == (StoreRecord(), False)
    file.close()


def test_fields_change_without_a_member() -> None:
    disk = lived()
    assert change_record(disk, HOME, damage="a value has changed").index == 7
    assert read_record(disk, HOME).damage == "a value has changed"


def test_a_successor_has_a_directory_that_was_never_used(tmp_path: Path) -> None:
    """What a crash left half written has the number that would be next."""
    for name in ("db.3", "db.9", "db.old"):
        (tmp_path / name).mkdir()
    assert newest_number(tmp_path) == 9
    record = StoreRecord(number=3, damage="bad", peers=("http://a:1",))
    assert record.successor(tmp_path, 50, 4) == StoreRecord(
        number=10, index=50, term=4, peers=("http://a:1",)
    )
