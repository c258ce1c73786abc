"""A segment's file: its head twice, its mark, and whose it is."""

from pathlib import Path

import pytest

from roost.journal import Identity, JournalDamaged, UnknownFormat, WrongIdentity
from roost.journal.segment import (
    Segment,
    install,
    open_segment,
    read_mark,
    size_for,
    write_blank,
    write_mark,
)
from roost.sim.members.disk import SimDisk
from tests.journal.journals import HOME, IDENTITY

PATH = HOME / "wal" / "1.wal"
SIZE = 1 << 16


def installed(disk: SimDisk) -> Segment:
    segment = Segment(PATH, 3, 77, 9, 64, SIZE, 5)
    write_blank(disk, HOME / "spare.tmp", SIZE)
    install(disk, HOME / "spare.tmp", segment, IDENTITY)
    return segment


def test_a_segment_is_opened_as_it_was_installed() -> None:
    """J28: the head of the next one seals the one before, with how many frames it had."""
    disk = SimDisk()
    segment, again = installed(disk), open_segment(disk, PATH, IDENTITY)
    assert (again.sequence, again.epoch, again.first_index) == (3, 77, 9)
    assert (again.frames_before, again.size) == (5, SIZE)
    assert again.data_offset == segment.data_offset


@pytest.mark.parametrize("offset", [0, 4096])
def test_either_head_is_enough(offset: int) -> None:
    """J2: whose a segment is stands in two sectors, and one may be torn."""
    disk = SimDisk()
    installed(disk)
    disk.files[PATH].cache[offset : offset + 512] = bytes(512)
    assert open_segment(disk, PATH, IDENTITY).epoch == 77


def test_without_a_head_nobody_says_what_it_is() -> None:
    disk = SimDisk()
    installed(disk)
    disk.files[PATH].cache[:8192] = bytes(8192)
    with pytest.raises(JournalDamaged, match="neither copy"):
        open_segment(disk, PATH, IDENTITY)


def test_a_segment_of_another_member_is_refused() -> None:
    disk = SimDisk()
    installed(disk)
    with pytest.raises(WrongIdentity):
        open_segment(disk, PATH, Identity(cluster_id=1, member_id=9, incarnation=3, created=0.0))


def test_a_segment_of_another_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimDisk()
    with monkeypatch.context() as patch:
        patch.setattr("roost.journal.segment.FORMAT", 2)
        installed(disk)
    with pytest.raises(UnknownFormat, match="segment format 2"):
        open_segment(disk, PATH, IDENTITY)


def test_what_a_file_lacks_at_its_end_is_zeros() -> None:
    """Recovery takes them for what they are: damage, or nothing yet."""
    disk = SimDisk()
    installed(disk)
    del disk.files[PATH].cache[SIZE - 1000 :]
    assert open_segment(disk, PATH, IDENTITY).size == SIZE == disk.files[PATH].size()


def test_a_mark_counts_for_its_own_epoch_alone() -> None:
    disk = SimDisk()
    segment = installed(disk)
    assert segment.file is not None
    assert read_mark(bytes(disk.files[PATH].cache), 77) == 0
    write_mark(segment.file, 77, 12)
    assert read_mark(bytes(disk.files[PATH].cache), 77) == 12
    assert read_mark(bytes(disk.files[PATH].cache), 78) == 0


def test_a_damaged_mark_says_nothing() -> None:
    disk = SimDisk()
    segment = installed(disk)
    assert segment.file is not None
    write_mark(segment.file, 77, 12)
    disk.files[PATH].cache[1024 + 20] ^= 1
    assert read_mark(bytes(disk.files[PATH].cache), 77) == 0


@pytest.mark.parametrize("length", [0, 1, 1000, SIZE, 3 * SIZE])
def test_a_segment_has_room_for_the_entry_it_is_made_for(length: int) -> None:
    size = size_for(length, 64, SIZE)
    assert size >= SIZE
    assert Segment(Path("1.wal"), 1, 1, 1, 64, size).has_room(length)
