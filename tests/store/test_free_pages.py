"""Free pages at the end of LMDB's file: what it says of them, and which files it leaves."""

import random
from pathlib import Path

import lmdb
import pytest

from roost.store.errors import PageCorrupt
from roost.store.free_pages import NO_PAGE, are_free
from roost.store.meta import META, META_PAGE_BYTES, META_TRANSACTION, check_file

_FREE_ROOT, _LAST_PAGE = 15, -2
RECORDS = 3000


def newest(data: bytes) -> tuple[int, ...]:
    """What the newer of the first two pages says."""
    size = META.unpack(data[: META.size])[META_PAGE_BYTES]
    both = [META.unpack(data[at : at + META.size]) for at in (0, size)]
    return max(both, key=lambda it: it[META_TRANSACTION])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file whose end is free: records were put behind others, and taken away."""
    dice = random.Random(1)
    with lmdb.open(str(tmp_path), map_size=1 << 26) as env:
        for kind in (b"a", b"b"):
            with env.begin(write=True) as txn:
                for number in range(RECORDS):
                    txn.put(b"%b%05d" % (kind, number), dice.randbytes(dice.choice([20, 9000])))
        with env.begin(write=True) as txn:
            for number in range(RECORDS):
                txn.delete(b"b%05d" % number)
        for number in range(4):  # the list itself moves down
            with env.begin(write=True) as txn:
                txn.put(b"a00000", b"%d" % number)
    return tmp_path / "data.mdb"


def test_a_file_may_end_before_pages_that_are_free_and_before_no_others(path: Path) -> None:
    data = path.read_bytes()
    said = newest(data)
    size, count = said[META_PAGE_BYTES], said[_LAST_PAGE] + 1
    free = count
    while are_free(path, said[_FREE_ROOT], size, range(free - 1, count)):
        free -= 1
    assert 500 < free < count - 5
    for end in (count, count - 1, free + 1, free):
        path.write_bytes(data[: end * size])
        check_file(path)
        copy = lmdb.open(str(path), subdir=False, readonly=True, lock=False)
        with copy, copy.begin() as txn:
            assert sum(1 for _ in txn.cursor()) == RECORDS
    for end in (free - 1, free // 2, 3, 2):
        path.write_bytes(data[: end * size])
        with pytest.raises(PageCorrupt):
            check_file(path)
    path.write_bytes(data[: free * size - 1])
    with pytest.raises(PageCorrupt):
        check_file(path)


def test_a_list_that_is_damaged_is_none(path: Path) -> None:
    data = path.read_bytes()
    said = newest(data)
    size, count, root = said[META_PAGE_BYTES], said[_LAST_PAGE] + 1, said[_FREE_ROOT]
    missing = range(count - 1, count)
    assert are_free(path, root, size, missing)
    assert not are_free(path, NO_PAGE, size, missing)
    assert not are_free(path, 1 << 40, size, missing)
    dice = random.Random(2)
    for _ in range(100):
        changed = bytearray(data[root * size : (root + 1) * size])
        changed[dice.randrange(64)] ^= 1 << dice.randrange(8)
        with path.open("r+b") as file:
            file.seek(root * size)
            file.write(changed)
        assert are_free(path, root, size, missing) in (True, False)
        assert not are_free(path, root, size, range(1 << 40, (1 << 40) + 1))
