"""Backups in a directory and in a bucket: saved, listed, verified, given away, and removed.

What a schedule does with them is `test_schedule`'s; what only a bucket can do is `test_bucket`'s.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import pytest

from roost.member import BackupFailed, Kept, Listed, Progress, Verified, read_backup
from roost.member.snapshots import shelf, shelf_work
from roost.member.snapshots.backup import DIGEST_BYTES
from roost.member.snapshots.files import ENTRY_HEAD
from roost.member.snapshots.folder import Folder
from roost.member.snapshots.shelf import (
    LIST_MAX,
    Chain,
    Shelf,
    chain,
    keep,
    list_all,
    name_of,
    newest,
)
from roost.member.snapshots.shelf_work import Saved, shelf_at
from roost.raft import Entry, EntryKind
from tests.member.directory.homes import close, open_at, snapshot_of, write
from tests.s3 import Object, s3_server

NAME = "m0-0000000000000007.db"


@dataclass(frozen=True, slots=True)
class Kind:
    """A place of one kind, and how to lay something into it behind its back."""

    place: str
    lay: Callable[[str, bytes, float], None]

    @property
    def shelf(self) -> Shelf:
        return shelf_at(self.place)


@pytest.fixture(params=["directory", "bucket"])
def kind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kind]:
    if request.param == "directory":
        kept = tmp_path / "kept"

        def lay(name: str, data: bytes, at_s: float) -> None:
            kept.mkdir(exist_ok=True)
            (kept / name).write_bytes(data)
            os.utime(kept / name, (at_s, at_s))

        yield Kind(str(kept), lay)
        return
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    with s3_server() as s3:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)

        def lay_there(name: str, data: bytes, at_s: float) -> None:
            s3.objects[f"of/{name}"] = Object(data, at_s, {})

        yield Kind(s3.place("of"), lay_there)


def make_copy(tmp_path: Path) -> Path:
    """A copy of a store that has something in it."""
    home = open_at(tmp_path, "home")
    write(home, 5, b"value")
    copy = tmp_path / "copy.mdb"
    snapshot_of(home, copy)
    close(home)
    return copy


def nobody(_phase: str, _count: int) -> None:
    """Nobody wants to know how far it is."""


def content(shelf: Shelf, name: str) -> bytes:
    with shelf.open(name) as opened:
        data = b"".join(opened.pieces)
    assert len(data) == opened.size_bytes
    return data


Output = pytest.CaptureFixture[bytes]


def encode_entry(entry: Entry) -> bytes:
    """As a member writes it."""
    head = ENTRY_HEAD.pack(entry.index, entry.term, entry.kind, len(entry.payload))
    return head + entry.payload


def run(output: Output, *arguments: str) -> bytes:
    """What the process would print, without a process."""
    shelf_work.do(*arguments)
    return output.readouterr().out


def test_all_members_backups_are_listed_the_newest_first(kind: Kind) -> None:
    assert list_all(kind.shelf) == Listed()
    assert newest(kind.shelf, "m0", 5.0).age_s is None
    for age, name in enumerate([NAME, "m1-00000000000000aa.db", "notes.txt", f"{NAME}.part"]):
        kind.lay(name, b"x" * age, age)
    found = list_all(kind.shelf)
    assert [(it.name, it.size_bytes, it.at_s) for it in found.backups] == [
        ("m1-00000000000000aa.db", 1, 1.0),
        (NAME, 0, 0.0),
    ]
    assert list_all(kind.shelf, of_members=False).backups[0].name == f"{NAME}.part"
    assert newest(kind.shelf, "m1", 5.0).age_s == 4.0


def test_a_list_has_an_end_and_says_so(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "LIST_MAX", 2)
    assert LIST_MAX == 1000
    for number in range(3):
        kind.lay(f"m-{number:016x}.db", b"", number)
    found = list_all(kind.shelf)
    assert ([it.at_s for it in found.backups], found.is_cut) == ([2.0, 1.0], True)


@pytest.mark.parametrize(
    "name", ["", "..", "../secret-0000000000000001.db", "m-1.db", "a/b-0000000000000001.db", "x\0"]
)
def test_nothing_else_can_be_named(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "kept"
    inner.mkdir()
    (tmp_path / "secret-0000000000000001.db").touch()
    (inner / "m-1.db").touch()
    with pytest.raises(BackupFailed, match="there is no backup"), Folder(inner).open(name):
        raise AssertionError("it is open")


def test_a_backup_is_saved_verified_and_given_away(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    copy = make_copy(tmp_path)
    *heard, last = run(capfdbinary, "save", kind.place, "m", str(copy), "3").splitlines()
    saved = msgspec.json.decode(last, type=Saved)
    assert saved.fault == ""
    progress = [msgspec.json.decode(it, type=Progress) for it in heard]
    assert {it.phase for it in progress} <= {"writing", "checking", "sending"}
    assert progress
    assert all(0 < it.done_bytes <= it.total_bytes + DIGEST_BYTES for it in progress)
    data = content(kind.shelf, saved.name)
    (tmp_path / "fetched.db").write_bytes(data)
    backup = read_backup(tmp_path / "fetched.db")
    assert (saved.size_bytes, backup.is_full) == (len(data), True)
    told = run(capfdbinary, "verify", kind.place, saved.name).splitlines()[-1]
    held = msgspec.json.decode(told, type=Verified)
    assert (held.index, held.digest) == (backup.index, backup.digest)
    for work in (("send", kind.place, saved.name), ("give", str(copy))):
        line, _, sent = run(capfdbinary, *work).partition(b"\n")
        assert msgspec.json.decode(line)["size_bytes"] == len(sent)
        assert sent == data
    told = run(capfdbinary, "list", kind.place)
    assert [it.name for it in msgspec.json.decode(told, type=Listed).backups] == [saved.name]


def follow(output: Output, kind: Kind, path: Path, base: Saved, payloads: list[bytes]) -> Saved:
    """Save an increment of some entries, as the process would."""
    index = base.index
    entries = [
        Entry(index + number, base.term, EntryKind.NORMAL, it)
        for number, it in enumerate(payloads, 1)
    ]
    pages = [encode_entry(it) for it in entries]
    path.write_bytes(b"".join(len(it).to_bytes(4, "little") + it for it in pages))
    position = base.digest, str(base.index), str(base.term), str(0xC1)
    told = run(output, "follow", kind.place, "m", str(path), base.name, *position)
    return msgspec.json.decode(told.splitlines()[-1], type=Saved)


def test_an_increment_lies_beside_what_it_follows_and_is_verified(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    told = run(capfdbinary, "save", kind.place, "m", str(make_copy(tmp_path)), "3")
    full = msgspec.json.decode(told.splitlines()[-1], type=Saved)
    first = follow(capfdbinary, kind, tmp_path / "1.pages", full, [b"a", b"b"])
    assert first.name == f"m-{full.index:016x}-{full.index + 2:016x}.inc", first.fault
    second = follow(capfdbinary, kind, tmp_path / "2.pages", first, [b"c"])
    assert (second.index, second.term, second.fault) == (full.index + 3, full.term, "")
    (tmp_path / "fetched.inc").write_bytes(content(kind.shelf, second.name))
    held = read_backup(tmp_path / "fetched.inc")
    assert (held.is_full, held.base_index, held.index) == (False, first.index, second.index)
    assert (held.size_bytes, held.digest) == (second.size_bytes, second.digest)
    assert (held.cluster_id, held.base_term) == (0xC1, full.term)
    told = run(capfdbinary, "verify", kind.place, second.name).splitlines()[-1]
    assert msgspec.json.decode(told, type=Verified).digest == held.digest
    assert {it.name for it in list_all(kind.shelf).backups} == {
        it.name for it in (full, first, second)
    }


def test_no_increment_is_saved_behind_what_is_gone_or_what_it_does_not_follow(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    told = run(capfdbinary, "save", kind.place, "m", str(make_copy(tmp_path)), "3")
    full = msgspec.json.decode(told.splitlines()[-1], type=Saved)
    path = tmp_path / "gap.pages"
    page = encode_entry(Entry(full.index + 2, full.term, EntryKind.NORMAL, b"x"))
    path.write_bytes(len(page).to_bytes(4, "little") + page)
    position = full.digest, str(full.index), str(full.term), "0"
    told = run(capfdbinary, "follow", kind.place, "m", str(path), full.name, *position)
    assert b"was sent behind entry" in told
    kind.shelf.remove(full.name)
    gone = follow(capfdbinary, kind, path, full, [b"x"])
    could_not = f"what follows {full.name} could not be restored any more"
    assert gone.fault == f"{could_not}: no full one is there"
    assert list_all(kind.shelf) == Listed()


def test_no_increment_follows_one_to_which_no_restore_would_come(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    """What it follows was there, and what that follows was gone; or it was another cluster's."""
    told = run(capfdbinary, "save", kind.place, "m", str(make_copy(tmp_path)), "3")
    full = msgspec.json.decode(told.splitlines()[-1], type=Saved)
    first = follow(capfdbinary, kind, tmp_path / "1.pages", full, [b"a"])
    second = follow(capfdbinary, kind, tmp_path / "2.pages", first, [b"b"])
    kept = content(kind.shelf, first.name)
    kind.shelf.remove(first.name)
    found = follow(capfdbinary, kind, tmp_path / "3.pages", second, [b"c"])
    could_not = f"what follows {second.name} could not be restored any more"
    assert found.fault == f"{could_not}: the newest chain ends with {full.name}"
    assert [it.name for it in chain(kind.shelf, "m").cut_off] == [second.name]
    now_s = max(it.at_s for it in kind.shelf.found())
    kind.lay(first.name, kept, now_s)
    assert follow(capfdbinary, kind, tmp_path / "3.pages", second, [b"c"]).fault == ""
    kind.lay(full.name, content(kind.shelf, full.name)[:-1] + b"x", now_s)
    again = follow(capfdbinary, kind, tmp_path / "1.pages", full, [b"a"])
    assert "the newest chain ends with" in again.fault
    for it in (first, second):
        kind.shelf.remove(it.name)
    again = follow(capfdbinary, kind, tmp_path / "1.pages", full, [b"a"])
    assert again.fault.startswith(f"{full.name} is not what was saved there"), again.fault


def test_a_chain_of_very_many_is_found_at_once(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week of one a minute; who asked for it waited for minutes."""
    count = 0
    matched = shelf._base_of

    def counted(name: str) -> int | None:
        nonlocal count
        count += 1
        return matched(name)

    monkeypatch.setattr(shelf, "_base_of", counted)
    kind.lay(name_of("m", 0), b"", 0)
    for number in range(200):
        kind.lay(f"m-{number:016x}-{number + 1:016x}.inc", b"", number)
    assert len(chain(kind.shelf, "m").files) == 201
    assert count <= 2 * 201


def test_names_that_are_no_text_are_left_out(tmp_path: Path, capfdbinary: Output) -> None:
    """One of them, and no backup was listed."""
    (tmp_path / "m-0000000000000001.db").touch()
    with open(os.fsencode(tmp_path) + b"/m\xff-0000000000000002.db", "wb"):  # noqa: PTH123 - such a name
        told = run(capfdbinary, "list", str(tmp_path))
    found = msgspec.json.decode(told, type=Listed)
    assert [it.name for it in found.backups] == ["m-0000000000000001.db"]


def test_increments_go_with_the_full_backup_that_they_follow(kind: Kind) -> None:
    """And one of another member, or a full one of the same moment, is none of them."""
    chains = [
        ["m-0000000000000000-0000000000000003.inc"],
        ["m-0000000000000005.db", "m-0000000000000005-0000000000000006.inc"],
        ["m-0000000000000009.db"],
        ["m-000000000000000c.db", "m-000000000000000c-000000000000000d.inc"],
    ]
    other = "m-0000000000000005-0000000000000005-0000000000000007.inc"
    for at_s, names in enumerate(chains, 10):
        for name in names:
            kind.lay(name, b"", at_s)
    kind.lay(other, b"", 1)
    keep(kind.shelf, "m", 3, Kept(chains[3][0], 0, 13.0))
    assert {it.name for it in list_all(kind.shelf).backups} == {
        other, *chains[1], *chains[2], *chains[3]
    }  # fmt: skip
    keep(kind.shelf, "m", 2, Kept(chains[3][0], 0, 13.0))
    assert {it.name for it in list_all(kind.shelf).backups} == {other, *chains[2], *chains[3]}


def test_a_chain_is_the_newest_full_backup_and_what_follows_it(kind: Kind) -> None:
    assert chain(kind.shelf, "m") == Chain([], [])
    names = [
        *("m-0000000000000005.db", "m-0000000000000005-0000000000000006.inc"),
        # Another cluster of the same name, whose entries have the same numbers.
        *("m-0000000000000004.db", "m-0000000000000004-0000000000000005.inc"),
        *("m-0000000000000005-0000000000000009.inc", "m-1-0000000000000009-000000000000000a.inc"),
        *("m-0000000000000009-0000000000000009.inc", "m-000000000000000b-000000000000000c.inc"),
        "m-by-hand-000000000000000c.db",
    ]
    for at_s, name in enumerate(names, 10):
        kind.lay(name, b"", at_s)
    found = chain(kind.shelf, "m")
    assert [it.name for it in found.files] == [names[2], names[3], names[4]]
    assert [it.name for it in found.cut_off] == [names[7]]


def test_what_has_changed_or_is_gone_is_told(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    saved = kind.shelf.put("m", make_copy(tmp_path), nobody)
    data = bytearray(content(kind.shelf, saved.name))
    data[len(data) // 2] ^= 1
    kind.lay(saved.name, bytes(data), 1.0)
    told = run(capfdbinary, "verify", kind.place, saved.name).splitlines()[-1]
    assert "digest at its end" in msgspec.json.decode(told, type=Verified).fault
    for work in ("verify", "send"):
        assert b"may have been removed" in run(capfdbinary, work, kind.place, NAME)
    kind.shelf.remove(saved.name)
    kind.shelf.remove(saved.name)
    assert list_all(kind.shelf) == Listed()


def test_a_place_that_is_a_file_is_said_to_be_none(tmp_path: Path, capfdbinary: Output) -> None:
    (tmp_path / "file").touch()
    assert b"Not a directory" in run(capfdbinary, "list", str(tmp_path / "file"))


def test_the_newest_of_a_member_stay_and_what_was_made_now_is_the_last(kind: Kind) -> None:
    """Three of `m`, of which one is from the future, and another member's."""
    ages = {
        "m-0000000000000001.db": 10,
        "m-0000000000000009.db": 9_000,
        "m-0000000000000002.db": 20,
    }
    for name, at_s in {**ages, "m-1-0000000000000001.db": 1}.items():
        kind.lay(name, b"", at_s)
    kind.lay("m-0000000000000003.db", b"", 30)
    keep(kind.shelf, "m", 3, Kept("m-0000000000000003.db", 0, 30.0))
    assert [it.name for it in list_all(kind.shelf).backups] == [
        "m-0000000000000003.db",
        "m-0000000000000002.db",
        "m-0000000000000001.db",
        "m-1-0000000000000001.db",
    ]


class Shelved:
    """As a bucket whose list knows thousandths of a second; it may not let anybody remove."""

    def __init__(self, *kept: Kept, error: BackupFailed | None = None) -> None:
        self.kept = {it.name: it for it in kept}
        self.error = error

    def found(self) -> list[Kept]:
        return list(self.kept.values())

    def remove(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        del self.kept[name]

    def put(self, _member: str, _copy: Path, _hear: object) -> Kept:
        return Kept("m-0000000000000003.db", 0, 100.0)


def as_shelf(shelved: Shelved) -> Shelf:
    return cast("Shelf", shelved)  # it has what is asked of it


def test_what_was_made_in_the_same_second_is_not_taken_for_one_of_a_clock_ahead() -> None:
    """A bucket says of one object alone the second, and in a list more: that one went first."""
    shelved = Shelved(
        Kept("m-0000000000000001.db", 0, 1.0),
        Kept("m-0000000000000002.db", 0, 100.2),
        Kept("m-0000000000000003.db", 0, 100.9),
    )
    keep(as_shelf(shelved), "m", 2, Kept("m-0000000000000003.db", 0, 100.0))
    assert sorted(shelved.kept) == ["m-0000000000000002.db", "m-0000000000000003.db"]


def test_that_older_ones_stay_is_said_of_a_backup_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Output
) -> None:
    """Credentials that may not delete: it was said that there was no backup."""
    shelved = Shelved(
        Kept("m-0000000000000001.db", 0, 1.0),
        Kept("m-0000000000000003.db", 0, 2.0),
        error=BackupFailed("it is locked"),
    )
    monkeypatch.setattr(shelf_work, "shelf_at", lambda _place: shelved)
    copy = make_copy(tmp_path)
    told = msgspec.json.decode(run(capfdbinary, "save", "there", "m", str(copy), "1"), type=Saved)
    assert told.fault == "m-0000000000000003.db is saved, but older ones stay: it is locked"


def test_a_member_after_whom_no_backup_can_be_named_is_told_so(
    kind: Kind, tmp_path: Path, capfdbinary: Output
) -> None:
    """In a bucket they lay deeper: not listed, not verified, and never removed."""
    told = run(capfdbinary, "save", kind.place, "a/m", str(make_copy(tmp_path)), "1")
    assert "without slashes" in msgspec.json.decode(told, type=Saved).fault
    assert list_all(kind.shelf, of_members=False) == Listed()


class Breaking:
    """Gives half of what it says."""

    def open(self, _name: str) -> object:
        from contextlib import nullcontext

        def pieces() -> Iterator[bytes]:
            yield b"x" * 10
            raise BackupFailed("the network was cut")

        return nullcontext(shelf.Opened(12, pieces()))


def test_what_breaks_in_the_middle_is_no_part_of_a_file(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Output
) -> None:
    """The fault was printed behind the bytes, and taken for the rest of the file."""
    monkeypatch.setattr(shelf_work, "shelf_at", lambda _place: Breaking())
    with pytest.raises(SystemExit) as ended:
        shelf_work.do("send", "anywhere", NAME)
    assert ended.value.code == 1
    told = capfdbinary.readouterr()
    assert told.out.partition(b"\n")[2] == b"x" * 10
    assert b"the network was cut" in told.err
