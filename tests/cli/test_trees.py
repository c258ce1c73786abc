"""What a member's directory holds is listed and printed, as its trees say."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

import roost
from roost.cli.main import main
from roost.database.catalogue import shown
from roost.store import BadTreeName


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trees") / "data"
    with roost.open(path) as db:
        db.tree("people", key=str, value=dict[str, int])["ada"] = {"born": 1815}
        db.tree("moments", key=tuple[str, datetime])["a", datetime(2026, 1, 2, tzinfo=UTC)] = b"\0"
        db.tree("plain").update({b"a": b"1", b"0x": b"text"})
        db.describe("people", "who they are")
        db.tree("controls", key=str)["a\tb\x1b[31m\né"] = b"1"
        db.tree("parts", key=tuple[str, int])["a\nb", 7] = b"1"
        db.describe("parts", "two\nlines")
    return path


def test_trees_are_listed_with_what_is_in_them(directory: Path) -> None:
    said = CliRunner().invoke(main, ["trees", str(directory), "--json"])
    assert said.exit_code == 0
    rows = {row["name"]: row for row in map(json.loads, said.output.splitlines())}
    assert rows["people"] == {
        "name": "people",
        "key_count": 1,
        "content_bytes": 3 + 9,
        "page_count": 1,
        "keys": "str",
        "values": "msgpack dict[str, int]",
        "purpose": "who they are",
    }
    assert (rows["plain"]["key_count"], rows["plain"]["keys"]) == (2, "bytes")
    assert rows["$members"]["keys"] == ""
    said = CliRunner().invoke(main, ["trees", str(directory)])
    (line,) = [it for it in said.output.splitlines() if it.startswith("people")]
    assert line.endswith("str -> msgpack dict[str, int]; who they are")
    assert [it for it in said.output.splitlines() if it.endswith("bytes; two\\nlines")]


def test_no_tree_of_ours_has_a_name_that_a_program_may_give(directory: Path) -> None:
    """Members, etcd and its v2 begin with `$`: `users` and `history` are names people choose."""
    said = CliRunner().invoke(main, ["trees", str(directory), "--json"])
    rows = [json.loads(it) for it in said.output.splitlines()]
    ours = {row["name"] for row in rows if not row["keys"]}
    assert {"$members", "$removed_members", "$etcd", "$etcd.kv", "$etcd.users", "$v2"} <= ours
    assert [it for it in ours if not it.startswith("$")] == []
    with roost.open(None) as db:
        for name in ours:
            free = name.removeprefix("$").removeprefix("etcd.")
            db.tree(free, key=str, value=str)["a"] = "1"
            with pytest.raises(BadTreeName, match="the database's own"):
                db.tree(name)


@pytest.mark.parametrize(
    ("tree", "rows"),
    [
        ("people", ['ada\t{"born":1815}']),
        ("moments", ["a 2026-01-02 00:00:00+00:00\t0x00"]),
        ("plain", ["0x3078\ttext", "a\t1"]),
        ("controls", ["a\\tb\\x1b[31m\\né\t1"]),
        ("parts", ["a\\nb 7\t1"]),
    ],
)
def test_rows_are_printed_as_their_types_say(directory: Path, tree: str, rows: list[str]) -> None:
    said = CliRunner().invoke(main, ["dump", str(directory), tree])
    assert (said.exit_code, said.output.splitlines()) == (0, rows)
    said = CliRunner().invoke(main, ["dump", str(directory), tree, "--limit", "1", "--json"])
    assert [json.loads(it)["key"] for it in said.output.splitlines()] == [rows[0].split("\t")[0]]


def test_a_directory_is_read_while_its_member_runs(directory: Path) -> None:
    command = [sys.executable, "-m", "roost.cli", "dump", str(directory), "plain"]
    with roost.open(directory):
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["0x3078\ttext", "a\t1"]


@roost.derived("ix_born", source="people", version=3)
def born(name: str, facts: dict[str, int]) -> list[tuple[tuple[int, str], str]]:
    return [((facts["born"], name), name)]


def test_a_derived_tree_is_shown_like_others_and_dropped(tmp_path: Path) -> None:
    path = str(tmp_path / "data")
    run = CliRunner().invoke
    with roost.open(path) as db:
        db.tree("people", key=str, value=dict[str, int]).update(
            {"ada": {"born": 1815}, "alan": {"born": 1912}}
        )
        assert run(main, ["drop", path, "ix_born"]).output.startswith("Error: nothing is derived")
        db.derived(born).wait_built()
        said = run(main, ["drop", path, "ix_born"])
        assert (said.exit_code, "is used by another process" in said.output) == (1, True)
    rows = [json.loads(it) for it in run(main, ["trees", path, "--json"]).output.splitlines()]
    assert rows[-1]["name"] == "ix_born"
    assert (rows[-1]["key_count"], rows[-1]["keys"]) == (2, "tuple[int, str]")
    assert rows[-1]["purpose"] == "derived from people, version 3"
    said = run(main, ["dump", path, "ix_born"])
    assert said.output.splitlines() == ['1815 ada\t"ada"', '1912 alan\t"alan"']
    assert run(main, ["drop", path, "ix_born"]).exit_code == 0
    for words in (["drop", path, "ix_born"], ["drop", path, "people"], ["dump", path, "ix_born"]):
        said = run(main, words)
        assert (said.exit_code, said.output[:7]) == (1, "Error: ")
    assert "ix_born" not in run(main, ["trees", path]).output
    with roost.open(path) as db:
        again = db.derived(born)
        again.wait_built()
        assert list(again.keys()) == [(1815, "ada"), (1912, "alan")]


def test_what_is_not_there_is_one_line(directory: Path, tmp_path: Path) -> None:
    for words in (["dump", str(directory), "nobody"], ["trees", str(tmp_path)]):
        said = CliRunner().invoke(main, words)
        assert said.exit_code == 1
        assert said.output.startswith("Error: ")
        assert list(tmp_path.iterdir()) == []


def test_bytes_are_shown_as_text_only_when_that_is_certain() -> None:
    assert [shown(it) for it in (b"a b", b"\n", b"0xff", "é".encode(), b"")] == [
        *("a b", "0x0a", "0x30786666", "0xc3a9", ""),
    ]
