"""Whose directory it is, and that one process uses it."""

from pathlib import Path

import pytest

from roost.journal import (
    DirectoryLocked,
    Identity,
    Journal,
    JournalDamaged,
    OsDisk,
    WrongIdentity,
    load_identity,
    replace_identity,
)
from roost.journal.identity import is_in_use, peek_identity, save_identity
from roost.raft import HardState
from roost.sim.members.disk import SimDisk
from tests.journal.journals import HOME, IDENTITY, content, entry, open_journal

OTHER = Identity(cluster_id=9, member_id=9, incarnation=1, created=0.0)


def test_a_journal_on_a_real_file_system_comes_back(tmp_path: Path) -> None:
    """J1: and all that it writes is its owner's alone."""
    home = tmp_path / "home"
    journal = Journal.open(home, identity=IDENTITY)
    journal.persist(HardState(1, 2), [entry(it) for it in range(1, 200)])
    journal.close()
    again = Journal.open(home, identity=IDENTITY)
    assert content(again) == [entry(it) for it in range(1, 200)]
    again.close()
    assert {it.stat().st_mode & 0o777 for it in home.rglob("*") if it.is_file()} == {0o600}
    assert {it.stat().st_mode & 0o777 for it in home.rglob("*") if it.is_dir()} == {0o700}


def test_one_process_at_a_time_uses_a_directory(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "home", identity=IDENTITY)
    with pytest.raises(DirectoryLocked):
        Journal.open(tmp_path / "home", identity=IDENTITY)
    journal.close()
    Journal.open(tmp_path / "home", identity=IDENTITY).close()


def test_a_directory_of_another_member_is_refused_and_left_alone() -> None:
    disk = SimDisk()
    open_journal(disk).close()
    with pytest.raises(WrongIdentity, match="belongs to member 2 of cluster 1"):
        Journal.open(HOME, identity=OTHER, disk=disk)
    assert load_identity(disk, HOME) == IDENTITY
    open_journal(disk)


def test_an_identity_is_never_written_over_another() -> None:
    disk = SimDisk()
    save_identity(disk, HOME, IDENTITY)
    with pytest.raises(WrongIdentity):
        save_identity(disk, HOME, OTHER)
    assert load_identity(disk, HOME) == IDENTITY


def test_an_identity_that_is_gone_from_a_directory_that_has_lived_is_damage() -> None:
    """J24: a new one would vote again where the old one has voted."""
    disk = SimDisk()
    open_journal(disk).close()
    for copy in "ab":
        disk.unlink(HOME / f"identity.{copy}")
    with pytest.raises(JournalDamaged, match="whose directory this is"):
        load_identity(disk, HOME)


def test_a_new_cluster_keeps_the_segments_of_the_old_one() -> None:
    """Their heads name the cluster that wrote them."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 2), [entry(1), entry(2)])
    journal.close()
    founded = Identity(cluster_id=8, member_id=2, incarnation=4, created=0.0, journal_id=1)
    replace_identity(disk, HOME, founded)
    journal = Journal.open(HOME, identity=founded, disk=disk)
    assert journal.identity == founded
    assert content(journal) == [entry(1), entry(2)]
    journal.close()


def test_the_lock_names_the_process_that_holds_it(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, identity=IDENTITY, disk=OsDisk())
    assert (tmp_path / "LOCK").read_text().strip().isdigit()
    journal.close()


def test_to_ask_whether_a_directory_is_used_leaves_it_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert not is_in_use(home)
    assert not home.exists()
    journal = Journal.open(home, identity=IDENTITY)
    said = (home / "LOCK").read_bytes()
    assert is_in_use(home)
    journal.close()
    assert not is_in_use(home)
    assert (home / "LOCK").read_bytes() == said
    Journal.open(home, identity=IDENTITY).close()


def test_to_peek_whose_directory_it_is_repairs_nothing() -> None:
    disk = SimDisk()
    open_journal(disk).close()
    disk.files[HOME / "identity.a"].cache[40] ^= 4
    before = {path: bytes(it.cache) for path, it in disk.files.items()}
    assert peek_identity(disk, HOME) == IDENTITY
    assert {path: bytes(it.cache) for path, it in disk.files.items()} == before
    disk.files[HOME / "identity.b"].cache[40] ^= 4
    with pytest.raises(JournalDamaged):
        peek_identity(disk, HOME)
