"""What must hold of a `journal.Disk`; each check has an empty directory of its own."""

import os
from collections.abc import Callable
from pathlib import Path

from roost.journal.disk import DIRECTORY_MODE, FILE_MODE, Disk

DiskCheck = Callable[[Disk, Path], None]


def a_file_is_made_only_when_asked(disk: Disk, directory: Path) -> None:
    """A member that mistypes a name must not begin anew."""
    path = directory / "file"
    assert not disk.exists(path)
    try:
        disk.open(path)
    except FileNotFoundError:
        pass  # as it should be
    else:
        raise AssertionError("a file that is not there was opened")
    file = disk.open(path, create=True)
    assert disk.exists(path)
    assert file.size() == 0
    file.close()


def what_is_written_is_read(disk: Disk, directory: Path) -> None:
    """In any pieces, at any place; what nobody wrote is zero."""
    file = disk.open(directory / "file", create=True)
    file.pwrite([b"one", b"", b"two"], 5)
    assert file.size() == 11
    assert file.pread(100, 0) == bytes(5) + b"onetwo"
    file.pwrite([b"T"], 8)
    assert file.pread(3, 8) == b"Two"
    file.close()
    again = disk.open(directory / "file")
    assert again.pread(11, 0) == bytes(5) + b"oneTwo"
    again.close()


def reading_ends_where_the_file_does(disk: Disk, directory: Path) -> None:
    """A short read is the end, and no error."""
    file = disk.open(directory / "file", create=True)
    file.pwrite([b"abc"], 0)
    assert file.pread(10, 1) == b"bc"
    assert file.pread(10, 3) == b""
    assert file.pread(10, 100) == b""
    file.close()


def syncing_changes_nothing_that_is_seen(disk: Disk, directory: Path) -> None:
    """Only what a crash leaves."""
    file = disk.open(directory / "file", create=True)
    file.pwrite([b"abc"], 0)
    file.sync_all()
    file.pwrite([b"ABC"], 0)
    file.sync_data()
    disk.sync_directory(directory)
    assert file.pread(3, 0) == b"ABC"
    file.close()


def names_are_those_of_the_directory_in_order(disk: Disk, directory: Path) -> None:
    """Names below a directory inside it are not its own."""
    inner = directory / "inner"
    disk.make_directory(inner)
    for name in ("b", "a", "c"):
        disk.open(directory / name, create=True).close()
    disk.open(inner / "d", create=True).close()
    names = [it for it in disk.list_directory(directory) if it != "inner"]
    assert names == ["a", "b", "c"]
    assert disk.list_directory(inner) == ["d"]


def a_rename_replaces(disk: Disk, directory: Path) -> None:
    """That is how a small file is changed as a whole."""
    for name in ("old", "new"):
        file = disk.open(directory / name, create=True)
        file.pwrite([name.encode()], 0)
        file.close()
    disk.rename(directory / "old", directory / "new")
    assert disk.list_directory(directory) == ["new"]
    file = disk.open(directory / "new")
    assert file.pread(10, 0) == b"old"
    file.close()


def a_name_that_is_gone_is_gone(disk: Disk, directory: Path) -> None:
    """What is open stays; what is not there is said."""
    file = disk.open(directory / "file", create=True)
    file.pwrite([b"abc"], 0)
    disk.unlink(directory / "file")
    assert not disk.exists(directory / "file")
    assert disk.list_directory(directory) == []
    assert file.pread(3, 0) == b"abc"
    file.close()
    for unlinks in (True, False):
        try:
            if unlinks:
                disk.unlink(directory / "file")
            else:
                disk.rename(directory / "file", directory / "other")
        except FileNotFoundError:
            continue
        raise AssertionError("a file was changed that is not there")


def one_process_has_the_lock(disk: Disk, directory: Path) -> None:
    """Until it gives it back."""
    held = disk.lock(directory / "LOCK")
    assert held is not None
    held.pwrite([b"1"], 0)
    assert disk.lock(directory / "LOCK") is None
    held.close()
    again = disk.lock(directory / "LOCK")
    assert again is not None
    assert again.pread(1, 0) == b"1"
    again.close()


def what_is_made_is_private(disk: Disk, directory: Path) -> None:
    """Keys and values are nobody else's."""
    inner = directory / "inner"
    disk.make_directory(inner)
    disk.make_directory(inner)  # it is there: nothing happens
    disk.open(inner / "file", create=True).close()
    for path, mode in ((inner, DIRECTORY_MODE), (inner / "file", FILE_MODE)):
        facts = disk.facts(path, follows=True)
        assert facts.mode == mode
        assert facts.owner == os.geteuid()
        assert not facts.is_link
        assert facts.is_directory == (path == inner)


def one_boot_is_one_boot(disk: Disk, directory: Path) -> None:
    """What the cache holds is believed as long as this is the same."""
    assert disk.boot_id(directory) == disk.boot_id(directory)


DISK: tuple[DiskCheck, ...] = (
    a_file_is_made_only_when_asked,
    what_is_written_is_read,
    reading_ends_where_the_file_does,
    syncing_changes_nothing_that_is_seen,
    names_are_those_of_the_directory_in_order,
    a_rename_replaces,
    a_name_that_is_gone_is_gone,
    one_process_has_the_lock,
    what_is_made_is_private,
    one_boot_is_one_boot,
)
