"""Purging and folding in a store: slices, restarts in between, and what stays."""

import pytest

from roost.counters import messages, reading, receiving, sending, upkeep
from roost.counters.changing import delete, increment
from roost.counters.environment import MemoryTrees
from roost.counters.errors import CounterStoreCorrupt
from roost.counters.messages import Changes, Purpose
from roost.counters.rows import ROWS_MAX
from roost.counters.store import Store
from tests.counters.stores import open_store

FOLD = b"f" * 16


def hand_over(source: Store, target: Store) -> None:
    """Everything that the target lacks, or as much of it as it takes."""
    source.perform()
    number = target.owners.number_of(source.epoch)
    while True:
        position = target.heard[number].version if number in target.heard else 0
        changes = sending.changes_after(source, position)
        if changes is None:
            return
        message = messages.decode(messages.encode(changes))
        assert isinstance(message, Changes)
        receiving.receive_changes(target, message)
        target.perform()


def purge(store: Store, known: dict[bytes, int]) -> int:
    """All slices; how many there were."""
    count, after = 0, b""
    while True:
        count += 1
        found = upkeep.purge_slice(store, known, after).after
        store.perform()
        if found is None:
            return count
        after = found


def test_what_was_deleted_is_gone_after_two_rounds_and_what_counts_stays() -> None:
    one, two = open_store(1), open_store(2)
    increment(one, [(f"n{it}", 1) for it in range(600)])
    hand_over(one, two)
    delete(two, [f"n{it}" for it in range(599)])
    hand_over(two, one)
    for slices in (3, 1):
        known = {one.epoch: one.version, two.epoch: two.version}
        assert purge(one, known) == slices
        hand_over(one, two)
        known = {one.epoch: one.version, two.epoch: two.version}
        purge(one, known)
        purge(two, known)
    for store in (one, two):
        assert store.trees.count("parts") == 1
        assert store.trees.count("tombstones") == 0
        assert reading.search(store).rows == [("n599", 1)]
        assert store.digest(one.epoch) == one.digest(one.epoch)
    assert one.trees.count("changed") == 1
    assert two.trees.count("changed") == 0
    increment(one, [("n1", 7)])
    hand_over(one, two)
    assert reading.read(two, ["n1"]) == [7]


def test_a_report_says_up_to_where_all_was_here_and_not_what_was_passed_over() -> None:
    one, two = open_store(1), open_store(2)
    increment(one, [(f"n{it}", 1) for it in range(1100)])
    one.perform()
    first = sending.changes_after(one, 0)
    assert first is not None
    receiving.receive_changes(two, first)
    two.perform()
    assert two.durable_heard[two.owners.number_of(one.epoch)] == ROWS_MAX
    assert upkeep.report(two).heard[one.epoch] == 0
    hand_over(one, two)
    assert upkeep.report(two).heard == {one.epoch: 1100, two.epoch: 0}
    assert upkeep.report(one).heard == {one.epoch: 1100}


def test_what_somebody_has_not_heard_is_not_purged() -> None:
    one = open_store(1)
    increment(one, [("a", 1)])
    delete(one, ["a"])
    one.perform()
    version = one.version
    assert purge(one, {one.epoch: version - 1}) == 1
    assert one.version == version
    assert one.trees.count("tombstones") == 1


def folding(trees: MemoryTrees) -> tuple[Store, Store]:
    """One that folds another's part of many counters, half of which it has deleted."""
    store, dead = open_store(1, trees), open_store(2)
    increment(dead, [(f"n{it:03}", 10) for it in range(600)])
    hand_over(dead, store)
    increment(store, [("n000", 1), ("n001", 1)])
    delete(store, ["n001", "n002"])
    store.perform()
    return store, dead


def test_a_fold_ends_in_slices_and_goes_on_after_a_restart() -> None:
    trees = MemoryTrees()
    store, dead = folding(trees)
    upkeep.begin_fold(store, FOLD, [dead.epoch])
    assert upkeep.durable_folds(store) == frozenset()
    store.perform()
    assert upkeep.durable_folds(store) == {FOLD}
    before = reading.search(store).rows
    slices = 1
    while not upkeep.end_fold_slice(store, FOLD):
        store.perform()
        assert reading.search(store).rows == before
        store = open_store(3, trees)
        assert upkeep.durable_folds(store) == {FOLD}
        slices += 1
    store.perform()
    assert slices == 3
    assert upkeep.end_fold_slice(store, FOLD)
    assert reading.search(store).rows == before
    assert reading.read(store, ["n000", "n001", "n002", "n003"]) == [11, None, None, 10]
    assert reading.read_raw(store, "n003") == {FOLD: 10}
    assert store.digest(dead.epoch).count == 0
    assert upkeep.durable_ends(store) == {FOLD}
    # What still comes of the dead is not taken twice.
    page = sending.page(dead, Purpose.UNION, b"", [], dead.epoch)
    receiving.receive_page(store, page)
    store.perform()
    assert reading.search(store).rows == before


def test_a_delete_while_a_fold_is_on_its_way_deletes_it() -> None:
    trees = MemoryTrees()
    store, dead = folding(trees)
    other = open_store(4)
    hand_over(dead, other)
    for it in (store, other):
        upkeep.begin_fold(it, FOLD, [dead.epoch])
        it.perform()
    delete(other, ["n003", "n500"])
    assert not upkeep.end_fold_slice(store, FOLD)
    store.perform()
    hand_over(other, store)
    while not upkeep.end_fold_slice(store, FOLD):
        store.perform()
    store.perform()
    assert reading.read(store, ["n003", "n004", "n500", "n501"]) == [None, 10, None, 10]


def test_what_names_the_folded_goes_when_the_fold_has_ended_everywhere() -> None:
    trees = MemoryTrees()
    store, dead = folding(trees)
    upkeep.begin_fold(store, FOLD, [dead.epoch])
    delete(store, ["n003"])
    while not upkeep.end_fold_slice(store, FOLD):
        store.perform()
    purge(store, {store.epoch: store.version})
    assert trees.count("tombstones") == 3
    upkeep.forget_fold(store, FOLD)
    for _round in range(2):
        store.perform()
        purge(store, {store.epoch: store.version})
    # Of what was deleted while there was a fold it says that the fold's part is deleted.
    assert trees.count("tombstones") == 1
    assert reading.read(store, ["n000", "n001", "n002", "n003", "n004"]) == [
        11,
        None,
        None,
        None,
        10,
    ]


def test_owners_that_cannot_be_read_are_found() -> None:
    trees = MemoryTrees()
    open_store(1, trees)
    for tree, key in (("owners", (1).to_bytes(4, "big")), ("heard", (1).to_bytes(4, "big"))):
        copy = trees.copy()
        copy.commit({tree: {key: b"nothing"}})
        with pytest.raises(CounterStoreCorrupt):
            open_store(1, copy)
