"""Which segments count, and how the journal was stopped."""

import pytest

from roost.journal import JournalDamaged
from roost.journal.manifest import ManifestRecord
from roost.journal.segment import Segment
from roost.journal.twin import Twin
from roost.sim.members.disk import SimDisk
from tests.journal.journals import HOME


def loaded(disk: SimDisk, boot: str = "boot") -> ManifestRecord:
    record = ManifestRecord(disk, HOME)
    record.load(boot)
    return record


def segments(disk: SimDisk) -> list[Segment]:
    """Two with a file, and one whose file is still to be made."""
    made = [Segment(HOME / f"{it}.wal", it, it, it, 64, 1 << 16) for it in (1, 2, 3)]
    for segment in made[:2]:
        segment.file = disk.open(segment.path, create=True)
    return made


def test_a_new_journal_was_never_stopped_badly() -> None:
    record = loaded(SimDisk())
    assert record.was_clean
    assert not record.is_cache_alive
    assert record.held.starts == 1


def test_what_has_a_file_is_named_and_nothing_else() -> None:
    """J3, J30: a name without its file would be an acknowledged segment that is missing."""
    disk = SimDisk()
    record = loaded(disk)
    record.note_floor(7, 2)
    record.save(segments(disk), is_clean=False, is_certain=True)
    held = loaded(disk).held
    assert [it.sequence for it in held.segments] == [1, 2]
    assert (held.floor_index, held.floor_term) == (7, 2)


def test_a_stop_in_order_is_known_at_the_next_start() -> None:
    disk = SimDisk()
    loaded(disk).save([], is_clean=True, is_certain=True)
    assert loaded(disk).was_clean
    loaded(disk).save([], is_clean=False, is_certain=True)
    assert not loaded(disk).was_clean


@pytest.mark.parametrize(
    ("before", "now", "is_alive"), [("a", "a", True), ("a", "b", False), ("", "", False)]
)
def test_the_cache_is_alive_while_the_boot_and_the_mount_are_the_same(
    before: str, now: str, *, is_alive: bool
) -> None:
    """J35: and where nobody can say, it is not."""
    disk = SimDisk()
    loaded(disk, before).save([], is_clean=False, is_certain=True)
    assert loaded(disk, now).is_cache_alive is is_alive


def test_a_doubt_is_not_forgotten_with_a_stop_in_order() -> None:
    """Else what a power cut tore would be taken for what was durable once."""
    disk = SimDisk()
    loaded(disk, "before").save([], is_clean=False, is_certain=True)
    loaded(disk, "now").save([], is_clean=True, is_certain=False)
    record = loaded(disk, "now")
    assert not record.was_clean
    assert not record.is_cache_alive


def test_what_is_no_manifest_is_damage() -> None:
    disk = SimDisk()
    Twin(disk, HOME, "catalog").save(b'{"segments":[{"sequence":-1}]}')
    with pytest.raises(JournalDamaged):
        loaded(disk)
