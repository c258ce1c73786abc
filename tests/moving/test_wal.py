"""etcd's log: what lies behind an entry is found; a torn end is one, and damage is said to be."""

from pathlib import Path

import pytest
from crc32c import crc32c

from roost.etcd.model.wire import varint
from roost.moving.errors import EtcdFileDamaged
from roost.moving.wal import Request, requests_behind


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


def test_what_asks_for_a_change_behind_the_store_is_found_over_all_files(log: Log) -> None:
    log.add(b"metadata", kind=1)
    log.add(asked(5, 4), asked(6, 5))
    log.add(number(1, 2) + number(3, 6), kind=3)
    log.next_file()
    log.add(asked(7, 8), asked(8, 1100), entry(9), entry(10, b"x", kind=1), asked(11, 1300))
    found = [Request(6, "delete_range"), Request(7, "lease_grant")]
    found.append(Request(8, "a change of users or roles"))
    assert requests_behind(log.root, 5) == found
    assert requests_behind(log.root, 8) == []
    assert requests_behind(log.root, 100) == []


def test_a_snapshot_of_the_leaders_leaves_a_gap_and_nothing_else_does(log: Log) -> None:
    log.add(asked(1, 4))
    log.add(number(1, 90) + number(2, 3), kind=5)
    log.add(asked(91, 4))
    assert requests_behind(log.root, 1) == [Request(91, "put")]
    log.add(asked(93, 4))
    with pytest.raises(EtcdFileDamaged, match="entry 93 stands behind entry 91"):
        requests_behind(log.root, 1)


def test_an_entry_takes_the_place_of_those_that_were_never_committed(log: Log) -> None:
    log.add(asked(5, 4), asked(6, 4), asked(7, 4))
    log.add(entry(6, term=3))
    assert requests_behind(log.root, 4) == [Request(5, "put")]


def test_requests_of_v2_count_unless_they_are_etcds_own(log: Log) -> None:
    ours = number(1, 7) + data(2, b"PUT") + data(3, b"/1/a")
    own = number(1, 7) + data(2, b"PUT") + data(3, b"/0/members/1/attributes")
    read = number(1, 7) + data(2, b"QGET") + data(3, b"/1/a")
    log.add(entry(1, ours), entry(2, own), entry(3, read))
    log.add(asked(4, 2, body=ours), asked(5, 2, body=own))
    assert requests_behind(log.root, 0) == [Request(1, "v2 PUT"), Request(4, "v2 PUT")]


def test_what_is_set_aside_for_a_file_is_its_end(log: Log) -> None:
    log.add(asked(1, 4))
    with log.path.open("ab") as file:
        file.write(bytes(64 << 10))
    assert requests_behind(log.root, 0) == [Request(1, "put")]


def test_a_record_that_is_not_whole_is_damage_whatever_follows_it(log: Log) -> None:
    log.add(asked(1, 4))
    begin = log.path.stat().st_size
    log.add(asked(2, 4, body=b"\1" * 40))
    end = log.path.stat().st_size
    good = log.path.read_bytes()
    for size in range(begin + 1, end - 1):
        log.path.write_bytes(good[:size] + bytes(4096))
        if good[size:].strip(b"\0"):
            with pytest.raises(EtcdFileDamaged, match="not all of it"):
                requests_behind(log.root, 0)
    log.path.write_bytes(good[: end - 20])
    with pytest.raises(EtcdFileDamaged, match="not all of it"):
        requests_behind(log.root, 0)


def test_a_record_that_has_changed_is_damage(log: Log) -> None:
    log.add(asked(1, 4))
    begin = log.path.stat().st_size
    log.add(asked(2, 4))
    end = log.path.stat().st_size
    log.add(asked(3, 4))
    good = log.path.read_bytes()
    said = requests_behind(log.root, 0)
    for position in range(begin, end):
        changed = bytearray(good)
        changed[position] ^= 1
        log.path.write_bytes(changed + bytes(4096))
        try:
            # How many bytes of padding there are, where there are none, is nothing.
            assert requests_behind(log.root, 0) == said, position
        except EtcdFileDamaged:
            continue
        assert good[position] == 0


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
        requests_behind(tmp_path, 0)
