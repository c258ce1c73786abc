"""The file system below a data directory, its room, and the time of its syncs."""

import threading
from pathlib import Path

import pytest

from roost.cli.doctor import disk
from roost.cli.doctor.disk import (
    SYNCS_MAX,
    Mount,
    SpaceFacts,
    existing,
    find_mount,
    judge_mount,
    judge_space,
    judge_syncs,
    look_at_mount,
    look_at_space,
    percentile,
    time_syncs,
)
from roost.cli.doctor.row import State

MIB = 1 << 20
MOUNTS = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "23 22 0:21 / /proc rw,relatime - proc proc rw",
    r"30 22 8:2 / /srv/our\040data rw - xfs /dev/sdb1 rw",
    "31 22 0:40 / /srv/shared rw master:3 - nfs4 filer:/x rw",
    "32 31 0:41 / /srv/shared rw - tmpfs tmpfs rw",
    "no line of a mount",
]


@pytest.mark.parametrize(
    ("path", "place", "kind"),
    [
        ("/home/x", "/", "ext4"),
        ("/srv/our data/m1", "/srv/our data", "xfs"),
        ("/srv/shared/m1", "/srv/shared", "tmpfs"),
        ("/srv/sharedness", "/", "ext4"),
    ],
)
def test_the_nearest_and_newest_mount_holds_a_path(path: str, place: str, kind: str) -> None:
    assert find_mount(Path(path), MOUNTS) == Mount(place, kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tmpfs", "next start of the machine"),
        ("overlay", "its container"),
        ("nfs4", "of this machine"),
        ("fuse.sshfs", "of this machine"),
        ("cifs", "of this machine"),
    ],
)
def test_a_file_system_that_keeps_nothing_or_is_somewhere_else_is_told(
    kind: str, words: str
) -> None:
    row = judge_mount(Mount("/srv", kind))
    assert row is not None
    assert row.state is State.WARNED
    assert words in row.to_do


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs"])
def test_a_disk_of_this_machine_is_as_it_should_be(kind: str) -> None:
    row = judge_mount(Mount("/srv", kind))
    assert row is not None
    assert row.state is State.OK


def test_nobody_says_what_is_not_known() -> None:
    assert judge_mount(None) is None
    assert find_mount(Path("/x"), []) is None


def test_a_directory_that_is_not_there_is_judged_by_what_it_will_be_in(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b") == tmp_path
    assert look_at_mount(tmp_path / "a") == look_at_mount(tmp_path)


def space(free: int, store: int = 0, *, has_reserve: bool = True) -> SpaceFacts:
    return SpaceFacts(
        free_bytes=free, reserve_bytes=64 * MIB, has_reserve=has_reserve, store_bytes=store
    )


@pytest.mark.parametrize(
    ("facts", "quota", "state"),
    [
        (space(2048 * MIB), 2048 * MIB, State.OK),
        (space(2048 * MIB, has_reserve=False), 2048 * MIB, State.WARNED),
        (space(2112 * MIB, has_reserve=False), 2048 * MIB, State.OK),
        (space(1024 * MIB), 2048 * MIB, State.WARNED),
        (space(1024 * MIB, 1024 * MIB), 2048 * MIB, State.OK),
        (space(65 * MIB), 0, State.OK),
        (space(63 * MIB), 0, State.FAILED),
    ],
)
def test_a_store_may_grow_to_its_quota_beside_the_reserve(
    facts: SpaceFacts, quota: int, state: State
) -> None:
    assert judge_space(facts, quota).state is state


def test_room_is_that_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(bytes(4096))
    facts = look_at_space(tmp_path / "m1", tmp_path / "data.mdb")
    assert facts.free_bytes > 0
    assert (facts.store_bytes, facts.has_reserve) == (4096, False)
    (tmp_path / "reserve").touch()
    assert look_at_space(tmp_path, None).has_reserve


def test_a_percentile_is_the_nearest_rank() -> None:
    times = [float(it) for it in range(1, 101)]
    assert (percentile(times, 0.5), percentile(times, 0.99)) == (50.0, 99.0)
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([1.0] * 99 + [50.0], State.OK),
        ([1.0] * 98 + [50.0] * 2, State.WARNED),
        ([1.0] * 98 + [1500.0] * 2, State.FAILED),
        ("Read-only file system", State.FAILED),
    ],
)
def test_a_sync_takes_ten_milliseconds_at_most(told: list[float] | str, state: State) -> None:
    row = judge_syncs(told, 1000)
    assert row.state is state
    if not isinstance(told, str):
        assert row.measured["count"] == 100


def test_syncs_are_real_and_leave_nothing_behind(tmp_path: Path) -> None:
    told = time_syncs(tmp_path / "not" / "there")
    assert not isinstance(told, str)
    assert 0 < len(told) <= SYNCS_MAX
    assert all(it > 0 for it in told)
    assert list(tmp_path.iterdir()) == []


def test_a_series_that_is_told_to_stop_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    stop.set()
    assert disk._series(tmp_path, stop) == []
    assert list(tmp_path.iterdir()) == []

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fdatasync", fail)
    assert time_syncs(tmp_path) == "Input/output error"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_takes_no_file_is_told() -> None:
    told = time_syncs(Path("/proc/self"))
    assert isinstance(told, str)
