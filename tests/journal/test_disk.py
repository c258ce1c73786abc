"""The operating system's disk: private files, whole writes, and sectors that cannot be read."""

import errno
import os
from pathlib import Path

import pytest

from roost.journal import OsDisk
from roost.journal.disk import read_or_zeros, write_zeros
from roost.sim.members.disk import SECTOR, SimDisk
from tests.journal.journals import HOME


def test_files_and_directories_are_for_their_owner_alone(tmp_path: Path) -> None:
    """J1: also the directories above, which nobody asked for by name."""
    disk, path = OsDisk(), tmp_path / "a" / "b" / "file"
    before = os.umask(0)
    try:
        disk.make_directory(path.parent)
        disk.open(path, create=True).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {it.stat().st_mode & 0o777 for it in (path.parent, path.parent.parent)} == {0o700}


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"content")
    (tmp_path / "file").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic links"):
        OsDisk().open(tmp_path / "file")


def test_a_write_of_more_buffers_than_one_call_takes_is_whole(tmp_path: Path) -> None:
    """J10: a write is all of it, or an error."""
    file = OsDisk().open(tmp_path / "file", create=True)
    file.pwrite([b"%04d" % it for it in range(3000)], 8)
    assert file.pread(12_000, 8) == b"".join(b"%04d" % it for it in range(3000))
    file.close()


def test_a_short_write_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """J10: the kernel may take less than it was given, and that is no error."""
    file = OsDisk().open(tmp_path / "file", create=True)
    monkeypatch.setattr(os, "pwritev", lambda _fd, _buffers, _offset: 3)
    file.pwrite([b"hello ", b"world"], 0)
    assert file.pread(100, 0) == b"hello world"
    file.close()


def test_sectors_that_cannot_be_read_count_as_zeros() -> None:
    """J16: damage like any other, and only where it is."""
    disk = SimDisk()
    file = disk.open(HOME / "file", create=True)
    file.pwrite([b"x" * 4 * SECTOR], 0)
    file.unreadable = {1}
    expected = b"x" * SECTOR + bytes(SECTOR) + b"x" * 2 * SECTOR
    assert read_or_zeros(file, 4 * SECTOR) == expected


def test_an_error_that_is_not_of_a_sector_is_not_hidden() -> None:
    class Gone(OsDisk):
        def pread(self, count: int, offset: int) -> bytes:
            raise OSError(errno.EBADF, f"{count} at {offset}")

    with pytest.raises(OSError, match="at 0"):
        read_or_zeros(Gone(), 10)  # type: ignore[arg-type]  # it is only read


def test_zeros_are_written_not_reserved(tmp_path: Path) -> None:
    """J3: blocks that were only reserved cost metadata at the first sync of each."""
    file = OsDisk().open(tmp_path / "file", create=True)
    write_zeros(file, 3 << 20)
    file.sync_all()
    assert (tmp_path / "file").stat().st_blocks * 512 >= 3 << 20
    file.close()


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    disk = OsDisk()
    held = disk.lock(tmp_path / "LOCK")
    assert held is not None
    assert disk.lock(tmp_path / "LOCK") is None
    held.close()
    again = disk.lock(tmp_path / "LOCK")
    assert again is not None
    again.close()


def test_a_boot_and_a_mount_have_one_name(tmp_path: Path) -> None:
    """J35: the same in one life of the page cache; empty where nobody can say."""
    disk = OsDisk()
    assert disk.boot_id(tmp_path) == disk.boot_id(tmp_path)
