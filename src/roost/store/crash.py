"""Processes that end by what they read: LMDB does not survive every damage to its pages.

A page that is garbage, or that is not there, ends whoever follows it by a signal.  A child that
ends so is seen by its parent.  A member that ends so can say it only to its next start: `watch`
has the interpreter write, from within the signal's handler, where each thread was, to a file
that is empty otherwise.
"""

import faulthandler
import os
import signal
from pathlib import Path
from typing import TextIO

SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV)
NOTE = "ended-by-signal.txt"
_NOTE_BYTES_MAX = 64 << 10
# The file of the only `watch`; the interpreter has no reference of its own to it.
_watched: list[TextIO] = []


def crash_signal(returncode: int | None) -> int:
    """The signal of a child that ended by what it read; 0 when it did not."""
    number = -(returncode or 0)
    return number if number in SIGNALS else 0


def watch(directory: Path) -> None:
    """Have this process leave a note in `directory` when such a signal ends it."""
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / NOTE, flags, 0o600)
    file = os.fdopen(descriptor, "w")
    faulthandler.enable(file)
    for before in _watched:
        before.close()
    _watched[:] = [file]


def is_watched(directory: Path) -> bool:
    """Whether a process has ever watched there; nothing is written to a directory of others."""
    return (directory / NOTE).exists()


def read_note(directory: Path) -> str:
    """What the last life of a process left in `directory`; empty when no signal ended it."""
    path = directory / NOTE
    if not path.exists():
        return ""
    with path.open(errors="replace") as file:
        return file.read(_NOTE_BYTES_MAX)


def forget_note(directory: Path) -> None:
    """The note was heeded."""
    path = directory / NOTE
    if path.exists():
        os.truncate(path, 0)
