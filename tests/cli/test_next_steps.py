"""What a newcomer mistypes, or looks for in the wrong place, is answered with the next step."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.cli.preflight import misgivings
from roost.cli.settings import read_given, settings_of
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports
from tests.cli import commands

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("newcomer"), 1) as started:
        started.leader()
        yield started


def said(*arguments: object, code: int = 0, typed: str = "") -> str:
    """What a command says, on either stream."""
    done = commands.run(*map(str, arguments), typed=typed.encode())
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return (done.stdout + done.stderr).decode()


@pytest.mark.slow
@pytest.mark.cluster
def test_a_transaction_says_what_its_operations_say(cluster: Cluster) -> None:
    at = f"--endpoints={cluster.endpoints[0]}"
    made = 'mod("k") = "0"\n\nput k made\nget k\n\nget k\n'
    assert said("txn", at, typed=made) == "SUCCESS\nOK\nk\tmade\n"
    assert said("txn", at, typed=made) == "FAILURE\nk\tmade\n"
    assert said("txn", at, typed="\ndel k\n") == "SUCCESS\n1 deleted\n"
    assert '"responseDeleteRange"' in said("txn", at, "--json", typed="\ndel k\n")
    nested = '{"success": [{"request_txn": {"failure": [], "success": []}}]}'
    assert said("txn", at, typed=nested) == "SUCCESS\nSUCCESS\n"


@pytest.mark.slow
@pytest.mark.cluster
def test_who_sits_there_is_told_that_a_value_is_waited_for(cluster: Cluster) -> None:
    ours, theirs = pty.openpty()
    put = subprocess.Popen(
        [sys.executable, "-m", "roost", "put", "typed", f"--endpoints={cluster.endpoints[0]}"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    assert put.stderr is not None
    assert put.stderr.readline() == "the value, then Ctrl-D on a line of its own:\n"
    os.write(ours, b"by hand\n\x04")
    out, error = put.communicate(timeout=PATIENCE_S)
    os.close(ours)
    assert (put.returncode, out.startswith("OK, revision")) == (0, True), error
    assert said("get", "typed", f"--endpoints={cluster.endpoints[0]}") == "by hand\n\n"


@pytest.mark.slow
@pytest.mark.cluster
def test_what_is_forgotten_or_is_not_there_is_answered_with_what_there_is(
    cluster: Cluster,
) -> None:
    pytest.importorskip("numpy")
    at = f"--endpoints={cluster.endpoints[0]}"
    for value in "abc":
        said("put", "old", value, at)
    said("compact", "3", at)
    assert "`roost status` shows the newest revision" in said(
        "get", "old", "--revision=1", at, code=3
    )
    assert ": --revision 3" in said("watch", "old", "--revision=1", at, code=3)
    assert "`roost series ls` shows all" in said("series", "query", "nope", at, code=1)
    assert "`roost trees" in said("dump", cluster.root / "m0", "acounts", code=1)


def test_a_directory_that_is_not_there_is_named_and_not_a_file_in_it(tmp_path: Path) -> None:
    away = tmp_path / "away"
    for command in (("list",), ("list", "--chain=m1")):
        text = said("snapshot", *command, away, code=2)
        assert f"the directory {away} is not there: make it first" in text
    text = said("snapshot", "save", away / "x.db", "--endpoints", NOBODY, code=2)
    assert f"the directory {away} is not there" in text
    text = said("snapshot", "list", Path(__file__), code=2)
    assert "is no directory" in text


def test_what_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"x" * 4096)
    assert "it is no backup, or is damaged" in said("snapshot", "status", tmp_path / "x.db", code=2)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--listen-client-urls=http://192.0.2.1:{port}",), "no address of this machine"),
        (("--data-dir=/proc/x",), "--data-dir=/proc/x cannot be made: "),
        (
            ("--initial-cluster=a=http://127.0.0.1:{port},b=http://127.0.0.1:1",),
            "--name must be one of those in --initial-cluster: a, b",
        ),
    ],
)
@pytest.mark.slow
def test_a_member_that_cannot_start_says_what_to_change(
    flags: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    client, peer = free_ports(2)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "roost", "serve", "--name=m1"),
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--data-dir={tmp_path / 'data'}",
            *(it.format(port=peer) for it in flags),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr


def test_a_misspelt_setting_is_told_what_is_like_it(tmp_path: Path) -> None:
    path = tmp_path / "m1.yaml"
    path.write_text("nmae: x\nxyzzy: y\n")
    of_file = read_given({"config-file": str(path)}, {}).unknown
    assert [it.rpartition(": ")[2] for it in of_file] == [
        "is name meant?", "'xyzzy' is no setting, and changes nothing",
    ]  # fmt: skip
    (of_variables,) = read_given({}, {"ROOST_DATADIR": "y"}).unknown
    assert of_variables.endswith(": is ROOST_DATA_DIR meant?")


def test_backups_that_are_kept_nowhere_are_told() -> None:
    given = read_given({"backup-interval": "1h", "backup-keep": "3"}, {})
    assert [it.split()[0] for it in misgivings(given, settings_of(given))] == [
        "--backup-interval", "--backup-keep",
    ]  # fmt: skip
    kept = read_given({"backup-interval": "1h", "backup-dir": "/b"}, {})
    assert misgivings(kept, settings_of(kept)) == []
