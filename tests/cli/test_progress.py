"""Whoever sits at a terminal sees how far a long command is; programs see nothing of it."""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from roost.cli.main import main
from roost.cli.progress import Progress, counted, progress, size_below
from roost.cli.shared import size_of
from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

CLEAR = "\r\x1b[K"


def test_a_line_has_a_bar_where_the_end_is_known() -> None:
    it = Progress("restoring m1", 4 << 20, size_of, None)
    it.add(1 << 20)
    said = it.line(67.2, 200)
    assert said == "restoring m1  [#####...............]   25 %  1.0 MiB of 4.0 MiB  1:07"
    it.add(9 << 20)  # what was thought to be the end was not
    assert "[####################]  100 %" in it.line(0, 200)
    assert it.line(0, 10) == "restoring "


def test_a_line_has_what_is_known_where_the_end_is_not() -> None:
    it = Progress("rewriting", 0, counted("keys"), None)
    assert it.line(0, 200) == "rewriting  0:00"
    it.add(1234)
    assert it.line(3, 200) == "rewriting  1,234 keys  0:03"
    it.note(1234, 2468)
    assert (
        it.line(3, 200)
        == "rewriting  [##########..........]   50 %  1,234 keys of 2,468 keys  0:03"
    )


def test_what_is_measured_is_what_lies_there(tmp_path: Path) -> None:
    measure = size_below(tmp_path / "made", tmp_path / "file")
    assert measure() == 0
    (tmp_path / "made" / "store").mkdir(parents=True)
    (tmp_path / "made" / "store" / "data").write_bytes(bytes(1000))
    (tmp_path / "file").write_bytes(bytes(24))
    assert measure() == 1024
    assert (
        Progress("x", 2048, size_of, measure)
        .line(0, 80)
        .endswith(" 50 %  1.0 KiB of 2.0 KiB  0:00")
    )


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[int, list[str]]]:
    """An end to write to, and what came out at the other one."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    came: list[str] = []

    def read() -> None:
        try:
            while data := os.read(ours, 4096):
                came.append(data.decode())
        except OSError:
            return  # the other end is closed: that is the end of a terminal

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs, came
    finally:
        os.close(theirs)
        reader.join(PATIENCE_S)
        os.close(ours)


def test_a_line_is_written_again_while_a_call_says_nothing_and_is_gone_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(40) as (end, came), os.fdopen(os.dup(end), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("a label " * 10, as_json=False) as shown:
            wait_until(lambda: "".join(came).count(CLEAR) >= 2)
            shown.add(1)
        wait_until(lambda: "".join(came).endswith(CLEAR))
        stream.flush()
    lines = "".join(came).split(CLEAR)
    assert all(len(it) < 40 for it in lines)
    assert lines[-1] == ""


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_is_written_for_programs(
    *, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("label", as_json=as_json) as shown:
        shown.add(1)
    assert capsys.readouterr() == ("", "")


def test_it_ends_with_what_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as (end, came), os.fdopen(os.dup(end), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(ValueError, match="why"), progress("label", as_json=False):
            raise ValueError("why")
        assert [it.name for it in threading.enumerate() if it.name == "roost-progress"] == []
        wait_until(lambda: "".join(came).endswith(CLEAR))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), 1) as it:
        it.leader()
        with Client(it.endpoints) as client:
            for number in range(150):
                client.put(b"k%03d" % number, bytes(100))
        yield it


def seen(*arguments: str | Path) -> str:
    """What stands on a terminal while a command runs; it must end well."""
    with (
        terminal() as (end, came),
        os.fdopen(os.dup(end), "w") as stream,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", stream)
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        main.main(list(map(str, arguments)), prog_name="roost", standalone_mode=False)
        stream.flush()
    return "".join(came)


@pytest.mark.slow
@pytest.mark.cluster
def test_long_commands_show_how_far_they_are(cluster: Cluster, tmp_path: Path) -> None:
    at = ["--endpoints", cluster.endpoints[0]]
    full, increment, etcd = tmp_path / "full.db", tmp_path / "next.inc", tmp_path / "etcd.db"
    commands: Sequence[tuple[str, list[str | Path]]] = (
        (r"saving full\.db", ["snapshot", "save", full, *at]),
        (r"saving next\.inc", ["snapshot", "save", increment, "--since", full, *at]),
        (r"writing etcd\.db for etcd", ["snapshot", "convert", full, "--output", etcd]),
        (
            r"restoring m1  \[",
            ["snapshot", "restore", full, increment, "--data-dir", tmp_path / "m1"],
        ),
        (r"importing etcd\.db", ["import", etcd, "--data-dir", tmp_path / "m2"]),
        (r"checking full\.db", ["snapshot", "status", full]),
        (r"checking etcd\.db", ["snapshot", "status", etcd]),
        (r"rewriting the store of 127", ["defrag", *at]),
    )
    for words, command in commands:
        said = seen(*command)
        assert re.search(rf"{re.escape(CLEAR)}{words}", said), (command, said)
        assert said.endswith(CLEAR)


@pytest.mark.slow
@pytest.mark.cluster
def test_nothing_is_shown_beside_json(cluster: Cluster, tmp_path: Path) -> None:
    said = seen(
        "snapshot", "save", tmp_path / "a.db", "--json", "--endpoints", cluster.endpoints[0]
    )
    assert said == ""
