"""Limits are found where the system keeps them, whatever version it is of."""

import mmap
from pathlib import Path

import pytest

from roost.memory_limit import Limit, Statm, Taken, find_limits

MIB = 1 << 20
NONE_OF_V1 = 9223372036854771712


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def groups(root: Path) -> list[tuple[int, str, int]]:
    """What the cgroups below `root` allow, by which file, and what is used of it."""
    found = [it for it in find_limits(0, root) if it.name.startswith("cgroup")]
    return [(it.bytes_max, it.name, it.used(Taken())) for it in found]


V2 = {
    "proc/self/cgroup": "0::/a/b\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
    "sys/fs/cgroup/a/memory.max": f"{700 * MIB}\n",
    "sys/fs/cgroup/a/memory.current": f"{300 * MIB}\n",
    "sys/fs/cgroup/a/memory.stat": f"anon {150 * MIB}\nactive_file {60 * MIB}\n",
    "sys/fs/cgroup/a/b/memory.max": "max\n",
    "sys/fs/cgroup/a/b/memory.high": f"{500 * MIB}\n",
    "sys/fs/cgroup/a/b/memory.current": f"{200 * MIB}\n",
    "sys/fs/cgroup/a/b/memory.stat": f"active_file {20 * MIB}\ninactive_file {30 * MIB}\nx y\n",
}


def test_a_group_of_version_2_and_those_above_it(tmp_path: Path) -> None:
    write(tmp_path, V2)
    assert groups(tmp_path) == [
        (500 * MIB, "cgroup memory.high", 150 * MIB),
        (700 * MIB, "cgroup memory.max", 240 * MIB),
    ]


def test_a_group_of_version_1_beside_an_empty_one_of_version_2(tmp_path: Path) -> None:
    """As on machines that mount both: the numbers are those of the memory controller."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/box\n0::/\n",
            "proc/self/mountinfo": (
                "33 32 0:29 / /sys/fs/cgroup/cpu,memory rw - cgroup cgroup rw,cpu,memory\n"
                "34 32 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                "35 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            ),
            "sys/fs/cgroup/cpu,memory/memory.limit_in_bytes": f"{NONE_OF_V1}\n",
            "sys/fs/cgroup/cpu,memory/box/memory.limit_in_bytes": f"{256 * MIB}\n",
            "sys/fs/cgroup/cpu,memory/box/memory.usage_in_bytes": f"{100 * MIB}\n",
            "sys/fs/cgroup/cpu,memory/box/memory.stat": (
                f"active_file 1\ntotal_active_file {10 * MIB}\ntotal_inactive_file {5 * MIB}\n"
            ),
        },
    )
    assert groups(tmp_path) == [(256 * MIB, "cgroup memory.limit_in_bytes", 85 * MIB)]


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    """The path is the host's; what is mounted is the group itself."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../pod/box\n",
            "proc/self/mountinfo": "30 23 0:26 /pod/box /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            "sys/fs/cgroup/memory.max": f"{128 * MIB}\n",
            "sys/fs/cgroup/memory.current": f"{64 * MIB}\n",
        },
    )
    assert groups(tmp_path) == [(128 * MIB, "cgroup memory.max", 64 * MIB)]


@pytest.mark.parametrize("name", V2)
def test_a_file_that_is_missing_or_odd_costs_what_it_says_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, V2)
    (tmp_path / name).write_text("odd\n" if name.startswith("sys") else "")
    groups(tmp_path)
    (tmp_path / name).unlink()
    assert len(groups(tmp_path)) <= 2


def test_what_an_operator_says_is_a_limit_like_others() -> None:
    said = next(it for it in find_limits(12 * MIB) if it.name == "--max-memory-bytes")
    assert said == Limit(12 * MIB, "--max-memory-bytes", said.used)
    assert said.used(Taken(anonymous_bytes=7)) == 7
    assert any(it.name == "the machine's memory" for it in find_limits())


def test_what_this_process_takes_grows_with_what_it_takes() -> None:
    statm = Statm()
    before = statm.read()
    # Its own mapping: an allocator may have as much left from other tests, and takes no more then.
    held = mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, len(held), mmap.PAGESIZE):
        held[offset] = 1
    after = statm.read()
    statm.close()
    assert after.anonymous_bytes - before.anonymous_bytes > 24 * MIB
    assert after.mapped_bytes - before.mapped_bytes > 24 * MIB
    assert after.data_bytes - before.data_bytes > 24 * MIB
    assert Statm(Path("no such file")).read() == Taken()


def test_a_file_is_closed_with_its_last_reader() -> None:
    """Each database that a program opened left one open."""
    statm = Statm()
    path = f"/proc/self/fd/{statm._descriptor}"
    assert Path(path).exists()
    read = statm.read
    del statm
    read()
    del read
    assert not Path(path).exists()
