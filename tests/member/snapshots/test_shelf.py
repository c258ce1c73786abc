"""Backups in a directory: listed, verified, and given away; what is kept is `test_schedule`'s."""

import os
from pathlib import Path

import msgspec
import pytest

from roost.member import BackupDamaged, BackupFailed, Listed, Progress, Verified
from roost.member import read_backup as read
from roost.member.snapshots import shelf
from roost.member.snapshots.backup import DIGEST_BYTES
from roost.member.snapshots.shelf import LIST_MAX, Saved, Shelf, file_of, list_all
from tests.member.directory.homes import close, open_at, snapshot_of, write

NAME = "m0-0000000000000007.db"


def make_copy(tmp_path: Path) -> Path:
    """A copy of a store that has something in it."""
    home = open_at(tmp_path, "home")
    write(home, 5, b"value")
    copy = tmp_path / "copy.mdb"
    snapshot_of(home, copy)
    close(home)
    return copy


Output = pytest.CaptureFixture[bytes]


def run(output: Output, *arguments: str) -> bytes:
    """What the process would print, without a process."""
    shelf.do(*arguments)
    return output.readouterr().out


def test_all_members_backups_are_listed_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate([NAME, "m1-00000000000000aa.db", "notes.txt", f"{NAME}.part"]):
        (tmp_path / name).write_bytes(b"x" * age)
        os.utime(tmp_path / name, (age, age))
    found = list_all(tmp_path)
    assert [(it.name, it.size_bytes, it.at_s) for it in found.backups] == [
        ("m1-00000000000000aa.db", 1, 1.0),
        (NAME, 0, 0.0),
    ]
    assert list_all(tmp_path / "none") == Listed()


def test_a_list_has_an_end_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "LIST_MAX", 2)
    assert LIST_MAX == 1000
    for number in range(3):
        (tmp_path / f"m-{number:016x}.db").touch()
    found = list_all(tmp_path)
    assert (len(found.backups), found.is_cut) == (2, True)


@pytest.mark.parametrize(
    "name", ["", "..", "../secret-0000000000000001.db", "m-1.db", "a/b-0000000000000001.db", "x\0"]
)
def test_nothing_else_can_be_named(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "kept"
    inner.mkdir()
    (tmp_path / "secret-0000000000000001.db").touch()
    (inner / "m-1.db").touch()
    with pytest.raises(BackupFailed, match="there is no backup"):
        file_of(inner, name)


def test_a_backup_is_saved_verified_and_given_away(tmp_path: Path, capfdbinary: Output) -> None:
    copy, kept = make_copy(tmp_path), tmp_path / "kept"
    *heard, last = run(capfdbinary, "save", str(kept), "m", str(copy), "3").splitlines()
    saved = msgspec.json.decode(last, type=Saved)
    assert saved.fault == ""
    progress = [msgspec.json.decode(it, type=Progress) for it in heard]
    assert [it.phase for it in progress] == ["writing", "checking"]
    assert all(0 < it.done_bytes <= it.total_bytes + DIGEST_BYTES for it in progress)
    told = run(capfdbinary, "verify", str(kept), saved.name).splitlines()[-1]
    held, backup = msgspec.json.decode(told, type=Verified), read(kept / saved.name)
    assert (held.index, held.digest) == (backup.index, backup.digest)
    for work in (("send", str(kept), saved.name), ("give", str(copy))):
        line, _, sent = run(capfdbinary, *work).partition(b"\n")
        assert msgspec.json.decode(line)["size_bytes"] == len(sent)
        assert sent == (kept / saved.name).read_bytes()


def test_what_has_changed_or_is_gone_is_told(tmp_path: Path, capfdbinary: Output) -> None:
    saved = Shelf(tmp_path, "m").put(make_copy(tmp_path))
    data = bytearray(saved.path.read_bytes())
    data[len(data) // 2] ^= 1
    saved.path.write_bytes(data)
    told = run(capfdbinary, "verify", str(tmp_path), saved.path.name).splitlines()[-1]
    assert "digest at its end" in msgspec.json.decode(told, type=Verified).fault
    with pytest.raises(BackupDamaged):
        read(saved.path)
    for work in ("verify", "send"):
        assert b"may have been removed" in run(capfdbinary, work, str(tmp_path), NAME)
    assert b"Not a directory" in run(capfdbinary, "list", str(saved.path))
