"""A scrub: whatever changed behind everybody's back is found, and nothing else is a fault."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import StoreBroken, scrub
from roost.store.base import APPLIED_NAME, DIGEST_NAME
from roost.store.base_writer import BaseWriter
from roost.store.catalog import FIRST_TREE_ID
from roost.store.layer import Layer
from tests.store.test_digest import apply_all, open_store

Records = dict[bytes, bytes]


def filled(directory: Path) -> Path:
    store = open_store(directory)
    dice = random.Random(1)
    apply_all(store, [("put", b"%04d" % it, dice.randbytes(100)) for it in range(400)], 50)
    store.close()
    return directory / "data.mdb"


def test_a_scrub_finds_a_flipped_bit_in_any_value(tmp_path: Path) -> None:
    path = filled(tmp_path / "db")
    assert scrub(path.parent).fault == ""
    values = [value_of(path.parent, b"%04d" % it) for it in range(0, 400, 37)]
    whole = path.read_bytes()
    for value in values:
        changed = value[:50] + bytes([value[50] ^ 8]) + value[51:]
        path.write_bytes(whole.replace(value, changed))
        assert "has changed" in scrub(path.parent).fault
    path.write_bytes(whole)
    assert scrub(path.parent).fault == ""


def value_of(directory: Path, key: bytes) -> bytes:
    store = open_store(directory)
    value = store.view.get(store.tree("one").id, key)
    store.close()
    assert value is not None
    return value


def test_a_scrub_finds_a_record_that_is_gone(tmp_path: Path) -> None:
    """Its checksum went with it; the digest of all has not."""
    path = filled(tmp_path / "db")
    env = lmdb.open(str(path.parent), map_size=1 << 30)
    with env.begin(write=True) as txn:
        assert txn.delete(FIRST_TREE_ID.to_bytes(2, "big") + b"0123")
    env.close()
    assert "is not the digest" in scrub(path.parent).fault


def test_what_was_read_is_counted_up_to_where_the_store_is(tmp_path: Path) -> None:
    path = filled(tmp_path / "db")
    report = scrub(path.parent)
    env = lmdb.open(str(path.parent), map_size=1 << 30)
    with env.begin() as txn:
        held = list(txn.cursor())
    env.close()
    assert report.record_count == len(held)
    assert report.value_bytes == sum(len(sealed) for _, sealed in held)
    store = open_store(path.parent)
    assert report.index == store.applied_index
    store.close()


def test_a_store_of_which_nothing_was_written_is_whole(tmp_path: Path) -> None:
    BaseWriter(tmp_path).close()
    report = scrub(tmp_path)
    assert (report.fault, report.record_count, report.index) == ("", 0, 0)


def _swapped(held: Records, one: bytes, other: bytes) -> Records:
    return {**held, one: held[other], other: held[one]}


def _without(held: Records, one: bytes, _other: bytes) -> Records:
    return {name: sealed for name, sealed in held.items() if name != one}


def _cut(held: Records, one: bytes, _other: bytes) -> Records:
    return {**held, one: held[one][:-1]}


def _copied(held: Records, one: bytes, _other: bytes) -> Records:
    return {**held, one + b"x": held[one]}


@pytest.mark.parametrize("change", [_swapped, _without, _cut, _copied])
@given(places=st.tuples(st.integers(0, 19), st.integers(1, 19)))
def test_whatever_is_done_to_one_record_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    change: Callable[[Records, bytes, bytes], Records],
    places: tuple[int, int],
) -> None:
    """The model is a dictionary of all there is: it was changed, so there is a fault."""
    directory = tmp_path_factory.mktemp("db")
    writer = BaseWriter(directory, is_synced=False)
    layer = Layer()
    for number in range(20):
        layer.put(FIRST_TREE_ID, b"%02d" % number, b"value %d" % number)
    writer.commit(layer, 1, 1)
    writer.close()
    assert scrub(directory).fault == ""
    env = lmdb.open(str(directory), map_size=1 << 20, sync=False)
    with env.begin(write=True) as txn:
        held = dict(txn.cursor())
        own = sorted(it for it in held if it not in (APPLIED_NAME, DIGEST_NAME))
        one = own[places[0] % len(own)]
        other = own[(places[0] + places[1]) % len(own)]
        changed = change(held, one, other)
        for name in held.keys() - changed.keys():
            txn.delete(name)
        for name, sealed in changed.items():
            txn.put(name, sealed)
    env.close()
    assert (scrub(directory).fault == "") is (changed == held)


def test_a_store_that_cannot_be_opened_is_broken_and_not_damaged(tmp_path: Path) -> None:
    """Else a member would fetch a peer's store because it may not read its own."""
    path = filled(tmp_path / "db")
    moved = path.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreBroken):
        scrub(path.parent)
    moved.rename(path)
    assert scrub(path.parent).fault == ""


def test_the_process_prints_one_line_and_is_as_nice_as_it_is_told(tmp_path: Path) -> None:
    path = filled(tmp_path / "db")
    code = (
        "import os, sys; from roost.store.scrub import main; main(); "
        "print(os.nice(0), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path.parent), "3"],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["record_count"] > 400
    assert int(done.stderr) == min(19, os.nice(0) + 3)


def test_the_process_that_cannot_read_says_why_and_prints_nothing(tmp_path: Path) -> None:
    code = "from roost.store.scrub import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "none"), "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the store was not read" in done.stderr
