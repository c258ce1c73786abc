"""The process ends when it must, whatever becomes of its last words."""

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from roost.cli import process
from roost.testing.patience import PATIENCE_S

CODE = """
from roost.cli.ending import end_now
from roost.cli.logs import configure_logs
configure_logs("info", "json")
try:
    raise ValueError("why")
except ValueError as error:
    end_now(74, "the member ends itself", error)
"""


def nobody_reads() -> int:
    """A pipe that is full."""
    _, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    return writing


def no_room() -> int:
    """A file that takes nothing."""
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.slow
@pytest.mark.parametrize("log", [nobody_reads, no_room])
def test_the_end_comes_although_the_log_takes_nothing(log: Callable[[], int]) -> None:
    stderr = log()
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE], stderr=stderr, check=False, timeout=PATIENCE_S
        )
    finally:
        os.close(stderr)
    assert done.returncode == 74


@pytest.mark.slow
def test_the_reason_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=False)
    assert done.returncode == 74
    assert b"the member ends itself" in done.stderr
    assert b"ValueError: why" in done.stderr


@pytest.mark.slow
def test_what_hangs_is_cut_short() -> None:
    code = "import threading\nfrom roost.cli.ending import end_within\n"
    code += "end_within(0.1, 74, 'it hangs')\nthreading.Event().wait()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 74
    assert b"it hangs" in done.stderr


@pytest.mark.slow
def test_the_reason_is_said_without_memory_for_a_thread() -> None:
    """It ended without a word: a thread wants more addresses than were left."""
    code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
    code += "import threading\nthreading.stack_size(512 << 20)\n" + CODE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 74
    assert b"the member ends itself" in done.stderr


def test_want_of_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no text of its own."""
    said: list[tuple[int, str]] = []

    def end(code: int, text: str, _error: BaseException) -> NoReturn:
        said.append((code, text))
        raise SystemExit(code)

    monkeypatch.setattr(process, "end_now", end)
    plan: Any = SimpleNamespace(serving=None)
    with pytest.raises(SystemExit):
        process.Process(plan, on_hangup=lambda: None)._on_fatal(MemoryError())
    assert said == [(74, "the member ends itself: too little memory is left")]
