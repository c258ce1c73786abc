"""Trees with a log of steps: as those in memory, also after a power cut at any place."""

import os
import random
import shutil
from collections.abc import Iterator
from errno import EDQUOT, EIO, ENOSPC
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from roost.counters import logged, step_log
from roost.counters.changing import increment
from roost.counters.environment import TREES, LmdbTrees, MemoryTrees, Trees, Writes
from roost.counters.errors import CounterStoreCorrupt, CounterStoreError, CounterStoreFull
from roost.counters.logged import LAYER_ROWS_MAX, STEP_ROWS_MAX, LoggedTrees
from roost.counters.step_log import NAME
from tests.counters.stores import open_store

Dump = dict[str, list[tuple[bytes, bytes]]]
# A log of so few bytes begins again every few steps.
SMALL_LOG = 512
SECTOR = 512
META_PAGES_BYTES = 2 * 4096


def dump(trees: Trees) -> Dump:
    """All that a store can see; what the trees keep for themselves is left out."""
    found = {it: list(trees.scan(it, b"", None)) for it in TREES}
    found["meta"] = [it for it in found["meta"] if it[0] not in (b"steps", b"marked")]
    return found


def some_writes(dice: random.Random) -> Writes:
    """Rows that come, change and go."""
    found: dict[str, dict[bytes, bytes | None]] = {}
    for tree in dice.sample(TREES, 3):
        keys = [b"%03d" % dice.randrange(40) for _it in range(dice.choice((1, 1, 2, 9)))]
        found[tree] = {it: dice.choice((None, b"", dice.randbytes(9))) for it in keys}
    return found


@pytest.mark.parametrize("seed", range(2))
def test_they_are_as_trees_in_memory_are(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    model = MemoryTrees()
    trees = LoggedTrees(tmp_path, log_bytes=SMALL_LOG)
    for _step in range(40):
        for _it in range(dice.choice((1, 1, 2))):
            writes = some_writes(dice)
            trees.commit(writes)
            model.commit(writes)
        trees.refresh()
        if dice.randrange(8) == 0:
            trees.close()
            trees = LoggedTrees(tmp_path)
        tree = dice.choice(TREES[:7])
        first, stop = sorted(b"%03d" % dice.randrange(45) for _it in range(2))
        assert list(trees.scan(tree, first, stop)) == list(model.scan(tree, first, stop))
        assert trees.count(tree) == model.count(tree)
        assert trees.get(tree, first) == model.get(tree, first)
    assert dump(trees) == dump(model)
    trees.close()


def test_reads_see_one_commit_until_they_are_told_to_look_again(tmp_path: Path) -> None:
    trees = LoggedTrees(tmp_path)
    for value in (b"1", b"2", b"3"):  # by LMDB, by the log, by the log
        before = trees.get("parts", b"a")
        trees.commit({"parts": {b"a": value}})
        assert trees.get("parts", b"a") == before
        trees.refresh()
        assert trees.get("parts", b"a") == value
    trees.close()


def copies(directory: Path, of: Path) -> Path:
    shutil.copytree(of, directory, ignore=shutil.ignore_patterns("lock.mdb"))
    return directory


def states_between(before: Path, after: Path, scratch: Path) -> Iterator[Path]:
    """What a power cut may leave of one commit that was on its way."""
    old, new = (before / NAME).read_bytes(), (after / NAME).read_bytes()
    sectors = [at for at in range(0, len(new), SECTOR) if old[at:][:SECTOR] != new[at:][:SECTOR]]
    assert len(sectors) <= 4
    for chosen in range(1 << len(sectors)):
        data = bytearray(old)
        for bit, at in enumerate(sectors):
            if chosen >> bit & 1:
                data[at : at + SECTOR] = new[at : at + SECTOR]
        state = copies(scratch / f"sectors-{chosen}", before)
        (state / NAME).write_bytes(data)
        yield state
    old, new = (before / "data.mdb").read_bytes(), (after / "data.mdb").read_bytes()
    if old != new:
        # Pages are written before the page that says which of them count.
        for share in (0.3, 1.0):
            end = META_PAGES_BYTES + int(share * (len(new) - META_PAGES_BYTES)) // 4096 * 4096
            state = copies(scratch / f"pages-{share}", before)
            (state / "data.mdb").write_bytes(
                old[:META_PAGES_BYTES] + new[META_PAGES_BYTES:end] + old[end:]
            )
            yield state


@pytest.mark.parametrize("seed", range(2))
def test_after_a_power_cut_there_is_what_was_acknowledged(seed: int, tmp_path: Path) -> None:
    """And maybe the step that was on its way, as a whole."""
    dice = random.Random(seed)
    trees = LoggedTrees(tmp_path / "live", log_bytes=SMALL_LOG)
    trees.commit(some_writes(dice))
    trees.refresh()
    seen = {"sectors": 0, "pages": 0}
    for step in range(10):
        scratch = tmp_path / str(step)
        before, sure = copies(scratch / "before", tmp_path / "live"), dump(trees)
        trees.commit(some_writes(dice))
        trees.refresh()
        after, maybe = copies(scratch / "after", tmp_path / "live"), dump(trees)
        for state in states_between(before, after, scratch):
            seen[state.name.split("-")[0]] += 1
            found = LoggedTrees(state)
            assert dump(found) in (sure, maybe), f"step {step}, {state.name}"
            again = found.count("parts"), dump(found)
            # What was found is durable with the first step that is answered, and stays.
            found.commit({"meta": {b"x": b"y"}})
            found.close()
            found = LoggedTrees(state)
            assert found.get("meta", b"x") == b"y"
            assert (found.count("parts"), dump(found) | {"meta": again[1]["meta"]}) == again
            found.close()
    trees.close()
    assert min(seen.values()) > 2, "both kinds of commits were cut"


def is_in_the_log(directory: Path, value: bytes) -> bool:
    return value in (directory / NAME).read_bytes()


def test_large_steps_and_many_go_to_lmdb(tmp_path: Path) -> None:
    trees = LoggedTrees(tmp_path)
    trees.commit({"meta": {b"first": b"goes below"}})
    trees.refresh()
    many = {b"%08d" % it: b"many" for it in range(STEP_ROWS_MAX + 1)}
    trees.commit({"parts": dict(many)})
    trees.refresh()
    trees.commit({"parts": {b"a": bytes(logged.STEP_BYTES_MAX) + b"long"}})
    trees.refresh()
    assert not any(is_in_the_log(tmp_path, it) for it in (b"below", b"many", b"long"))
    for at in range(0, LAYER_ROWS_MAX + 1, STEP_ROWS_MAX):
        trees.commit({"heard": {b"%08d" % it: b"%d" % at for it in range(at, at + STEP_ROWS_MAX)}})
        trees.refresh()
    assert is_in_the_log(tmp_path, b"%08d" % (LAYER_ROWS_MAX - 1))
    assert not is_in_the_log(tmp_path, b"%08d" % LAYER_ROWS_MAX)
    assert trees.count("heard") == LAYER_ROWS_MAX + STEP_ROWS_MAX
    trees.close()
    below = LmdbTrees(tmp_path)
    assert below.count("heard") == LAYER_ROWS_MAX + STEP_ROWS_MAX
    below.close()


def test_rows_that_came_and_went_take_no_room(tmp_path: Path) -> None:
    """One counter that is counted for long: LMDB hears of the newest state only."""
    trees = LoggedTrees(tmp_path)
    store = open_store(1, trees)
    for _it in range(300):
        increment(store, [("views", 1)])
        store.perform()
    held = sum(len(it.rows) for it in trees._layer.values())
    assert held < 10
    trees.close()
    again = open_store(1, LoggedTrees(tmp_path))
    assert again.trees.count("changed") == again.trees.count("parts") == 1
    again.close()


def test_a_directory_of_a_version_without_a_log_is_opened(tmp_path: Path) -> None:
    old = open_store(1, LmdbTrees(tmp_path))
    increment(old, [("views", 7)])
    old.perform()
    old.trees.commit({"meta": {b"format": b"1"}})
    old.close()
    store = open_store(2, LoggedTrees(tmp_path))
    assert store.epoch == old.epoch
    increment(store, [("views", 1)])
    store.perform()
    store.close()
    store = open_store(3, LoggedTrees(tmp_path))
    assert increment(store, [("views", 0)]).values == [8]
    assert store.trees.get("meta", b"format") == b"2"
    store.close()


def test_a_step_that_is_no_step_is_damage() -> None:
    for payload in (b"", b"\xc1", b"\x91\x92\x63\x90", b"\x91\x92\x00\x91\x90"):
        with pytest.raises(CounterStoreCorrupt):
            logged._read(payload)


def test_without_its_log_a_directory_is_not_opened(tmp_path: Path) -> None:
    trees = LoggedTrees(tmp_path)
    trees.commit({"parts": {b"a": b"1"}})
    trees.close()
    (tmp_path / NAME).unlink()
    for _it in range(2):  # nothing stays open of the first try
        with pytest.raises(CounterStoreCorrupt, match="is missing"):
            LoggedTrees(tmp_path)


class FailingDevice:
    """Stands for `os` in the log: one of its calls fails, amid what it does."""

    def __init__(self, fail_at: int, number: int) -> None:
        self.calls, self._fail_at, self._number = 0, fail_at, number

    def __getattr__(self, name: str) -> Any:  # of `os`, whatever it is
        return getattr(os, name)

    def _attempt(self) -> None:
        self.calls += 1
        if self.calls == self._fail_at:
            raise OSError(self._number, os.strerror(self._number))

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Of what is not short half is written, whether it fails then or not."""
        written = os.pwrite(descriptor, data[: len(data) // 2] if len(data) > 64 else data, offset)
        self._attempt()
        return written

    def fdatasync(self, descriptor: int) -> None:
        self._attempt()
        os.fdatasync(descriptor)

    def fsync(self, descriptor: int) -> None:
        self._attempt()
        os.fsync(descriptor)


@pytest.mark.parametrize("is_full", [False, True])
def test_whichever_call_of_the_device_fails_there_is_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_full: bool
) -> None:
    """Opened again, in the same process, as a member does where the disk was full."""
    for fail_at in count(1):
        device = FailingDevice(fail_at, (ENOSPC, EDQUOT)[fail_at % 2] if is_full else EIO)
        monkeypatch.setattr(step_log, "os", device)
        directory, wanted = tmp_path / str(fail_at), 0
        trees: LoggedTrees | None = None
        try:
            trees = LoggedTrees(directory, log_bytes=SMALL_LOG)
            for it in range(1, 5):
                trees.commit({"parts": {b"a": b"%d" % it, b"%d" % it: bytes(60)}})
                wanted = it
                trees.refresh()
        except CounterStoreError as error:
            assert isinstance(error, CounterStoreFull) is is_full  # noqa: PT017 - what else is raised is of no kind that is expected
        has_failed = device.calls >= fail_at
        monkeypatch.setattr(step_log, "os", os)
        if trees is not None:
            trees.close()
        found = LoggedTrees(directory)
        newest = int(found.get("parts", b"a") or b"0")
        assert newest in (wanted, wanted + has_failed)
        assert found.count("parts") == newest + bool(newest)
        found.commit({"parts": {b"a": b"end"}})
        found.close()
        found = LoggedTrees(directory)
        assert found.get("parts", b"a") == b"end"
        found.close()
        if not has_failed:
            break
    assert fail_at > 8


def test_an_older_copy_of_the_log_is_found_out_and_the_log_itself_is_not(tmp_path: Path) -> None:
    kept: list[Path] = []
    for opening in range(3):
        trees = LoggedTrees(tmp_path / "live", log_bytes=SMALL_LOG)
        trees.commit({"parts": {b"a": b"to LMDB, as the first of an opening"}})
        trees.refresh()
        # As it is when the power goes now: LMDB has it, and the log has no newer mark.
        LoggedTrees(copies(tmp_path / f"cut {opening}", tmp_path / "live")).close()
        trees.commit({"parts": {b"a": b"to the log, %d" % opening}})
        trees.refresh()
        trees.close()
        kept.append(copies(tmp_path / f"at {opening}", tmp_path / "live"))
    for it in kept:
        LoggedTrees(copies(tmp_path / f"{it.name} again", it)).close()
    newest = kept.pop()
    shutil.copy(kept[0] / NAME, newest / NAME)
    with pytest.raises(CounterStoreCorrupt, match="an older copy"):
        LoggedTrees(newest)


def test_a_log_of_before_there_were_marks_is_opened(tmp_path: Path) -> None:
    trees = LoggedTrees(tmp_path, log_bytes=SMALL_LOG)
    for value in (b"1", b"2"):
        trees.commit({"parts": {b"a": value}})
        trees.refresh()
    trees.close()
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(-16, 2)
        file.write(bytes(16))
    below = LmdbTrees(tmp_path)
    below.commit({"meta": {b"marked": None}})
    below.close()
    for value in (b"2", b"3"):
        trees = LoggedTrees(tmp_path, log_bytes=SMALL_LOG)
        assert trees.get("parts", b"a") == value
        for _ in range(2):
            trees.commit({"parts": {b"a": b"3"}})
            trees.refresh()
        trees.close()


def test_a_log_that_is_ahead_of_what_lies_below_is_damage(tmp_path: Path) -> None:
    """As a copy of a running member's files may have it, one taken after the other."""
    trees = LoggedTrees(tmp_path / "live", log_bytes=SMALL_LOG)
    trees.commit({"parts": {b"a": b"0"}})
    trees.refresh()
    copied = copies(tmp_path / "copied", tmp_path / "live")
    for it in range(40):
        trees.commit({"parts": {b"a": b"%d" % it}})
        trees.refresh()
    trees.close()
    shutil.copy(tmp_path / "live" / NAME, copied / NAME)
    with pytest.raises(CounterStoreCorrupt, match="a newer copy"):
        LoggedTrees(copied)
