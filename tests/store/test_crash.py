"""Processes that end by what they read: told by their exit, and by a note to the next start."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roost.store.crash import NOTE, crash_signal, forget_note, is_watched, read_note

DIES = """
import os, signal, sys
from pathlib import Path
from roost.store.crash import watch
watch(Path(sys.argv[1]))
os.kill(os.getpid(), int(sys.argv[2]))
"""


def die(directory: Path, number: int) -> int:
    """The exit code of a process that watches, and is ended by a signal."""
    arguments = [sys.executable, "-c", DIES, str(directory), str(number)]
    return subprocess.run(arguments, check=False, stderr=subprocess.DEVNULL).returncode


@pytest.mark.parametrize(
    ("code", "number"),
    [(-signal.SIGBUS, signal.SIGBUS), (-signal.SIGSEGV, signal.SIGSEGV),
     (-signal.SIGABRT, signal.SIGABRT), (-signal.SIGKILL, 0), (-signal.SIGTERM, 0),
     (0, 0), (1, 0), (7, 0), (None, 0)],
)  # fmt: skip
def test_only_what_damaged_pages_cause_is_a_crash(code: int | None, number: int) -> None:
    """7 is an exit code and no SIGBUS; who is killed has read nothing wrong."""
    assert crash_signal(code) == number


@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGSEGV])
def test_a_process_that_dies_of_it_leaves_word_where_it_was(tmp_path: Path, number: int) -> None:
    assert not is_watched(tmp_path)
    assert read_note(tmp_path) == ""
    assert crash_signal(die(tmp_path, number)) == number
    note = read_note(tmp_path)
    assert "most recent call first" in note
    assert (tmp_path / NOTE).stat().st_mode & 0o777 == 0o600
    forget_note(tmp_path)
    assert (read_note(tmp_path), is_watched(tmp_path)) == ("", True)


def test_who_ends_otherwise_leaves_nothing(tmp_path: Path) -> None:
    assert crash_signal(die(tmp_path, signal.SIGKILL)) == 0
    assert read_note(tmp_path) == ""


def test_there_is_nothing_to_forget_where_nobody_watched(tmp_path: Path) -> None:
    forget_note(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_note_of_any_length_is_read_in_part(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_bytes(b"\xff" * 1_000_000)
    assert 0 < len(read_note(tmp_path)) <= 64 << 10
