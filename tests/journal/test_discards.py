"""Segments that nobody needs are removed while the member goes on."""

import os
import threading
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import pytest

from roost.journal import Journal, JournalBroken
from roost.journal.disk import OsDisk, OsFile
from roost.journal.opening import SPARE_NAME
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


def failed(directory: Path) -> Journal:
    """One whose device has failed while an old segment was removed."""
    disk = HeldDisk()
    disk.fails = True
    journal = filled(directory, disk)
    journal.compact(50)
    disk.may.set()
    wait_until(lambda: journal._discards.error is not None)
    return journal


def test_after_an_error_in_the_background_nothing_is_written(directory: Path) -> None:
    """J15, as if a write of its own had failed."""
    journal = failed(directory)
    with pytest.raises(JournalBroken, match="Input/output error"):
        journal.persist(None, [entry(101)])
    with pytest.raises(JournalBroken):
        journal.persist(None, [entry(101)])
    journal.close()


def test_a_journal_that_begins_anew_says_what_failed(directory: Path) -> None:
    journal = failed(directory)
    with pytest.raises(JournalBroken, match="Input/output error"):
        journal.begin_behind(200, 1)
    journal.close()


def test_after_an_error_in_the_background_no_stop_is_in_order(directory: Path) -> None:
    journal = failed(directory)
    journal.close()
    assert not journal._manifest.held.clean


class SmallDisk(HeldDisk):
    """Has room for so many segments."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def open(self, path: Path, *, create: bool = False) -> OsFile:
        if create and path.name == SPARE_NAME and len(files(path.parent.parent)) >= self._room:
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(path))
        return super().open(path, create=create)


def test_room_that_is_given_back_is_waited_for(directory: Path) -> None:
    """On a full disk, when no reserve is left, a new segment is what was trimmed for."""
    disk = SmallDisk(room=8)
    settings = replace(config(), prepares_ahead=True)
    journal = Journal.open(directory, identity=IDENTITY, disk=disk, config=settings)
    journal.persist(HardState(1, 0), [])
    index = 0
    while len(journal._segments) < 8 or journal._segments[-1].has_room(5020):
        index += 1
        journal.persist(None, [entry(index, size=5000)])
    journal.compact(index - 20)
    threading.Timer(0.05, disk.may.set).start()
    journal.persist(None, [entry(index + 1, size=5000)])
    journal.close()
