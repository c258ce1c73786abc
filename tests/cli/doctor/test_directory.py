"""A data directory: whose it is, who reaches it, who uses it; and that nothing of it changes."""

import dataclasses
import os
from pathlib import Path

import pytest

from roost.cli.doctor.directory import (
    Lived,
    directory_rows,
    judge_lived,
    judge_new,
    look_at_directory,
    permission_row,
    unreadable,
)
from roost.cli.doctor.row import Row, State
from roost.errors import RoostError
from roost.journal import Identity, OsDisk, lock_directory, replace_identity
from roost.member import MemberConfig
from roost.member.directory.store_record import StoreRecord, change_record
from roost.member.settings import member_config
from roost.settings import BadSetting, Settings

IDENTITY = Identity(cluster_id=0xC, member_id=0xA, incarnation=1, created=0.0)


def config(data_dir: Path, **changes: str) -> MemberConfig:
    return member_config(Settings(data_dir=str(data_dir), **changes))  # type: ignore[arg-type]  # texts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The directory of a member that has begun and holds nothing yet."""
    path = tmp_path / "home"
    lock_directory(OsDisk(), path).close()
    replace_identity(OsDisk(), path, IDENTITY)
    return path


def state_of(path: Path) -> dict[str, object]:
    """All that is there, with what would tell that somebody has been."""
    found: dict[str, object] = {}
    for it in (path, *path.rglob("*")):
        facts = it.stat()
        content = it.read_bytes() if it.is_file() else b""
        found[str(it)] = (content, facts.st_mode, facts.st_mtime_ns, facts.st_ctime_ns)
    return found


def rows(data_dir: Path, *, joins: bool = False, **changes: str) -> dict[str, Row]:
    found = directory_rows(config(data_dir, **changes), look_at_directory(data_dir), joins=joins)
    return {it.check: it for it in found}


def test_a_new_directory_says_who_its_member_becomes(tmp_path: Path) -> None:
    told = rows(tmp_path / "m1")
    assert {it.state for it in told.values()} == {State.OK}
    # As etcd counts them (api/membership), of the default URL and token.
    assert told["first start"].measured == {
        "member_id": "8e9e05c52164694d",
        "cluster_id": "cdf818194e3a8c32",
    }
    other = rows(tmp_path / "m1", initial_cluster_token="another")
    assert other["first start"].measured["cluster_id"] != "cdf818194e3a8c32"
    assert "the cluster says" in rows(tmp_path / "m1", joins=True)["first start"].found
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_is_not_in_the_initial_cluster_fails(tmp_path: Path) -> None:
    told = rows(tmp_path / "m1", initial_cluster="m2=http://10.0.0.2:2380")
    assert told["first start"].state is State.FAILED
    assert "couldn't find local name" in told["first start"].found


def test_a_directory_that_we_may_not_make_fails(tmp_path: Path) -> None:
    assert judge_new(tmp_path / "x", can_write=False).state is State.FAILED
    assert judge_new(tmp_path / "x", can_write=True).state is State.OK


def test_to_look_at_a_members_directory_changes_nothing(home: Path) -> None:
    (home / "identity.b").unlink()  # which a start would write anew
    before = state_of(home)
    told = rows(home)
    assert state_of(home) == before
    assert told["data directory"].measured == {"member_id": "a", "cluster_id": "c"}
    assert told["permissions"].state is State.OK
    assert told["format of the store"].state is State.WARNED, "there is none"


def test_a_directory_in_use_says_by_whom(home: Path) -> None:
    lock = lock_directory(OsDisk(), home)
    before = state_of(home)
    lived = look_at_directory(home)
    assert state_of(home) == before
    assert lived is not None
    assert (lived.is_used, lived.process) == (True, os.getpid())
    told = rows(home)
    assert f"process {os.getpid()}" in told["data directory"].found
    assert told["format of the store"].state is State.SKIPPED
    lock.close()
    assert "does not run" in rows(home)["data directory"].found


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("identity.a", 0o644, "identity.a can be read by others (mode 0644)"),
        ("identity.a", 0o622, "identity.a can be written by others (mode 0622)"),
        (".", 0o755, "home can be read by others (mode 0755)"),
    ],
)
def test_what_others_may_reach_is_named(home: Path, name: str, mode: int, words: str) -> None:
    (home / name).chmod(mode)
    row = permission_row(home, is_strict=False)
    assert row.state is State.WARNED
    assert words in row.found
    assert row.to_do.startswith(f"chmod -R go-rwx {home}")
    assert permission_row(home, is_strict=True).state is State.FAILED


def test_a_symbolic_link_is_named(home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)
    assert "is a symbolic link" in permission_row(link, is_strict=False).found


def test_a_damaged_store_is_told_with_what_the_next_start_does(home: Path) -> None:
    change_record(OsDisk(), home, damage="page 7")
    row = rows(home)["data directory"]
    assert row.state is State.WARNED
    assert "page 7" in row.found
    suspect = Lived(identity=IDENTITY, record=StoreRecord(suspicion="a signal"), is_used=False)
    assert "reads all of its store" in judge_lived(suspect, home).to_do
    running = dataclasses.replace(suspect, record=StoreRecord(), is_used=True)
    assert "another process" in judge_lived(running, home).found


def test_a_directory_that_nobody_can_read_is_told(home: Path) -> None:
    for name in "ab":
        (home / f"identity.{name}").write_bytes(b"x" * 100)
    with pytest.raises(RoostError) as caught:
        look_at_directory(home)
    row = unreadable(caught.value, home)
    assert row.state is State.FAILED
    assert "damage.md" in row.to_do
    refused = unreadable(PermissionError(13, "Permission denied", str(home)), home)
    assert "as the user" in refused.to_do
    assert "dmesg" in unreadable(OSError(5, "Input/output error", str(home)), home).to_do


def test_the_data_of_an_etcd_member_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "member" / "wal").mkdir(parents=True)
    with pytest.raises(BadSetting) as caught:
        look_at_directory(tmp_path)
    assert unreadable(caught.value, tmp_path).to_do == "another --data-dir"
    assert [it.name for it in tmp_path.iterdir()] == ["member"]
