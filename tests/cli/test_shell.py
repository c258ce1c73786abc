"""`roost shell`: lines are commands, words are completed, and a line that fails ends nothing."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from roost.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from roost.cli.main import main
from roost.cli.shell import candidates
from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S


def keys_under(text: str) -> Sequence[str]:
    return [it for it in ("color", "config/a b", "config/c") if it.startswith(text)]


def complete(line: str) -> list[str]:
    before, _, word = line.rpartition(" ")
    return candidates(main, before + " " if before else "", word, keys_under)


def test_words_are_completed_by_what_may_stand_there() -> None:
    assert complete("sn") == ["snapshot "]
    assert "exit " in complete("e")
    assert complete("serv") == []
    assert complete("snapshot s") == ["save ", "status "]
    assert complete("get --ser") == ["--serializable "]
    assert complete("get co") == ["color", "'config/a b'", "config/c"]
    assert complete("get color co") == []
    assert complete("member list co") == []
    assert complete("nothing x") == []
    assert complete("get 'con") == []


def run(lines: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "roost", "shell", *options],
        input=lines, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_lines_that_cannot_be_run_are_said_and_the_next_one_is_run() -> None:
    done = run("gte a\nserve\nput 'a\n# nothing\n\nhelp lease list\nexit\nget never\n")
    assert done.returncode == EXIT_USAGE
    for words in ("No such command 'gte'", "is for a shell of your system", "No closing quotation"):
        assert words in done.stderr
    assert "Usage: roost lease list" in done.stdout
    assert run("get a\n", "--endpoints=127.0.0.1:1", "--timeout=1").returncode == EXIT_UNREACHABLE


@pytest.mark.slow
@pytest.mark.cluster
def test_a_script_is_run_line_by_line_and_a_conversation_too(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        at = f"--endpoints={cluster.endpoints[0]}"
        script = 'put a 1\nget a\nget missing\ntxn\nmod("a") > 0\n\nput b 2\n\n\n'
        done = run(script, at, "--timeout=30")
        assert (done.returncode, "SUCCESS" in done.stdout) == (EXIT_FAILED, True), done.stderr
        with Client(cluster.endpoints, timeout_s=20) as client:
            assert [it.text for it in client.range("a", "c")] == ["1", "2"]
        history = tmp_path / "history"
        with conversing(at, "--timeout=30", f"--history={history}") as talk:
            talk("put typed by-hand\n", b"OK, revision")
            talk("get ty\t\n", b"by-hand")
            talk(" get secret\n", b"roost> ")
            talk("exit\n", b"")
        assert history.read_text() == "put typed by-hand\nget typed\nexit\n"
        assert history.stat().st_mode & 0o777 == 0o600


class Talk:
    """Types lines, and waits for what is said."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.said = b""

    def __call__(self, line: str, until: bytes) -> None:
        begin = len(self.said)
        os.write(self._terminal, line.encode())
        while until not in self.said[begin + len(line) :]:
            self.read()

    def read(self) -> None:
        data = os.read(self._terminal, 4096)
        assert data, self.said
        self.said += data


@contextmanager
def conversing(*options: str) -> Iterator[Talk]:
    """A shell on a terminal."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [sys.executable, "-m", "roost", "shell", *options],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    talk = Talk(ours)
    try:
        while b"roost> " not in talk.said:
            talk.read()
        yield talk
        assert shell.wait(timeout=PATIENCE_S) == 0
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
