"""The disk below the data directory: its file system, its room, and how long a sync takes.

The time is that of what the journal does: a small write into a file that was laid out before, and
fdatasync.  The file has no name, so that nothing of it is left whatever ends us, SIGKILL too.  A
file system may do less for it than for the journal's, which have names (btrfs syncs none).
"""

import math
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from roost.cli.doctor.bounded import ask_all
from roost.cli.doctor.row import Row, failed, ok, size_of, warned
from roost.member.machine.reserve import Reserve
from roost.os_errors import words_of

# As etcd's documentation measures a disk, and what it asks for.
WRITE_BYTES = 2300
P99_MS_MAX = 10.0
# A series ends with the first of these.
SYNCS_MAX, SERIES_S = 300, 2.0
# A disk that is slower than this for all of that does not answer.
ANSWER_S = 10.0
_FILE_BYTES = 1 << 20
_VOLATILE = ("tmpfs", "ramfs")
_OF_NETWORKS = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|glusterfs|lustre|beegfs|gfs2|ocfs2|virtiofs|fuse\..*"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def existing(path: Path) -> Path:
    """A path, or the nearest above it that is there."""
    path = path.absolute()
    return next(it for it in (path, *path.parents) if it.exists())


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted where."""

    place: str
    kind: str


def find_mount(path: Path, mounts: Sequence[str]) -> Mount | None:
    """What holds a path, by the lines of /proc/self/mountinfo (proc(5)); the last one counts."""
    found: Mount | None = None
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        place = _ESCAPE.sub(lambda it: chr(int(it[1], 8)), fields[4])
        is_above = path.is_relative_to(place)
        if is_above and (found is None or len(place) >= len(found.place)):
            found = Mount(place, after.split(" ")[0])
    return found


def look_at_mount(path: Path) -> Mount | None:
    """What holds a path; None where nobody says."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    return find_mount(existing(path).resolve(), lines)


def judge_mount(mount: Mount | None) -> Row | None:
    """Whether what is written there stays; None where nobody says what it is."""
    if mount is None:
        return None
    found = f"{mount.kind}, mounted at {mount.place}"
    if mount.kind in _VOLATILE:
        text = "put --data-dir on a disk: what is here is gone with the next start of the machine"
    elif mount.kind in ("overlay", "overlayfs"):
        text = "mount a volume for --data-dir: what is here is gone with its container"
    elif _OF_NETWORKS.fullmatch(mount.kind):
        text = "put --data-dir on a disk of this machine: syncs and locks are as good as a server's"
    else:
        return ok("file system", found, kind=mount.kind)
    return warned("file system", found, text, kind=mount.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceFacts:
    """Bytes: what is free, the reserve that a member keeps and whether it has it, its store."""

    free_bytes: int
    reserve_bytes: int
    has_reserve: bool
    store_bytes: int


def look_at_space(data_dir: Path, store: Path | None) -> SpaceFacts:
    """How much room there is for a member's data; `store` is the file that it has so far.

    Raises:
        OSError: the file system does not say.

    """
    reserve = Reserve(existing(data_dir))
    return SpaceFacts(
        free_bytes=reserve.free_bytes(),
        reserve_bytes=reserve.size_bytes,
        has_reserve=reserve.is_held,
        store_bytes=store.stat().st_size if store is not None and store.exists() else 0,
    )


def judge_space(facts: SpaceFacts, quota_bytes: int) -> Row:
    """Whether a member may write, and whether its store may grow to its quota (0 = none)."""
    numbers = {
        "free_bytes": facts.free_bytes,
        "reserve_bytes": facts.reserve_bytes,
        "store_bytes": facts.store_bytes,
        "quota_bytes": quota_bytes,
    }
    found = f"{size_of(facts.free_bytes)} free, the store has {size_of(facts.store_bytes)}"
    if facts.free_bytes < facts.reserve_bytes:
        text = f"make room: with less than {size_of(facts.reserve_bytes)} free writes are refused"
        return failed("room on the disk", found, text, **numbers)
    taken = 0 if facts.has_reserve else facts.reserve_bytes
    growth = max(0, quota_bytes - facts.store_bytes)
    if facts.free_bytes - taken < growth:
        text = (
            f"make room, or lower --quota-backend-bytes={quota_bytes}: the store may grow by "
            f"{size_of(growth)}, and {size_of(taken)} more are kept in reserve"
        )
        return warned("room on the disk", found, text, **numbers)
    return ok("room on the disk", found, **numbers)


def time_syncs(data_dir: Path) -> Sequence[float] | str:
    """Milliseconds of each of a series of writes with their syncs, or why there are none."""
    stop = threading.Event()
    [told] = ask_all([partial(_series, existing(data_dir), stop)], ANSWER_S, stop)
    return f"the disk has not answered for {ANSWER_S:.0f} s" if told is None else told


def _series(directory: Path, stop: threading.Event) -> list[float] | str:
    try:
        # It has no name: whatever ends us, and however suddenly, leaves nothing there.
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            return _timed(file.fileno(), stop)
    except OSError as error:
        return words_of(error)


def _timed(descriptor: int, stop: threading.Event) -> list[float]:
    data = bytes(WRITE_BYTES)
    os.pwrite(descriptor, bytes(_FILE_BYTES), 0)
    os.fsync(descriptor)
    times: list[float] = []
    end_s = perf_counter() + SERIES_S
    offset = 0
    while len(times) < SYNCS_MAX and not stop.is_set():
        begin_s = perf_counter()
        os.pwrite(descriptor, data, offset)
        os.fdatasync(descriptor)
        now_s = perf_counter()
        times.append((now_s - begin_s) * 1000)
        if now_s > end_s:
            break
        offset = (offset + WRITE_BYTES) % (_FILE_BYTES - WRITE_BYTES)
    return times


def percentile(times: Sequence[float], part: float) -> float:
    """The time within which such a part of them was done (the nearest rank)."""
    return sorted(times)[max(0, math.ceil(part * len(times)) - 1)]


def judge_syncs(told: Sequence[float] | str, election_ms: int) -> Row:
    """Whether the disk is fast enough for a journal."""
    check = "disk sync time"
    if isinstance(told, str):
        return failed(check, told, "no member can write there: `dmesg`, the mount, the rights")
    p50, p99 = percentile(told, 0.5), percentile(told, 0.99)
    numbers = {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "count": len(told)}
    found = f"half within {p50:.2f} ms, 99 of 100 within {p99:.2f} ms ({len(told)} writes)"
    if p99 > election_ms:
        text = (
            f"another disk: a put waits for it, and a leader whose disk finishes nothing for two "
            f"election timeouts ({election_ms} ms each) hands over"
        )
        return failed(check, found, text, **numbers)
    if p99 > P99_MS_MAX:
        text = (
            f"etcd asks for {P99_MS_MAX:.0f} ms: every put waits for it; see what else writes "
            "there, or give the member a disk of its own"
        )
        return warned(check, found, text, **numbers)
    return ok(check, found, **numbers)
