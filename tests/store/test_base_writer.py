"""Writing the base: one transaction a layer with its position and digest, or the state before."""

import os
from collections.abc import Iterator, Mapping
from errno import EIO, ENOSPC
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import DiskFull, Layer, StoreBroken
from roost.store.base_writer import BaseWriter
from roost.store.long_keys import LONG_KEY_BYTES

TREE = 7
LONG = b"l" * LONG_KEY_BYTES
KEYS = st.sampled_from([b"a", b"b", b"c", LONG, LONG + b"a", LONG + b"b"])


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[BaseWriter]:
    made = BaseWriter(tmp_path, is_synced=False)
    yield made
    made.close()


def layer_of(rows: Mapping[bytes, bytes | None]) -> Layer:
    layer = Layer()
    for key, value in rows.items():
        layer.put(TREE, key, value)
    return layer


def test_a_layer_and_its_position_are_written_together(writer: BaseWriter) -> None:
    assert writer.applied() == (0, 0)
    writer.commit(layer_of({b"a": b"1"}), 5, 2)
    assert (writer.get(TREE, b"a"), writer.applied()) == (b"1", (5, 2))


@settings(max_examples=60, deadline=None)
@given(commits=st.lists(st.dictionaries(KEYS, st.sampled_from([b"1", b"2", None]), max_size=4)))
def test_the_digest_is_of_what_is_there_and_not_of_how_it_came(
    commits: list[dict[bytes, bytes | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Members that hold the same have the same, whatever was written and deleted on the way."""
    one, other = (BaseWriter(tmp_path_factory.mktemp("base"), is_synced=False) for _ in range(2))
    held: dict[bytes, bytes | None] = {}
    total = b""
    for index, rows in enumerate(commits, 1):
        total = one.commit(layer_of(rows), index, 1)
        held |= rows
    there = {key: value for key, value in held.items() if value is not None}
    assert other.commit(layer_of(there), 9, 9) == (total or other.commit(Layer(), 9, 9))
    cleared = Layer()
    cleared.delete_range(TREE, b"", None)
    assert one.commit(cleared, 99, 1) == bytes(16), "of nothing it is zero"
    one.close()
    other.close()


def test_a_full_map_is_doubled_and_the_same_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J38; who reads in this process is told first, since the map moves."""
    monkeypatch.setattr("roost.store.base.MAP_BYTES_FIRST", 1 << 20)
    writer = BaseWriter(tmp_path, is_synced=False)
    grown: list[int] = []
    writer.on_growing = lambda: grown.append(1)
    rows: dict[bytes, bytes | None] = {b"%d" % it: bytes(1000) for it in range(3000)}
    writer.commit(layer_of(rows), 1, 1)
    assert len(grown) == 2
    assert writer.get(TREE, b"2999") == bytes(1000)
    writer.close()


def test_it_is_said_how_a_large_layer_gets_on_and_what_is_done_again_is_no_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.store.base.MAP_BYTES_FIRST", 2 << 20)
    writer = BaseWriter(tmp_path, is_synced=False)
    events: list[str] = []
    writer.on_growing = lambda: events.append("anew")
    writer.on_progress = lambda: events.append("on")
    rows: dict[bytes, bytes | None] = {b"%04d" % it: bytes(500) for it in range(5000)}
    writer.commit(layer_of(rows), 1, 1)
    assert events.count("on") == 5
    assert "on" in events[: events.index("anew")], "it was said before it had to begin anew"
    events.clear()
    writer.commit(layer_of(dict.fromkeys(list(rows)[:2500])), 2, 1)
    gone = Layer()
    gone.delete_range(TREE, b"", None)
    writer.commit(gone, 3, 1)
    assert events == ["on"] * 4
    assert writer.get(TREE, b"4999") is None
    writer.close()


def space(free_bytes: int, whole_bytes: int = 1 << 40) -> os.statvfs_result:
    """What a file system says of itself."""
    return os.statvfs_result((1, 1, whole_bytes, free_bytes, free_bytes, 0, 0, 0, 0, 255))


@pytest.mark.parametrize(
    ("number", "free_bytes", "whole_bytes", "error"),
    [
        (ENOSPC, 0, 1 << 40, DiskFull),
        (ENOSPC, (64 << 20) - 1, 1 << 40, DiskFull),
        # The device says so, and its file system has room: it is the device that failed (P3).
        (ENOSPC, 64 << 20, 1 << 40, StoreBroken),
        # A sixteenth of a small disk is room as well.
        (ENOSPC, 6 << 20, 96 << 20, StoreBroken),
        (ENOSPC, (6 << 20) - 1, 96 << 20, DiskFull),
        # LMDB calls a short write an I/O error.
        (EIO, (1 << 20) - 1, 1 << 40, DiskFull),
        (EIO, 1 << 20, 1 << 40, StoreBroken),
    ],
)
def test_a_disk_that_is_full_is_told_from_one_that_fails(
    writer: BaseWriter,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    free_bytes: int,
    whole_bytes: int,
    error: type[Exception],
) -> None:
    """The first may be asked again, and the second may not."""

    class Failing:
        def path(self) -> str:
            return "/where it is"

        def begin(self, *, write: bool) -> None:
            assert write
            raise lmdb.Error(f"mdb_txn_commit: {os.strerror(number)}")

    writer.commit(layer_of({b"a": b"1"}), 5, 2)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_env", Failing())
        patch.setattr(os, "statvfs", lambda _path: space(free_bytes, whole_bytes))
        with pytest.raises(error):
            writer.commit(layer_of({b"a": b"2"}), 6, 2)
    assert (writer.get(TREE, b"a"), writer.applied()) == (b"1", (5, 2)), "it is the state before"


def _fill(writer: BaseWriter) -> float:
    """What is there beside what its pages could hold."""
    with writer._env.begin() as txn:
        held = sum(len(key) + len(value) + 10 for key, value in txn.cursor())
    return held / (int(writer._env.stat()["leaf_pages"]) * 4080)


@pytest.mark.parametrize("value_bytes", [0, 20, 100])
def test_rows_that_come_in_order_fill_their_pages(writer: BaseWriter, value_bytes: int) -> None:
    """Issue 16: a page that is split in the middle stays half empty."""
    behind = Layer()
    for number in range(200):
        behind.put(TREE + 1, b"%05d" % number, b"behind it")
    writer.commit(behind, 1, 1)
    rows: dict[bytes, bytes | None] = {}
    for turn in range(4):
        new = {b"%08d" % it: bytes(value_bytes) for it in range(turn * 4000, turn * 4000 + 4000)}
        writer.commit(layer_of(new), turn + 2, 1)
        rows |= new
    assert list(writer.reader().items(TREE, b"", None, reverse=False)) == sorted(rows.items())
    assert _fill(writer) > 0.75


def test_only_short_keys_are_asked_for(writer: BaseWriter) -> None:
    with pytest.raises(AssertionError):
        writer.get(TREE, LONG)
