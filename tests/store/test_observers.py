"""Who is told what was applied: by tree, each once, and without decoding where the layer knows."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import Changes, InlineKeeper, Store, StoreConfig, Txn, observers

# A transaction as steps: what is done, in which tree, to which key; "back" undoes from a mark on.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put_same", "put_latest", "delete", "range", "rest", "note", "mark", "back"]
        ),
        st.integers(3, 6),
        st.binary(max_size=2),
    ),
    max_size=20,
)


def make_trees(txn: Txn) -> None:
    for name in ("a", "b", "c"):
        txn.tree(name)


def open_store(path: Path) -> Store:
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(path))
    store.bootstrap(make_trees, guid=uuid.UUID(int=7))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.abandon()


def write(txn: Txn, steps: list[tuple[str, int, bytes]]) -> None:
    """Carry out steps; a put same follows a put, as the format asks."""
    mark, value = txn.savepoint(), b""
    txn.put(2, b"first", value)
    for step, tree, key in steps:
        match step:
            case "put":
                value = key * 2
                txn.put(tree, key, value)
            case "put_same":
                txn.put_same(tree, key, value)
            case "put_latest":
                txn.put_latest(tree, b"latest" + key, key)
            case "delete":
                txn.delete(tree, key)
            case "range":
                txn.delete_range(tree, key, key + b"\xff")
            case "rest":
                txn.delete_range(tree, key)
            case "note":
                txn.annotate(tree, key)
            case "mark":
                mark = txn.savepoint()
            case _:
                txn.rollback(mark)
                mark = txn.savepoint()
                txn.put(2, b"first", value := b"")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store"))
    yield store
    store.abandon()


@given(STEPS)
def test_a_layer_knows_the_trees_of_its_write_set(
    shared: Store, steps: list[tuple[str, int, bytes]]
) -> None:
    """The leader tells its observers by the layer, a follower by what it decoded."""
    txn = shared.begin()
    write(txn, steps)
    assert frozenset(txn.layer.trees) == Changes(txn.encode()).trees


def apply_as_leader(store: Store, txn: Txn) -> None:
    payload = txn.encode()
    store.speculate(store.applied_index + 1, txn, payload)
    store.apply(store.applied_index + 1, payload)


def apply_as_follower(store: Store, txn: Txn) -> None:
    store.apply(store.applied_index + 1, txn.encode())


@pytest.mark.parametrize("apply", [apply_as_leader, apply_as_follower])
def test_an_observer_is_called_for_its_trees_alone(
    store: Store, apply: Callable[[Store, Txn], None]
) -> None:
    a, b, c = (store.tree(name).id for name in "abc")
    called: list[str] = []
    store.observe(lambda _index, _changes: called.append("a or b"), trees=(a, b))
    store.observe(lambda _index, _changes: called.append("everything"))
    store.observe(lambda _index, _changes: called.append("c"), trees=(c,))
    for trees, expected in (
        ((a,), ["a or b", "everything"]),
        ((c, b, a), ["a or b", "everything", "c"]),
        ((c,), ["everything", "c"]),
        ((), ["everything"]),
    ):
        called.clear()
        txn = store.begin()
        txn.annotate(1, b"note")
        for tree in trees:
            txn.put(tree, b"key", b"value")
        apply(store, txn)
        assert called == expected


def test_who_observes_later_is_called_as_well(store: Store) -> None:
    a = store.tree("a").id
    called: list[str] = []

    def note(name: str, _index: int, _changes: Changes) -> None:
        called.append(name)

    for name in ("first", "second", "third"):
        store.observe(partial(note, name), trees=(a,))
        txn = store.begin()
        txn.put(a, b"key", b"value")
        apply_as_follower(store, txn)
    assert called == ["first", "first", "second", "first", "second", "third"]


def test_trees_whose_observers_are_known_are_as_many_as_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "KNOWN_COUNT_MAX", 3)
    called: list[int] = []
    store.observe(lambda index, _changes: called.append(index))
    for tree_id in range(3, 20):
        txn = store.begin()
        txn.put(tree_id, b"key", b"value")
        apply_as_follower(store, txn)
        assert len(store._observers._known) <= 3
    assert len(called) == 17


def test_the_leader_does_not_decode_what_it_wrote(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an observer who looks at the records pays for them."""
    seen: list[Changes] = []
    store.observe(lambda _index, changes: seen.append(changes), trees=(store.tree("a").id,))
    txn = store.begin()
    txn.put(store.tree("a").id, b"key", b"value")
    with monkeypatch.context() as patch:
        patch.delattr("roost.store.write_set.decode")
        apply_as_leader(store, txn)
    assert [key for _, _, key, _ in seen[0].writes] == [b"key"]


def test_an_entry_of_another_leader_at_our_position_is_decoded(store: Store) -> None:
    """What we proposed there names other trees than what was committed."""
    a, b = store.tree("a").id, store.tree("b").id
    seen: list[frozenset[int]] = []
    store.observe(lambda _index, changes: seen.append(changes.trees), trees=(b,))
    ours, theirs = store.begin(), store.begin()
    ours.put(a, b"key", b"ours")
    theirs.put(b, b"key", b"theirs")
    store.speculate(store.applied_index + 1, ours, ours.encode())
    store.apply(store.applied_index + 1, theirs.encode())
    assert seen == [frozenset([b])]
    assert store.view.get(a, b"key") is None
