"""The store against a dict of dicts, over flushes, crashes and a keeper process."""

import os
import signal
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roost.errors import ShortOfMemory
from roost.store import (
    BadTreeName,
    InlineKeeper,
    Layer,
    Parts,
    ProcessKeeper,
    Store,
    StoreConfig,
    StoreError,
    Txn,
    UnknownTree,
    ValueCorrupt,
    encode_effect,
)
from roost.store.long_keys import LONG_KEY_BYTES
from roost.store.write_set import decode

Model = dict[int, dict[bytes, bytes]]
GUID = uuid.UUID(int=7)
PREFIX = b"p" * (LONG_KEY_BYTES - 1)
KEYS = st.one_of(
    st.binary(max_size=3),
    st.sampled_from([PREFIX, PREFIX + b"a", PREFIX + b"ab", PREFIX + b"b", PREFIX + b"b" * 700]),
)
VALUES = st.binary(max_size=8)
TREES = st.sampled_from(["one", "two"])


def make_trees(txn: Txn) -> None:
    txn.tree("one")
    txn.tree("two")
    txn.tree("latest")


def open_store(path: Path, *, layer_bytes_max: int = 1 << 20) -> Store:
    config = StoreConfig(layer_bytes_max=layer_bytes_max)
    store = Store.open(config=config, keeper=InlineKeeper(path))
    if store.is_new:
        store.bootstrap(make_trees, guid=GUID)
    return store


def commit(store: Store, write: Callable[[Txn], None]) -> None:
    """Propose, speculate and apply, as a leader does."""
    txn = store.begin()
    write(txn)
    index = store.applied_index + 1
    payload = txn.encode()
    store.speculate(index, txn, payload)
    store.apply(index, payload)


def put(store: Store, tree: int, key: bytes, value: bytes) -> None:
    commit(store, lambda txn: txn.put(tree, key, value))


class StoreMachine(RuleBasedStateMachine):
    """Every rule does the same to the store and to dictionaries."""

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        self.store = open_store(self.path)
        self.ids = {name: self.store.tree(name).id for name in ("one", "two", "latest")}
        self.applied: Model = {it: {} for it in self.ids.values()}
        self.proposed: list[tuple[int, bytes, Model]] = []
        self.durable: tuple[int, Model] = (0, self.copy(self.applied))

    def copy(self, model: Model) -> Model:
        return {tree: dict(rows) for tree, rows in model.items()}

    @property
    def newest(self) -> Model:
        return self.proposed[-1][2] if self.proposed else self.applied

    @rule(
        operations=st.lists(
            st.tuples(
                st.sampled_from(["put", "same", "latest", "delete", "range", "from", "undo"]),
                TREES,
                KEYS,
                KEYS,
                VALUES,
            ),
            min_size=1,
            max_size=6,
        )
    )
    def propose(self, operations: list[tuple[str, str, bytes, bytes, bytes]]) -> None:
        model, txn = self.copy(self.newest), self.store.begin()
        txn.put(self.ids["one"], b"always", b"v")
        model[self.ids["one"]][b"always"] = b"v"
        last = b"v"
        for what, name, key, other, value in operations:
            tree = self.ids[name]
            rows = model[tree]
            assert txn.get(tree, key) == rows.get(key)
            if what == "put":
                txn.put(tree, key, value)
                rows[key] = last = value
            elif what == "same":
                txn.put_same(tree, key, last)
                rows[key] = last
            elif what == "latest":  # such keys are never deleted: a tree of their own
                txn.put_latest(self.ids["latest"], key, value)
                model[self.ids["latest"]][key] = value
            elif what == "delete":
                txn.delete(tree, key)
                rows.pop(key, None)
            elif what == "undo":
                mark = txn.savepoint()
                txn.put(tree, key, b"never")
                txn.put_latest(self.ids["latest"], key, b"never")
                txn.delete_range(tree, b"", None)
                txn.rollback(mark)
            else:
                stop = other if what == "range" else None
                txn.delete_range(tree, key, stop)
                for doomed in [k for k in rows if k >= key and (stop is None or k < stop)]:
                    del rows[doomed]
            assert txn.scan(tree) == sorted(rows.items())
        index = self.store.applied_index + len(self.proposed) + 1
        payload = txn.encode()
        self.store.speculate(index, txn, payload)
        self.proposed.append((index, payload, model))

    @rule()
    def apply_oldest(self) -> None:
        if self.proposed:
            index, payload, self.applied = self.proposed.pop(0)
            self.store.apply(index, payload)

    @rule()
    def lose_leadership(self) -> None:
        self.store.drop_speculative()
        self.proposed.clear()

    @rule(name=TREES, key=KEYS, value=VALUES)
    def apply_as_a_follower(self, name: str, key: bytes, value: bytes) -> None:
        self.lose_leadership()
        txn = self.store.begin()
        txn.put(self.ids[name], key, value)
        self.store.apply(self.store.applied_index + 1, txn.encode())
        self.applied = self.copy(self.applied)
        self.applied[self.ids[name]][key] = value

    @rule()
    def move_only_the_index(self) -> None:
        if not self.proposed:
            self.store.apply(self.store.applied_index + 1, b"")

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule(is_clean=st.booleans())
    def reopen(self, *, is_clean: bool) -> None:
        index, durable = self.store.applied_index, self.store.durable_index
        if is_clean:
            self.store.close()
        else:
            self.store.abandon()
        self.store = open_store(self.path)
        self.proposed.clear()
        assert self.store.applied_index in (index, durable)
        if self.store.applied_index != index or not is_clean:
            # Behind a crash the journal would bring the rest; here the model goes back.
            self.applied = {tree: dict(self.store.view.scan(tree)) for tree in self.ids.values()}

    @rule(
        name=TREES,
        first=KEYS,
        stop=st.one_of(st.none(), KEYS),
        is_reverse=st.booleans(),
        limit=st.one_of(st.none(), st.integers(0, 4)),
    )
    def scan(
        self, name: str, first: bytes, stop: bytes | None, limit: int | None, *, is_reverse: bool
    ) -> None:
        tree = self.ids[name]
        for view, model in ((self.store.view, self.applied), (self.store.begin(), self.newest)):
            rows = sorted(
                item
                for item in model[tree].items()
                if item[0] >= first and (stop is None or item[0] < stop)
            )
            assert view.count(tree, first, stop) == len(rows)
            if is_reverse:
                rows.reverse()
            found = view.scan(tree, first, stop, reverse=is_reverse, limit=limit)
            assert found == rows[:limit]

    @invariant()
    def the_applied_view_is_the_model(self) -> None:
        for tree, rows in self.applied.items():
            assert dict(self.store.view.scan(tree)) == rows

    def teardown(self) -> None:
        self.store.abandon()
        self.directory.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_the_store_is_a_dict_of_dicts = pytest.mark.slow(StoreMachine.TestCase)


def test_what_is_new_is_bootstrapped_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.guid == GUID
    assert [it.name for it in store.trees()] == ["$metadata", "$parts", "latest", "one", "two"]
    with pytest.raises(UnknownTree):
        store.tree("three")
    with pytest.raises(BadTreeName):
        store.begin().tree("with space")
    store.close()


def test_a_store_larger_than_its_layers_reads_right(tmp_path: Path) -> None:
    keeper = ProcessKeeper(tmp_path)
    store = Store.open(config=StoreConfig(layer_bytes_max=1 << 20), keeper=keeper)
    store.bootstrap(make_trees, guid=GUID)
    tree = store.tree("one").id
    waited = 0
    for number in range(20_000):
        put(store, tree, b"%08d" % (number * 7919 % 20_000), b"%d" % number * 100)
        if store.is_backed_up:
            waited += 1
            keeper.wait()
            assert not store.is_backed_up
    assert waited > 3
    assert store.statistics().flush_count > 3
    assert store.view.count(tree) == 20_000
    assert store.view.get(tree, b"%08d" % 7919) == b"1" * 100
    store.close()
    again = open_store(tmp_path)
    assert again.view.count(tree) == 20_000
    again.close()


def test_room_is_announced(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    announced: list[int] = []
    store.on_room = lambda: announced.append(1)
    commit(store, lambda txn: txn.put(store.tree("one").id, b"k", b"v"))
    store.flush()
    assert announced
    store.close()


def test_a_killed_keeper_is_noticed_and_loses_only_what_was_not_flushed(tmp_path: Path) -> None:
    """J26, J34: a store may lag, since the journal has what it has not."""
    keeper = ProcessKeeper(tmp_path)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    store.bootstrap(make_trees, guid=GUID)
    tree = store.tree("one").id
    commit(store, lambda txn: txn.put(tree, b"kept", b"v"))
    store.flush()
    keeper.wait()
    commit(store, lambda txn: txn.put(tree, b"lost", b"v"))
    failures: list[StoreError] = []
    store.on_failure = failures.append
    os.kill(keeper.process_id, signal.SIGKILL)
    store.flush()
    keeper.wait()
    assert failures
    store.abandon()
    again = open_store(tmp_path)
    assert again.applied_index == 2
    assert again.view.get(tree, b"kept") == b"v"
    assert again.view.get(tree, b"lost") is None
    again.close()


def test_every_flipped_bit_of_a_value_is_found(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    commit(store, lambda txn: txn.put(tree, b"k", b"precious"))
    store.close()
    name = tree.to_bytes(2, "big") + b"k"
    with lmdb.open(str(tmp_path)) as env, env.begin() as txn:
        sealed = bytes(txn.get(name) or b"")
    for place in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[place // 8] ^= 1 << place % 8
        with lmdb.open(str(tmp_path)) as env, env.begin(write=True) as txn:
            txn.put(name, bytes(damaged))
        again = open_store(tmp_path)
        with pytest.raises(ValueCorrupt):
            again.view.get(tree, b"k")
        again.abandon()


def test_the_map_grows_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.store.base.MAP_BYTES_FIRST", 1 << 18)
    store = open_store(tmp_path)
    tree = store.tree("one").id
    for number in range(8):
        put(store, tree, b"%d" % number, bytes(100_000))
        store.flush()
    assert store.view.count(tree) == 8
    store.close()


def test_a_key_that_every_operation_rewrites_is_carried_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    txn = store.begin()
    for number in (b"1", b"2", b"3"):
        txn.put(tree, b"key" + number, number)
        txn.put_latest(tree, b"count", number)
        assert txn.get(tree, b"count") == number
    records = [(key, value) for _, _, key, value in decode(txn.encode())]
    assert records == [(b"key1", b"1"), (b"key2", b"2"), (b"key3", b"3"), (b"count", b"3")]
    store.close()


def test_observers_see_every_write_in_order(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    seen: list[tuple[int, bytes, bytes | None]] = []
    notes: list[tuple[int, bytes]] = []

    def observe(index: int, changes: object) -> None:
        from roost.store import Changes

        assert isinstance(changes, Changes)
        seen.extend((index, key, value) for _, it, key, value in changes.writes if it == tree)
        notes.extend(changes.annotations)

    store.observe(observe)

    def write(txn: Txn) -> None:
        txn.put(tree, b"a", b"1")
        txn.put_same(tree, b"b", b"1")
        txn.annotate(9, b"note")
        txn.delete(tree, b"a")

    commit(store, write)
    assert seen == [(2, b"a", b"1"), (2, b"b", b"1"), (2, b"a", None)]
    assert notes == [(9, b"note")]
    store.close()


class LateKeeper(InlineKeeper):
    """Answers a flush only when it is told to, as a process does that is not listened to."""

    def flush(self, index: int, term: int) -> None:
        self._engine.flush(index, term)
        assert self._reader is not None
        self._reader.refresh()


def test_a_flush_may_be_answered_when_the_keeper_has_gone_on(tmp_path: Path) -> None:
    """It commits by itself at every point at which digests are compared."""
    keeper = LateKeeper(tmp_path, is_synced=False, digest_entries=4)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    store.bootstrap(make_trees, guid=GUID)
    keeper.on_flushed(store.applied_index)
    tree = store.tree("one").id
    commit(store, lambda txn: txn.put(tree, b"a", b"1"))
    flushed = store.applied_index
    store.flush()
    for key in (b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i"):
        commit(store, partial(Txn.put, tree_id=tree, key=key, value=b"2"))
    keeper.on_flushed(flushed)
    assert store.durable_index == flushed
    assert store.view.get(tree, b"a") == b"1"
    assert store.view.get(tree, b"i") == b"2"
    store.abandon()


def test_what_is_made_durable_is_so_when_it_is_said_also_behind_a_flush_under_way(
    tmp_path: Path,
) -> None:
    keeper = ProcessKeeper(tmp_path)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    store.bootstrap(make_trees, guid=GUID)
    tree = store.tree("one").id
    said: list[tuple[str, int]] = []
    store.make_durable(lambda: said.append(("nothing", store.durable_index)))
    assert said == [("nothing", 1)], "nothing is in memory"
    put(store, tree, b"a", b"1")
    store.flush()
    put(store, tree, b"b", b"2")
    store.make_durable(lambda: said.append(("b", store.durable_index)))
    put(store, tree, b"c", b"3")
    keeper.wait()  # for the flush under way, and for the one that follows
    keeper.wait()
    assert said[1:] == [("b", 4)]
    assert store.durable_index == 4
    store.close()


@pytest.mark.pure("it replaces methods")
@pytest.mark.parametrize("is_long", [False, True])
def test_an_entry_that_there_is_no_memory_to_read_is_not_applied_and_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_long: bool
) -> None:
    """It ended whoever followed, at each start again."""

    def starve(_self: Layer, _records: object) -> None:
        raise MemoryError

    store = open_store(tmp_path)
    tree = store.tree("one").id
    txn = store.begin()
    txn.put(tree, b"key", b"value")
    payload = txn.encode()
    if is_long:
        parts, entry = Parts(), store.begin()
        parts.add(payload)
        parts.put_into(entry)
        parts.on_proposed()
        store.apply(store.applied_index + 1, entry.encode())
        payload = encode_effect(2, 1, 1)
    index = store.applied_index + 1
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "apply", starve)
        with pytest.raises(ShortOfMemory):
            store.apply(index, payload, 2)
    assert (store.applied_index, store.poison_count) == (index - 1, 0)
    assert store.view.get(tree, b"key") is None
    store.apply(index, payload, 2)
    assert store.view.get(tree, b"key") == b"value"
    store.close()
