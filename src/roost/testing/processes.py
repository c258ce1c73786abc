"""Which processes there are, as the kernel says (`/proc`)."""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_STATE, _PARENT = 0, 1


def _pids() -> list[int]:
    return [int(it.name) for it in _PROC.iterdir() if it.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """State, parent and so on; empty when there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The name before them is in brackets, and may hold anything.
    return text.rpartition(")")[2].split()


def is_there(pid: int) -> bool:
    """Whether a process runs; one that only waits for its parent to look does not."""
    rest = _stat(pid)
    return bool(rest) and rest[_STATE] not in ("Z", "X")


def children_of(pid: int) -> list[int]:
    """Processes that run, with that parent."""
    parents = {it: rest[_PARENT] for it in _pids() if (rest := _stat(it))}
    return [it for it, parent in parents.items() if int(parent) == pid and is_there(it)]


def processes_about(text: str) -> dict[int, str]:
    """Processes that run and have `text` on their command lines, and those."""
    found = {}
    for it in _pids():
        with suppress(OSError):
            line = (
                (_PROC / str(it) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
            if text in line and it != os.getpid() and is_there(it):
                found[it] = line
    return found
