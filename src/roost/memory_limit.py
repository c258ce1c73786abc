"""How much memory this process may take, by whose word, and how much it takes.

There may be many limits at once, and each counts something else:

    cgroup v2  memory.max, memory.high     what all processes of the group hold, without the page
                                           cache, which the kernel gives up by itself; of the group
    cgroup v1  memory.limit_in_bytes       and of every group above it
    ulimit -v  RLIMIT_AS                   addresses: what is mapped, whether it is touched or not
    ulimit -d  RLIMIT_DATA                 what is mapped privately, to be written to
    --max-memory-bytes, and the machine's  what the process has touched, without files (`anonymous`)

Linux only; elsewhere no limit is known but those that were said.  Nothing here raises: a limit
that cannot be read is none.
"""

import os
import resource
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A "limit" of v1 that is none: the largest number of pages.
_NONE_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Taken:
    """What this process takes now, in bytes."""

    mapped_bytes: int = 0
    anonymous_bytes: int = 0
    data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound: its size, its name as an operator knows it, and how much of it is used.

    `used(taken)` may read files, and `reads_files` says so: what they said need not be read again
    to know what it is with what this process has taken since.
    """

    bytes_max: int
    name: str
    used: Callable[[Taken], int]
    reads_files: bool = False


class Statm:
    """What `/proc/self/statm` says; kept open, since it is read often."""

    def __init__(self, path: Path = STATM) -> None:
        """Nothing is known where there is no such file."""
        self._descriptor = -1
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            # A program opens and closes as many databases as it likes.
            self._ending = weakref.finalize(self, os.close, self._descriptor)

    def read(self) -> Taken:
        """What is taken now; costs a few microseconds."""
        if self._descriptor < 0:
            return Taken()
        size, resident, shared, _, _, data, _ = map(int, os.pread(self._descriptor, 256, 0).split())
        return Taken(size * _PAGE_BYTES, (resident - shared) * _PAGE_BYTES, data * _PAGE_BYTES)

    def close(self) -> None:
        """Read no more."""
        if self._descriptor >= 0:
            self._ending()
            self._descriptor = -1


ADDRESSES = "ulimit -v"


def find_limits(said_bytes: int = 0, root: Path = Path("/")) -> list[Limit]:
    """Every limit there is; `said_bytes` is the operator's own, 0 = none."""
    found = [*_of_process(), *_of_groups(root)]
    if said_bytes:
        found.append(Limit(said_bytes, "--max-memory-bytes", _anonymous))
    with suppress(OSError, ValueError):
        machine = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
        found.append(Limit(machine, "the machine's memory", _anonymous))
    return found


def _anonymous(taken: Taken) -> int:
    return taken.anonymous_bytes


def _of_process() -> Iterator[Limit]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield Limit(soft, ADDRESSES, lambda it: it.mapped_bytes)
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        yield Limit(soft, "ulimit -d", lambda it: it.data_bytes)


@dataclass(frozen=True, slots=True)
class _Version:
    """Where a version of cgroups says what."""

    limits: tuple[str, ...]
    usage: str
    # Pages of files, which are given up before anybody is killed.
    cache: tuple[str, ...]


_V1 = _Version(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)
_V2 = _Version(("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file"))


def _of_groups(root: Path) -> Iterator[Limit]:
    """The limits of our group and of all above it."""
    for group, version in _groups(root):
        for name in version.limits:
            size = _number(group / name)
            if size is not None and size < _NONE_BYTES:
                used = _usage(group, version)
                yield Limit(size, f"cgroup {name}", used, reads_files=True)


def _groups(root: Path) -> Iterator[tuple[Path, _Version]]:
    """The directory of our memory group, then those above it (cgroups(7), proc(5))."""
    ours = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        ours[frozenset(controllers.split(","))] = path
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        _, _, _, base, mounted, *_ = before.split(" ")
        if kind == "cgroup2":
            controller, version = "", _V2
        elif kind == "cgroup" and "memory" in options.split(" ")[-1].split(","):
            controller, version = "memory", _V1
        else:
            continue
        path = next((it for names, it in ours.items() if controller in names), "")
        if not path:
            continue
        top = root / mounted.lstrip("/")
        # What is mounted may be a part of the tree, ours or one above; else its top is what we see.
        inside = PurePosixPath(path)
        inside = inside.relative_to(base) if inside.is_relative_to(base) else PurePosixPath()
        below = PurePosixPath(*(it for it in inside.parts if it not in ("/", "..")))
        for part in (below, *below.parents):
            yield top / part, version


def _usage(group: Path, version: _Version) -> Callable[[Taken], int]:
    def used(_taken: Taken) -> int:
        total = _number(group / version.usage) or 0
        said = _fields(group / "memory.stat")
        return max(0, total - sum(said.get(it, 0) for it in version.cache))

    return used


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().splitlines()
    return []


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # there is no such file, or it says "max"
        return int(path.read_text())
    return None


def _fields(path: Path) -> Mapping[str, int]:
    found = (line.split() for line in _lines(path))
    return {it[0]: int(it[1]) for it in found if len(it) == 2 and it[1].isdigit()}
