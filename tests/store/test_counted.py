"""How many keys the ranges of a tree have, kept as entries are applied; held against counting."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import Layer, Store, Txn, View
from roost.store import counted as module
from roost.store.counted import Counted
from tests.store.test_store import commit, open_store

KEYS = [b"%02d" % it for it in range(12)]
WHAT = st.sampled_from(["put", "put", "delete", "range", "go on"])


class Counting:
    """A store of which one tree is counted, and how often somebody was told of work."""

    def __init__(self, directory: Path) -> None:
        self.store: Store = open_store(directory)
        self.tree = self.store.tree("one").id
        self.work: list[int] = []
        self.counted: Counted = self.store.count_keys(self.tree, newness, self.growth)
        self.counted.on_work = lambda: self.work.append(1)

    def growth(self, view: View, written: Layer) -> int:
        """By looking each up, as somebody would who does not know better."""
        before = {key for key, _ in view.iterate(self.tree)}
        after = {key for key, _ in view.under(written).iterate(self.tree)}
        return len(after) - len(before)

    def build(self) -> None:
        """Let it be counted, all of it."""
        while not self.counted.is_done:
            self.counted.go_on()

    def write(self, puts: list[bytes], deletes: list[bytes]) -> None:
        def act(txn: object) -> None:
            for key in puts:
                txn.put(self.tree, key, b"v")  # type: ignore[attr-defined]  # a transaction
            for key in deletes:
                txn.delete(self.tree, key)  # type: ignore[attr-defined]  # a transaction

        commit(self.store, act)

    def really(self, first: bytes, stop: bytes | None) -> int:
        return len(list(self.store.view.iterate(self.tree, first, stop)))

    def check(self) -> None:
        for first in (b"", *KEYS):
            for stop in (*KEYS, None):
                known = self.counted.known(first, stop)
                assert known is None or known == self.really(first, stop)


def newness(_view: View) -> Callable[[bytes], bool]:
    """Any value may be of a key that was not there."""
    return lambda _value: True


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(
        st.tuples(WHAT, st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True)),
        max_size=12,
    ),
    many=st.sampled_from([3, 2000]),
)
def test_what_is_known_is_what_counting_says(
    actions: list[tuple[str, list[bytes]]], many: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MANY", many)
        patch.setattr("roost.store.census.BLOCK_COUNT_MAX", 4)
        it = Counting(tmp_path_factory.mktemp("store"))
        for what, keys in actions:
            if what == "put":
                it.write(keys, [])
            elif what == "delete":
                it.write([], keys)
            elif what == "range":
                commit(it.store, lambda txn: txn.delete_range(it.tree, min(keys), max(keys)))  # noqa: B023 - run at once
            elif not it.counted.is_done:
                it.counted.go_on()
            it.check()
        it.build()
        it.check()
        assert it.counted.known(b"", None) == it.really(b"", None), "built, it is always known"
        it.store.abandon()


def test_nothing_is_known_before_it_was_counted_and_too_many_ranges_are_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RANGES_MAX", 1)
    it = Counting(tmp_path)
    it.write(KEYS, [])
    assert it.counted.known(b"", None) is None
    it.build()
    assert it.counted.known(b"", None) == len(KEYS)
    commit(it.store, lambda txn: txn.delete_range(it.tree, KEYS[2], KEYS[5]))
    is_done = [it.counted.is_done]
    assert it.counted.known(b"", None) == len(KEYS) - 3

    def delete_two(txn: Txn) -> None:
        txn.delete_range(it.tree, KEYS[6], KEYS[7])
        txn.delete_range(it.tree, KEYS[8], None)

    commit(it.store, delete_two)
    is_done.append(it.counted.is_done)
    assert is_done == [True, False], "what one took is known; of so many it would be too long"
    assert it.work == [1], "and whoever goes on is told, once"
    it.build()
    it.check()
    assert it.counted.known(b"", None) == len(KEYS) - 8
    it.store.abandon()


def test_keys_of_many_bytes_are_not_looked_up_in_one_step(tmp_path: Path) -> None:
    it = Counting(tmp_path)
    long = [bytes([place]) * 400_000 for place in range(1, 4)]
    is_done = []
    it.write([*KEYS, *long], [])
    it.build()
    it.write([], long[:2])
    is_done.append(it.counted.is_done)
    it.write([KEYS[0]], [long[2]])
    is_done.append(it.counted.is_done)
    it.write(long, [])
    it.build()
    it.write([], long)
    is_done.append(it.counted.is_done)
    assert is_done == [True, True, False], "two of them are looked up; three would be too long"
    it.build()
    assert it.counted.known(b"", None) == len(KEYS)


def test_keys_of_many_bytes_are_counted_in_parts(tmp_path: Path) -> None:
    """Issue 14: a block was so many keys of any length, a quarter of a gigabyte in one step."""
    it = Counting(tmp_path)
    long = [bytes([place]) * 600_000 for place in range(1, 9)]
    it.write(long, [])
    it.store.flush()
    it.store._keeper.wait()
    step_count = 0
    while not it.counted.is_done:
        it.counted.go_on()
        step_count += 1
    assert step_count >= 4, "two of them are a megabyte"
    assert it.counted.known(b"", None) == len(long)
    assert it.counted.known(b"", long[6]) is None, "that is counted by whoever asks, in slices"


def test_a_range_whose_end_lies_among_very_many_that_are_gone_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PASSED_MAX", 2)
    it = Counting(tmp_path)
    it.write(KEYS, [])
    it.build()
    it.write([], KEYS[4:9])
    it.build()
    commit(it.store, lambda txn: txn.delete_range(it.tree, KEYS[2], KEYS[9]))
    assert caplog.text == "", "that is no miscount"
    it.store.flush()
    it.store._keeper.wait()  # what is gone is passed no more
    it.build()
    it.check()
    assert it.counted.known(b"", None) == 5
    it.store.abandon()


def test_very_many_that_all_were_there_and_go_are_not_looked_up_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a lease of a hundred thousand keys ends."""
    monkeypatch.setattr(module, "_MANY", 5)
    it = Counting(tmp_path)
    it.write(KEYS, [])
    it.build()
    it.write([b"new"], KEYS[:8])
    is_done = [it.counted.is_done]
    assert it.counted.known(b"", None) == len(KEYS) - 7
    it.write([], [*KEYS[:6], *KEYS[8:9]])
    is_done.append(it.counted.is_done)
    assert is_done == [True, False], "some were not there: what is left is counted anew"
    assert caplog.text == "", "and that is no miscount"
    it.build()
    it.check()
    it.store.abandon()


def test_a_count_that_was_wrong_costs_a_walk_and_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it = Counting(tmp_path)
    it.write(KEYS[:1], [])
    it.build()
    monkeypatch.setattr(it.counted, "_growth", lambda _view, _written: 0)
    it.write(KEYS[1:3], [])  # not noted: a fault, as it were
    it.write([], KEYS[:3])
    assert "counted anew" in caplog.text
    it.build()
    assert it.counted.known(b"", None) == 0
    it.store.abandon()
