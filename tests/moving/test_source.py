"""Where etcd's data is: what is taken, what is refused, and with which next step."""

import fcntl
from pathlib import Path

import pytest

from roost.moving import EtcdFileDamaged, EtcdFileRefused, is_etcd_file, look_at, open_etcd
from roost.moving.backend import CONSISTENT_INDEX, META
from tests.moving.files import everything, save
from tests.moving.test_v2_snapshot import save_snapshot
from tests.moving.test_wal import Log, asked


def directory(root: Path, index: int = 40) -> Path:
    """The directory of a member whose store ends at entry `index`."""
    (root / "member" / "snap").mkdir(parents=True)
    (root / "member" / "wal").mkdir()
    rows = {**everything(), META: [(CONSISTENT_INDEX, index.to_bytes(8, "big"))]}
    save(root / "member" / "snap" / "db", rows, has_digest=False)
    return root


def test_a_snapshot_is_taken_with_its_digest(tmp_path: Path) -> None:
    file = save(tmp_path / "etcd.db", everything())
    with open_etcd(file) as held:
        assert held.backend.compacted == 3
        assert held.size_bytes == file.stat().st_size
    told = look_at(file)
    assert (told.revision, told.compacted, told.history_count) == (6, 3, 6)
    assert is_etcd_file(file)


def test_a_file_that_has_changed_anywhere_is_damaged_and_says_so(tmp_path: Path) -> None:
    file = save(tmp_path / "etcd.db", everything())
    good = file.read_bytes()
    for at in (30, 5000, len(good) - 33, len(good) - 1):
        changed = bytearray(good)
        changed[at] ^= 1
        file.write_bytes(changed)
        with pytest.raises(EtcdFileDamaged, match=r"etcd\.db: the digest at its end"):
            look_at(file)


def test_a_store_without_a_digest_is_taken_by_those_who_say_so(tmp_path: Path) -> None:
    file = save(tmp_path / "db", everything(), has_digest=False)
    with pytest.raises(EtcdFileRefused, match="--skip-hash-check"), open_etcd(file):
        pass
    with open_etcd(file, is_hash_checked=False) as held:
        assert held.backend.compacted == 3


def test_what_is_none_of_it_is_refused(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.touch()
    other.write_bytes(bytes(10_000))
    for path, words in (
        (empty, "is empty"),
        (other, "no file of bbolt's"),
        (tmp_path, "db is not there"),
    ):
        with pytest.raises(EtcdFileRefused, match=words), open_etcd(path):
            pass
    assert not is_etcd_file(empty)
    assert not is_etcd_file(other)


def test_a_directory_is_taken_with_its_log_and_both_tell_it_from_others(tmp_path: Path) -> None:
    root = directory(tmp_path / "etcd")
    log = Log(root / "member" / "wal")
    log.add(asked(39, 4), asked(40, 5))
    digests = set[str]()
    for index in (41, 42):
        log.add(asked(index, 4))
        for path in (root, root / "member"):
            with open_etcd(path) as held:
                assert held.backend.consistent_index == 40
                assert held.log is not None
                assert held.log.snapshot is None
                assert [it.index for it in held.log.files().entries(40)][-1] == index
                digests.add(held.digest)
    assert len(digests) == 2


def test_a_directory_whose_store_is_not_the_newest_is_refused(tmp_path: Path) -> None:
    root = directory(tmp_path / "etcd")
    Log(root / "member" / "wal")
    save_snapshot(root / "member" / "snap", 40)
    with open_etcd(root) as held:
        assert held.log is not None
        assert held.log.snapshot is not None
        assert held.log.snapshot.index == 40
    save_snapshot(root / "member" / "snap", 41)
    with pytest.raises(EtcdFileRefused, match="goes up to 41"), open_etcd(root):
        pass


def test_a_directory_without_its_log_or_in_use_is_refused(tmp_path: Path) -> None:
    root = directory(tmp_path / "etcd")
    (root / "member" / "wal").rmdir()
    with pytest.raises(EtcdFileRefused, match="--wal-dir"), open_etcd(root):
        pass
    (root / "member" / "wal").mkdir()
    with (root / "member" / "snap" / "db").open("rb") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        with pytest.raises(EtcdFileRefused, match="in use"), open_etcd(root):
            pass
