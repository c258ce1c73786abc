"""Whether a journal has ever followed a store."""

import pytest

from roost.journal import JournalDamaged, has_lived
from roost.raft import HardState
from roost.sim.members.disk import SimDisk
from tests.journal.journals import HOME, entry, open_journal


def test_a_new_directory_has_not_lived() -> None:
    disk = SimDisk()
    assert not has_lived(disk, HOME)
    open_journal(disk).close()
    assert not has_lived(disk, HOME), "nothing was promised"


def test_who_has_a_term_has_lived() -> None:
    disk = SimDisk()
    journal = open_journal(disk)
    journal.persist(HardState(1, 2), [entry(1)])
    journal.close()
    assert has_lived(disk, HOME)


def test_who_began_behind_a_store_and_lost_its_term_is_damaged() -> None:
    """J24: term and vote are known to nobody else."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.begin_behind(5, 2)
    journal.close()
    for copy in "ab":
        disk.unlink(HOME / f"hard.{copy}")
    with pytest.raises(JournalDamaged, match="term and vote are gone"):
        has_lived(disk, HOME)
