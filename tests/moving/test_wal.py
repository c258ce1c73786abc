"""etcd's log: what lies behind an entry is found; a torn end is one, and damage is said to be."""

from pathlib import Path

import pytest
from crc32c import crc32c

from roost.etcd.model.wire import varint
from roost.moving.errors import EtcdFileDamaged
from roost.moving.wal import LogFiles


def number(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value)


def data(tag: int, value: bytes) -> bytes:
    return varint(tag << 3 | 2) + varint(len(value)) + value


def asked(index: int, field: int, *, term: int = 2, body: bytes = b"") -> bytes:
    """An entry that asks for something of InternalRaftRequest."""
    request = data(100, number(1, 7)) + data(field, body)
    return entry(index, request, term=term)


def entry(index: int, body: bytes = b"", *, term: int = 2, kind: int = 0) -> bytes:
    return number(1, kind) + number(2, term) + number(3, index) + data(4, body)


class Log:
    """Files of a log, as etcd writes them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._crc = 0
        self._count = 0
        self._path = root
        self.next_file()

    def next_file(self) -> None:
        self._path = self.root / f"{self._count:016x}-{self._count:016x}.wal"
        self._count += 1
        self._path.touch()
        self._write(number(1, 4) + number(2, self._crc))

    def _write(self, record: bytes) -> None:
        padding = -len(record) % 8
        told = len(record) | (0x80 | padding) << 56 if padding else len(record)
        with self._path.open("ab") as file:
            file.write(told.to_bytes(8, "little") + record + bytes(padding))

    def commit(self, index: int) -> None:
        """Write down how far it is committed."""
        self.add(number(1, 2) + number(3, index), kind=3)

    def add(self, *bodies: bytes, kind: int = 2) -> None:
        for body in bodies:
            self._crc = crc32c(body, self._crc)
            self._write(number(1, kind) + number(2, self._crc) + data(3, body))

    @property
    def path(self) -> Path:
        return self._path


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def indexes(root: Path, index: int) -> list[int]:
    return [it.index for it in LogFiles(root).entries(index)]


def test_what_lies_behind_an_entry_is_found_over_all_files(log: Log) -> None:
    log.add(b"metadata", kind=1)
    log.add(asked(5, 4), asked(6, 5))
    log.commit(6)
    log.next_file()
    log.add(asked(7, 8), entry(8, b"x", kind=1))
    found = list(LogFiles(log.root).entries(4))
    assert [(it.index, it.kind) for it in found] == [(5, 0), (6, 0), (7, 0), (8, 1)]
    assert found[3].data == b"x"
    assert indexes(log.root, 7) == [8]
    assert indexes(log.root, 100) == []


def test_entries_that_are_missing_are_damage(log: Log) -> None:
    log.add(asked(5, 4))
    with pytest.raises(EtcdFileDamaged, match="entry 5 is there, and entry 4 is not"):
        indexes(log.root, 3)
    log.add(number(1, 90) + number(2, 3), kind=5)
    log.add(asked(91, 4))
    assert indexes(log.root, 90) == [91]
    with pytest.raises(EtcdFileDamaged, match="entry 91 is there, and entry 6 is not"):
        indexes(log.root, 4)
    log.add(asked(93, 4))
    with pytest.raises(EtcdFileDamaged, match="entry 93 stands behind entry 91"):
        indexes(log.root, 90)


def test_an_entry_takes_the_place_of_those_that_were_never_committed(log: Log) -> None:
    log.add(asked(5, 4), asked(6, 4), asked(7, 4))
    log.commit(5)
    log.add(entry(6, b"other", term=3))
    assert [(it.index, it.data) for it in LogFiles(log.root).entries(5)] == [(6, b"other")]
    log.commit(6)
    log.add(asked(6, 4, term=4))
    with pytest.raises(EtcdFileDamaged, match="entry 6 is there again, and was committed"):
        indexes(log.root, 4)


def test_what_is_set_aside_for_a_file_is_its_end(log: Log) -> None:
    log.add(asked(1, 4))
    with log.path.open("ab") as file:
        file.write(bytes(64 << 10))
    files = LogFiles(log.root)
    assert [it.index for it in files.entries(0)] == [1]
    assert files.torn_bytes == 0


def test_an_end_that_was_never_written_whole_is_left_out(log: Log) -> None:
    log.add(asked(1, 4))
    begin = log.path.stat().st_size
    log.add(asked(2, 4, body=b"\1" * 3000))
    good = log.path.read_bytes()
    # The file was as long as that: it had no room set aside.
    for size in (begin + 1, begin + 8, begin + 600, len(good) - 1):
        log.path.write_bytes(good[:size])
        files = LogFiles(log.root)
        assert [it.index for it in files.entries(0)] == [1], size
        assert 0 < files.torn_bytes <= size - begin
    # It had, and some of the sectors did not come to the disk.
    for first in range(512, 3000, 512):
        torn = good[:first] + bytes(512) + good[first + 512 :] + bytes(4096)
        log.path.write_bytes(torn)
        files = LogFiles(log.root)
        assert [it.index for it in files.entries(0)] == [1], first
        assert files.torn_bytes > 0


def test_a_sector_that_is_gone_with_records_behind_it_is_damage(log: Log) -> None:
    log.add(asked(1, 4), asked(2, 4, body=b"\1" * 3000), asked(3, 4))
    good = log.path.read_bytes()
    log.path.write_bytes(good[:1024] + bytes(512) + good[1536:] + bytes(4096))
    with pytest.raises(EtcdFileDamaged, match="not the end of the log that was cut off"):
        indexes(log.root, 0)


def test_a_torn_end_of_a_file_that_is_not_the_newest_is_damage(log: Log) -> None:
    log.add(asked(1, 4), asked(2, 4))
    log.path.write_bytes(log.path.read_bytes()[:-3])
    log.next_file()
    with pytest.raises(EtcdFileDamaged, match="is not what was written"):
        indexes(log.root, 0)


def test_a_record_that_has_changed_is_damage(log: Log) -> None:
    log.add(asked(1, 4))
    begin = log.path.stat().st_size
    log.add(asked(2, 4))
    end = log.path.stat().st_size
    log.add(asked(3, 4))
    good = log.path.read_bytes()
    said = list(LogFiles(log.root).entries(0))
    refused = 0
    for position in range(begin, end):
        for bit in (1, 16, 128):
            changed = bytearray(good)
            changed[position] ^= bit
            log.path.write_bytes(changed + bytes(4096))
            try:
                # How many bytes of padding there are, where there are none, is nothing.
                assert list(LogFiles(log.root).entries(0)) == said, position
            except EtcdFileDamaged:
                refused += 1
    assert refused > 2 * (end - begin)


def test_files_that_do_not_follow_each_other_are_damage(log: Log, tmp_path: Path) -> None:
    log.add(asked(1, 4))
    log.next_file()
    log.add(asked(2, 4))
    other = tmp_path / "other"
    other.mkdir()
    theirs = Log(other)
    theirs.add(asked(1, 5))
    first = min(tmp_path.glob("*.wal"))
    first.write_bytes(theirs.path.read_bytes())
    with pytest.raises(EtcdFileDamaged, match="does not follow"):
        indexes(tmp_path, 0)
