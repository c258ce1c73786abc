"""The next segment's file, made ahead of time."""

import errno
import os
import random
from pathlib import Path

import pytest

from roost.journal.segment import Segment
from roost.journal.spare import Spare
from roost.sim.members.disk import SimDisk, SimFile
from tests.journal.journals import HOME, IDENTITY


@pytest.mark.parametrize("lacking", [errno.EMFILE, errno.ENFILE, errno.ENOSPC])
def test_a_spare_that_lacks_a_descriptor_or_room_is_made_when_it_is_needed(lacking: int) -> None:
    """J3.  That there is no descriptor says nothing of the device: it ended the member."""

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


def segment(size: int = 1 << 16) -> Segment:
    return Segment(HOME / "1.wal", 1, 5, 1, 64, size)


def test_what_was_made_ahead_is_used_and_the_next_begun() -> None:
    """J3: the zeros are on the disk before the first entry needs them."""
    disk = SimDisk()
    spare = Spare(disk, HOME / "spare.tmp", 1 << 16, is_made_ahead=True)
    spare.prepare()
    assert spare._coming is not None
    spare._coming.result()
    made = disk.files[HOME / "spare.tmp"]
    assert bytes(made.durable) == bytes(1 << 16)
    installed = segment()
    spare.install(installed, IDENTITY)
    assert installed.file is made
    assert HOME / "spare.tmp" not in disk.files
    spare.close()


def test_a_segment_of_another_size_is_not_made_of_the_spare() -> None:
    """An entry larger than a segment has a file to its measure."""
    disk = SimDisk()
    spare = Spare(disk, HOME / "spare.tmp", 1 << 16, is_made_ahead=False)
    installed = segment(1 << 17)
    spare.install(installed, IDENTITY)
    assert installed.file is not None
    assert installed.file.size() == 1 << 17


def test_a_segment_that_was_installed_outlives_a_power_cut() -> None:
    """J14: the name is durable, not only what is in the file."""
    disk = SimDisk()
    spare = Spare(disk, HOME / "spare.tmp", 1 << 16, is_made_ahead=False)
    spare.install(segment(), IDENTITY)
    assert disk.crash(random.Random(1), keep=0.0).exists(HOME / "1.wal")


def test_a_full_disk_is_tried_again_after_the_reserve_was_given_up() -> None:
    class Full(SimDisk):
        is_full = True

        def open(self, path: Path, *, create: bool = False) -> SimFile:
            if self.is_full and create:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().open(path, create=create)

    disk = Full()
    spare = Spare(disk, HOME / "spare.tmp", 1 << 16, is_made_ahead=False)

    def give_up_the_reserve() -> None:
        disk.is_full = False

    spare.on_full = give_up_the_reserve
    spare.install(segment(), IDENTITY)
    assert disk.exists(HOME / "1.wal")
