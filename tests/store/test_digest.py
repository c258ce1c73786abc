"""The state digest: of what is there, and not of how it came."""

import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import InlineKeeper, Store, StoreConfig, Txn, scrub

Step = tuple[str, bytes, bytes]
keys = st.binary(min_size=1, max_size=3) | st.binary(min_size=2, max_size=3).map(
    lambda it: b"L" * 479 + it
)
steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete", "range"]), keys, keys), max_size=40
)


def make_tree(txn: Txn) -> None:
    txn.tree("one")


def open_store(directory: Path) -> Store:
    directory.mkdir(exist_ok=True)
    keeper = InlineKeeper(directory, is_synced=False)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    if store.is_new:
        store.bootstrap(make_tree, guid=uuid.UUID(int=1))
    return store


def apply_all(store: Store, steps: list[Step], flush_every: int) -> None:
    tree = store.tree("one").id
    for number, (kind, key, other) in enumerate(steps):
        txn = store.begin()
        if kind == "put":
            txn.put(tree, key, other)
        elif kind == "delete":
            txn.delete(tree, key)
        else:
            txn.delete_range(tree, min(key, other), max(key, other))
        store.apply(store.applied_index + 1, txn.encode(), 1)
        if number % flush_every == 0:
            store.flush()
    store.flush()


@settings(max_examples=60, deadline=None)
@given(steps)
def test_the_digest_is_of_what_is_there_and_not_of_how_it_came(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    root = tmp_path_factory.mktemp("digest")
    often, seldom, direct = (open_store(root / name) for name in ("often", "seldom", "direct"))
    apply_all(often, steps, 1)
    apply_all(seldom, steps, 1000)
    assert often.durable_digest() == seldom.durable_digest()
    tree = often.tree("one").id
    left = [("put", key, value) for key, value in often.view.iterate(tree)]
    apply_all(direct, left, 7)
    assert direct.durable_digest() == often.durable_digest()
    for store, name in ((often, "often"), (seldom, "seldom"), (direct, "direct")):
        store.close()
        assert scrub(root / name).fault == ""
