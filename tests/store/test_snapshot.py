"""Copies of the base: of one state, whole or not at all, while another process writes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from roost.store import PageCorrupt, StoreCorrupt, scrub
from roost.store.base_writer import BaseWriter
from roost.store.catalog import FIRST_TREE_ID
from roost.store.layer import Layer
from roost.store.snapshot import (
    EXIT_CORRUPT,
    copy_base,
    digest_of,
    make_copy,
    read_applied,
    read_applied_file,
    read_metadata,
)

COPY = "from roost.store.snapshot import main; main()"


def written(writer: BaseWriter, number: int) -> None:
    """All records have the number of their write."""
    layer = Layer()
    for key in range(50):
        layer.put(FIRST_TREE_ID, b"%02d" % key, b"%04d" % number)
    writer.commit(layer, number, 7)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "db"
    path.mkdir()
    writer = BaseWriter(path, is_synced=False)
    for number in (1, 2, 3):
        written(writer, number)
    writer.close()
    return path


def as_store(file: Path) -> Path:
    """To install a copy is to give it a directory."""
    home = file.parent / f"of-{file.name}"
    home.mkdir()
    file.rename(home / "data.mdb")
    return home


def test_a_copy_is_a_store_of_the_same_state_and_says_what_it_is(
    directory: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy"
    made = copy_base(directory, target)
    assert (made.index, made.term) == (3, 7) == read_applied(directory)
    assert made.size_bytes == target.stat().st_size
    assert made.digest == hashlib.blake2b(target.read_bytes(), digest_size=32).hexdigest()
    assert made.digest == digest_of(target)
    assert read_applied_file(target) == (3, 7)
    assert scrub(as_store(target)).fault == ""


def test_a_copy_has_one_state_though_writes_go_on(directory: Path, tmp_path: Path) -> None:
    """Whoever writes in the middle of it is not waited for, and not in it."""
    writer = BaseWriter(directory, is_synced=False)
    env = writer._env
    reading = env.begin()  # as the copy has one

    def copy(descriptor: int) -> None:
        written(writer, 4)
        env.copyfd(descriptor, compact=True, txn=reading)

    target = tmp_path / "copy"
    made = make_copy(target, copy)
    reading.abort()
    writer.close()
    assert made.index == 3
    held = lmdb.open(str(target), subdir=False, readonly=True, lock=False)
    with held.begin() as txn:
        values = {sealed[-4:] for name, sealed in txn.cursor() if len(name) == 4}
    held.close()
    assert values == {b"0003"}
    assert read_applied(directory) == (4, 7)


def test_a_copy_never_takes_the_place_of_a_file(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("data")
    with pytest.raises(FileExistsError):
        copy_base(directory, target)
    assert target.read_text() == "data"


def test_damage_is_copied_to_nobody(directory: Path, tmp_path: Path) -> None:
    env = lmdb.open(str(directory), map_size=1 << 24)
    with env.begin(write=True) as txn:
        name = FIRST_TREE_ID.to_bytes(2, "big") + b"07"
        sealed = txn.get(name)
        assert sealed is not None
        txn.put(name, sealed[:-1] + b"?")
    env.close()
    with pytest.raises(PageCorrupt, match="has changed"):
        copy_base(directory, tmp_path / "copy")
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(directory), str(tmp_path / "again")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_CORRUPT
    assert "has changed" in done.stdout


def test_the_process_prints_what_it_made(directory: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(directory), str(tmp_path / "copy")],
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["index"] == 3
    assert said["digest"] == digest_of(tmp_path / "copy")


def test_a_store_that_moved_meanwhile_is_no_damage(tmp_path: Path) -> None:
    """Else a member would take itself for damaged."""
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(tmp_path / "none"), str(tmp_path / "copy")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "was not copied" in done.stderr


def test_what_no_store_is_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "data.mdb"
    path.write_bytes(b"no store" * 2000)
    with pytest.raises(StoreCorrupt):
        read_metadata(path, b"guid")


def test_a_store_of_which_nothing_was_written_has_applied_nothing(tmp_path: Path) -> None:
    BaseWriter(tmp_path).close()
    assert read_applied(tmp_path) == (0, 0)
