"""Where counters lie: one for all kinds of trees; damage is found; how much room they take."""

import stat
from pathlib import Path

import pytest

from roost.counters import reading
from roost.counters.changing import increment
from roost.counters.environment import DIRECTORY, TREES, LmdbTrees, MemoryTrees, Trees, seal
from roost.counters.errors import CounterStoreCorrupt, CounterStoreError
from roost.counters.logged import LoggedTrees
from tests.counters.stores import make_trees, open_store


@pytest.mark.parametrize("kind", ["memory", "lmdb", "logged"])
def test_all_kinds_of_trees_are_alike(kind: str, tmp_path: Path) -> None:
    trees = make_trees(kind, tmp_path)
    trees.commit({"parts": {b"b": b"2", b"a": b"1", b"c": b"3"}, "heard": {b"x": b""}})
    trees.refresh()
    assert trees.get("parts", b"a") == b"1"
    assert trees.get("heard", b"x") == b""
    assert trees.get("parts", b"x") is None
    assert list(trees.scan("parts", b"b", None)) == [(b"b", b"2"), (b"c", b"3")]
    assert list(trees.scan("parts", b"", b"c")) == [(b"a", b"1"), (b"b", b"2")]
    trees.commit({"parts": {b"b": None, b"none": None, b"c": b"4"}, "changed": {b"2": b"x"}})
    trees.commit({"changed": {b"1": b"y"}})
    trees.refresh()
    assert list(trees.scan("parts", b"", None)) == [(b"a", b"1"), (b"c", b"4")]
    assert list(trees.scan("changed", b"", None)) == [(b"1", b"y"), (b"2", b"x")]
    assert [trees.count(it) for it in TREES[:4]] == [2, 0, 2, 1]
    trees.close()


def test_reads_see_one_commit_until_they_are_told_to_look_again(tmp_path: Path) -> None:
    trees = LmdbTrees(tmp_path)
    trees.commit({"parts": {b"a": b"1"}})
    assert trees.get("parts", b"a") is None
    trees.refresh()
    trees.commit({"parts": {b"a": b"2"}})
    assert trees.get("parts", b"a") == b"1"
    trees.close()


def test_files_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "member" / DIRECTORY
    LoggedTrees(directory).close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(it.stat().st_mode) for it in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("tree", [it for it in TREES if it != "changed"])
def test_a_value_that_has_changed_is_never_handed_out(tree: str, tmp_path: Path) -> None:
    trees = LmdbTrees(tmp_path)
    sealed = seal(tree, b"key", b"value")
    for damaged in (sealed[:-1] + b"x", sealed[:4] + b"valu", b"", sealed[:3], b"x" + sealed[1:]):
        with trees._environment.begin(write=True) as txn:
            txn.put(b"key", damaged, db=trees._handles[tree])
        trees.refresh()
        with pytest.raises(CounterStoreCorrupt):
            trees.get(tree, b"key")
        with pytest.raises(CounterStoreCorrupt):
            list(trees.scan(tree, b"", None))
    trees.close()


def test_a_version_that_leads_nowhere_is_found_when_it_is_to_be_told() -> None:
    from roost.counters import sending

    trees = MemoryTrees()
    store = open_store(trees=trees)
    increment(store, [("a", 1), ("b", 1)])
    store.perform()
    for value in (b"pb", b"pz", b"ta"):
        trees.commit({"changed": {(1).to_bytes(8, "big"): value}})
        with pytest.raises(CounterStoreCorrupt):
            sending.changes_after(store, 0)


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no environment" * 1000)
    with pytest.raises(CounterStoreError):
        LmdbTrees(tmp_path)


def fill(trees: Trees, count: int, owners: int) -> None:
    """So many counters, in no order, each counted by each owner, with names as in a web shop."""
    import random

    from roost.counters import messages, receiving, sending

    store = open_store(1, trees)
    names = [f"users/{it:06}/visits" for it in range(count)]
    for number in range(owners):
        random.Random(number).shuffle(names)
        source = store if number == 0 else open_store(number + 1)
        for at in range(0, count, 1000):
            increment(source, [(it, 1 + number * 37) for it in names[at : at + 1000]])
            source.perform()
        position = 0
        while source is not store and (told := sending.changes_after(source, position)):
            message = messages.decode(messages.encode(told))
            assert isinstance(message, messages.Changes)
            position = receiving.receive_changes(store, message).position
            store.perform()


@pytest.mark.parametrize(("owners", "bytes_max"), [(1, 4096 / 40), (3, 4096 / 30)])
def test_a_counter_takes_a_fortieth_of_a_page(
    tmp_path: Path, owners: int, bytes_max: float
) -> None:
    trees = LmdbTrees(tmp_path)
    fill(trees, 20_000, owners)
    used = trees.bytes_used() / 20_000
    parts = sum(len(value) + 4 for _key, value in trees.scan("parts", b"", None)) / 20_000
    print(f"{owners} owners: {used:.0f} bytes a counter, {parts:.0f} of them its parts")  # noqa: T201 - the figure is what people ask for
    assert parts / owners <= 40
    assert used < bytes_max
    trees.close()


def test_listing_a_page_reads_that_page_only() -> None:
    trees = MemoryTrees()
    fill(trees, 3000, 1)
    store = open_store(1, trees)
    page = reading.search(store, "users/0010", limit=7)
    assert [name for name, _value in page.rows] == [
        f"users/{it:06}/visits" for it in range(1000, 1007)
    ]
    assert page.after == "users/001006/visits"
