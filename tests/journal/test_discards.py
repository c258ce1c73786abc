"""Segments that nobody needs are removed while the member goes on."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from roost.journal import Journal, JournalBroken
from roost.journal.disk import OsDisk
from roost.raft import HardState
from roost.testing.patience import PATIENCE_S, wait_until
from tests.journal.journals import IDENTITY, config, content, entry


class HeldDisk(OsDisk):
    """Removes nothing of the log before it may, or fails to."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.fails = False

    def unlink(self, path: Path) -> None:
        if path.suffix == ".wal":
            assert self.may.wait(PATIENCE_S)
            if self.fails:
                raise OSError(5, "Input/output error", str(path))
        super().unlink(path)


def filled(directory: Path, disk: OsDisk) -> Journal:
    settings = replace(config(), prepares_ahead=True)
    journal = Journal.open(directory, identity=IDENTITY, disk=disk, config=settings)
    journal.persist(HardState(1, 0), [])
    for it in range(1, 101):
        journal.persist(None, [entry(it, size=5000)])
    return journal


def files(directory: Path) -> set[Path]:
    return set((directory / "wal").glob("*.wal"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "member"
    made.mkdir(mode=0o700)
    return made


def test_the_loop_does_not_wait_for_what_is_removed(directory: Path) -> None:
    """Sixteen megabytes take the kernel four milliseconds: a dozen held the loop for fifty."""
    disk = HeldDisk()
    journal = filled(directory, disk)
    before = files(directory)
    journal.compact(50)
    first = journal.first_index
    assert 1 < first <= 51
    assert files(directory) == before
    journal.persist(None, [entry(101)])
    journal.compact(90)
    assert journal.first_index > first
    disk.may.set()
    wait_until(lambda: len(files(directory)) < len(before) // 2)
    journal.close()
    kept = Journal.open(directory, identity=IDENTITY, config=config())
    assert [it.index for it in content(kept)] == list(range(journal.first_index, 102))
    kept.close()
    assert not any((directory / "lost").glob("*")), "and nothing was left for a start"


def test_a_journal_that_begins_anew_waits_until_the_old_names_are_free(directory: Path) -> None:
    """Its segments are numbered from one again."""
    disk = HeldDisk()
    journal = filled(directory, disk)
    threading.Timer(0.05, disk.may.set).start()
    journal.begin_behind(200, 1)
    assert not files(directory)
    journal.persist(None, [entry(201)])
    journal.close()
    kept = Journal.open(directory, identity=IDENTITY, config=config())
    assert content(kept) == [entry(201)]
    kept.close()


def test_a_device_that_fails_in_the_background_is_found_out(directory: Path) -> None:
    """J15: the next time that something is removed, for until then nobody is harmed."""
    disk = HeldDisk()
    disk.fails = True
    journal = filled(directory, disk)
    journal.compact(50)
    disk.may.set()
    with pytest.raises(JournalBroken, match="Input/output error"):
        journal.begin_behind(200, 1)
    with pytest.raises(JournalBroken):
        journal.persist(None, [entry(201)])
    journal.close()
