"""Backups as files: whole under their name or not there, and nothing of them changed unnoticed."""

import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from roost.member.errors import BackupDamaged, BackupFailed
from roost.member.snapshots.backup import (
    DIGEST_BYTES,
    Backup,
    FileWriter,
    entries_of,
    part_of,
    read_backup,
    write_checked,
    write_increment,
)
from roost.member.snapshots.files import ENTRY_HEAD
from roost.raft import Entry, EntryKind
from tests.member.directory.homes import close, open_at, snapshot_of, write

BASE = Backup(
    Path("base"),
    is_full=True,
    index=10,
    term=2,
    base_index=0,
    size_bytes=0,
    digest="d",
    cluster_id=0xC1,
)


def entry(index: int, term: int = 3, payload: bytes = b"payload") -> Entry:
    return Entry(index, term, EntryKind.NORMAL, payload)


def page(*entries: Entry) -> bytes:
    return b"".join(
        ENTRY_HEAD.pack(it.index, it.term, it.kind, len(it.payload)) + it.payload for it in entries
    )


def test_a_file_is_there_when_it_is_whole_and_never_before(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with FileWriter(path) as file:
        file.write(b"some")
        assert (path.exists(), part_of(path).exists()) == (False, True)
        assert part_of(path).stat().st_mode & 0o777 == 0o600
        file.finish()
    assert (path.read_bytes(), part_of(path).exists()) == (b"some", False)
    assert (file.size_bytes, file.digest()) == (4, hashlib.sha256(b"some").digest())


def test_what_is_not_finished_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_bytes(b"older")

    def break_off() -> None:
        with FileWriter(path) as file:
            file.write(b"newer")
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        break_off()
    assert [it.read_bytes() for it in tmp_path.iterdir()] == [b"older"]


def test_a_file_has_one_writer_and_what_a_dead_one_left_is_no_hindrance(tmp_path: Path) -> None:
    """Two wrote into one file, and one of them went on when it had its name."""
    path = tmp_path / "backup"
    part_of(path).write_bytes(b"longer than what follows")
    with FileWriter(path) as first:
        first.write(b"first")
        with pytest.raises(BackupFailed, match="is being written by another process: wait until"):
            FileWriter(path)
        first.finish()
        with FileWriter(path) as second:
            second.write(b"second")
            assert path.read_bytes() == b"first"
            first.__exit__(None)
            second.finish()
    assert [it.read_bytes() for it in tmp_path.iterdir()] == [b"second"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_where_there_are_no_locks_files_are_written_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    path = tmp_path / "backup"
    if number == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(number)):
            FileWriter(path)
        return
    with FileWriter(path) as file:
        file.write(b"some")
        file.finish()
    assert path.read_bytes() == b"some"


ROWS = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=50)), max_size=4)


@given(pages=st.lists(ROWS))
def test_an_increment_holds_what_followed_entry_by_entry(
    pages: list[list[tuple[int, bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    index, term = BASE.index, BASE.term
    told: list[list[Entry]] = []
    for rows in pages:
        told.append([])
        for more, payload in rows:
            index, term = index + 1, term + more
            told[-1].append(entry(index, term, payload))
    path = tmp_path_factory.mktemp("backup") / "1.inc"
    made = write_increment(path, BASE, [page(*it) for it in told if it])
    assert (made.is_full, made.base_index, made.index, made.term) == (False, 10, index, term)
    assert (made.cluster_id, made.base_term) == (0xC1, 2)
    assert list(entries_of(made)) == [it for rows in told for it in rows]
    assert read_backup(path) == made


@pytest.mark.parametrize("indexes", [[12], [10], [11, 13], [11, 11]])
def test_entries_that_do_not_follow_are_refused_and_no_file_is_left(
    tmp_path: Path, indexes: list[int]
) -> None:
    with pytest.raises(BackupDamaged, match="was sent behind"):
        write_increment(tmp_path / "1.inc", BASE, [page(entry(it)) for it in indexes])
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_and_every_cut_of_an_increment_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "1.inc"
    write_increment(path, BASE, [page(entry(11), entry(12))])
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(BackupDamaged):
            read_backup(path)
        path.write_bytes(content[:place])
        with pytest.raises(BackupDamaged):
            read_backup(path)


def test_a_page_that_changed_after_the_file_was_checked_is_noticed(tmp_path: Path) -> None:
    """The digest is looked at once; the pages are read later, and perhaps from another sector."""
    path = tmp_path / "1.inc"
    made = write_increment(path, BASE, [page(entry(11)), page(entry(12))])
    changed = bytearray(path.read_bytes())
    place = changed.rindex(b"payload")
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(BackupDamaged, match="a page has changed"):
        list(entries_of(made))


@pytest.mark.parametrize("file_format", [1, 3])
def test_a_format_of_another_version_is_said(tmp_path: Path, file_format: int) -> None:
    path = tmp_path / "1.inc"
    content = b"RINC" + file_format.to_bytes(4, "little") + bytes(24 + 20)
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(BackupDamaged, match=f"format {file_format}, this version knows 2"):
        read_backup(path)


@pytest.mark.parametrize(
    ("indexes", "end", "words"),
    [
        ([11, 13], 13, "entry 13 behind entry 11"),
        ([12], 12, "entry 12 behind entry 10"),
        ([11], 12, "it ends at entry 11, not 12"),
    ],
)
def test_what_is_no_increment_is_damaged_though_its_digest_is_right(
    tmp_path: Path, indexes: list[int], end: int, words: str
) -> None:
    """As somebody else may make one."""
    path = tmp_path / "1.inc"
    blob = page(*map(entry, indexes))
    content = b"RINC" + struct.pack("<IQQQII", 2, 10, 2, 0, len(blob), crc32c(blob)) + blob
    content += struct.pack("<IQQ", 0, end, 3)
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(BackupDamaged, match=words):
        list(entries_of(read_backup(path)))


def test_a_file_that_was_cut_after_it_was_checked_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "1.inc"
    made = write_increment(path, BASE, [page(entry(11))])
    path.write_bytes(path.read_bytes()[: -DIGEST_BYTES - 20 + 5])
    with pytest.raises(BackupDamaged, match="ends in the middle of a page"):
        list(entries_of(made))


@pytest.mark.parametrize("count", [0, 4, 12, 24, 47])
def test_what_is_too_short_for_an_increment_is_damaged(tmp_path: Path, count: int) -> None:
    path = tmp_path / "1.inc"
    content = (b"RINC" + struct.pack("<IQQQ", 2, 10, 2, 0) + bytes(20))[: 4 + count]
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(BackupDamaged, match="too short"):
        read_backup(path)


def test_a_full_backup_is_a_store_with_its_digest_or_is_not_kept(tmp_path: Path) -> None:
    home = open_at(tmp_path, "m")
    write(home, 5, b"value")
    file = snapshot_of(home, tmp_path / "copy.mdb")
    close(home)
    content = (tmp_path / "copy.mdb").read_bytes()
    digest = hashlib.sha256(content).digest()
    path = tmp_path / "full.db"
    made = write_checked(path, [content[:100], content[100:], digest])
    assert (made.is_full, made.index, made.term) == (True, file.index, file.term)
    path.unlink()
    for blobs in ([content], [content, digest[:-1]], [digest], []):
        with pytest.raises(BackupDamaged):
            write_checked(path, blobs)
        assert not path.exists()
    path.write_bytes(b"an older one")
    with pytest.raises(BackupDamaged):
        write_checked(path, [content])
    assert path.read_bytes() == b"an older one", "it stays until the new one was read back"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["copy.mdb", "full.db", "m"]


def test_a_snapshot_of_etcds_own_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "etcd.db"
    content = b"bolt" * 5000
    path.write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(BackupDamaged, match="`roost import` takes etcd's snapshots"):
        read_backup(path)
