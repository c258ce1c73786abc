"""The machine and the program: versions, descriptors, memory, the clock."""

import ctypes
import os
import platform
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from roost import compiled
from roost.cli.doctor.row import Row, failed, ok, size_of, skipped, warned
from roost.cli.preflight import unfit
from roost.descriptors import FILES_MAX, MEMBERS_MAX, attainable, free_for_all
from roost.memory import Memory
from roost.memory_limit import find_limits
from roost.settings import Settings

# What a member with few clients needs (docs/how-to/operate.md).
MEMORY_BYTES_MIN = 256 << 20
# What is mapped besides the store: twice its size is, while it grows.
_MAPS = 2
# adjtimex(2): the size of struct timex with room to spare, where its status and errors are on a
# 64-bit machine, and the bit that says that nobody sets the clock.
_TIMEX_BYTES = 512
_MAXERROR_OFFSET, _STATUS_OFFSET = 24, 40
_UNSYNCED = 0x40


def machine_rows(settings: Settings, quota_bytes: int) -> Iterator[Row]:
    """Everything that is the machine's and the program's."""
    yield version_row()
    yield judge_descriptors(attainable(), settings.max_connections)
    yield judge_memory(look_at_memory(settings), quota_bytes)
    yield judge_clock(look_at_clock())


def version_row() -> Row:
    """Which versions these are, and whether a member may run in this process."""
    import lmdb

    lmdb_version = ".".join(map(str, lmdb.version()))
    named = {
        "roost": version("roost"),
        "tree": compiled.description(),
        "python": platform.python_version(),
        "lmdb": lmdb_version,
        "openssl": ssl.OPENSSL_VERSION.split(" ")[1],
        "kernel": f"{platform.system()} {platform.release()}",
    }
    found = (
        f"Roost {named['roost']} ({named['tree']}), Python {named['python']}, LMDB {lmdb_version}, "
        f"OpenSSL {named['openssl']}, {named['kernel']}"
    )
    if why := unfit():
        return failed("versions", found, why, **named)
    return ok("versions", found, **named)


def judge_descriptors(most: int, connections: int) -> Row:
    """Whether as many clients may connect as the settings let in; `most` is what may be had."""
    room = free_for_all(most)
    found = f"{most} may be had, {room} of them by clients"
    if room < connections:
        text = (
            f"ulimit -n, or LimitNOFILE= of systemd: {connections + FILES_MAX + MEMBERS_MAX} for "
            f"--max-connections={connections}; more connections than that are closed at once"
        )
        return warned("file descriptors", found, text, limit=most, for_clients=room)
    return ok("file descriptors", found, limit=most, for_clients=room)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """The tightest limit, what all that it counts take of it now, and the bound on addresses."""

    limit_bytes: int
    used_bytes: int
    name: str
    is_short: bool
    address_bytes: int | None


def look_at_memory(settings: Settings) -> MemoryFacts:
    """What a member that is started now would find."""
    memory = Memory(find_limits(settings.max_memory_bytes))
    return MemoryFacts(
        limit_bytes=memory.limit_bytes,
        used_bytes=memory.used_bytes,
        name=memory.reason,
        is_short=memory.is_short,
        address_bytes=memory.address_bytes,
    )


def judge_memory(facts: MemoryFacts, quota_bytes: int) -> Row:
    """Whether there is memory for a member."""
    numbers = {"limit_bytes": facts.limit_bytes, "used_bytes": facts.used_bytes}
    found = f"{size_of(facts.limit_bytes)} by {facts.name}, {size_of(facts.used_bytes)} in use"
    if facts.is_short:
        text = "end what takes it, or allow more: new work is refused while so little is left"
        return warned("memory", found, text, **numbers)
    if facts.limit_bytes < MEMORY_BYTES_MIN:
        text = f"allow {size_of(MEMORY_BYTES_MIN)} at least"
        return warned("memory", found, text, **numbers)
    wanted = _MAPS * quota_bytes + MEMORY_BYTES_MIN
    if facts.address_bytes is not None and facts.address_bytes < wanted:
        text = f"ulimit -v {wanted >> 10}, or unlimited: the store cannot grow to its quota"
        return warned("memory", f"{size_of(facts.address_bytes)} of addresses", text, **numbers)
    return ok("memory", found, **numbers)


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """What the kernel says of its clock; `error_ms` is how far off it is at most."""

    is_synchronised: bool
    error_ms: float


def look_at_clock() -> ClockFacts | None:
    """Ask the kernel (adjtimex(2)), and change nothing; None where it does not say."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    told = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        done: int = ctypes.CDLL(None, use_errno=True).adjtimex(told)
    except (OSError, AttributeError):
        return None
    if done < 0:
        return None
    error_us = int.from_bytes(told.raw[_MAXERROR_OFFSET : _MAXERROR_OFFSET + 8], sys.byteorder)
    status = int.from_bytes(told.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], sys.byteorder)
    return ClockFacts(not status & _UNSYNCED, error_us / 1000)


def judge_clock(facts: ClockFacts | None) -> Row:
    """Whether somebody keeps the clock right."""
    if facts is None:
        where = os.uname().sysname
        return skipped("clock", f"the kernel ({where}) does not say whether the clock is right")
    if not facts.is_synchronised:
        text = (
            "start chronyd, systemd-timesyncd or ntpd: certificates, tokens and logs go by the "
            "date; leases and elections do not"
        )
        return warned("clock", "nobody synchronises it, says the kernel", text)
    found = f"synchronised, at most {facts.error_ms:.0f} ms off"
    return ok("clock", found, error_ms=facts.error_ms)
