"""What write sets change, held against dictionaries: each record, with what was there before it."""

import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.store import (
    Changes,
    Difference,
    Differences,
    HeldViewLost,
    InlineKeeper,
    Layer,
    LongChanges,
    Records,
    Store,
    StoreConfig,
    Txn,
    View,
    differences,
    encode_effect,
    stack,
)
from roost.store.write_set import decode

TREES = (3, 4, 5)
WANTED = (3, 4)
KEYS = st.binary(max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(TREES), KEYS, KEYS),
        st.tuples(st.just("delete"), st.sampled_from(TREES), KEYS, st.just(b"")),
        st.tuples(st.just("range"), st.sampled_from(TREES), KEYS, KEYS),
        st.tuples(st.just("rest"), st.sampled_from(TREES), KEYS, st.just(b"")),
    ),
    max_size=8,
)
# Operations: what each does, and what it says of that.
OPERATIONS = st.lists(st.tuples(STEPS, st.lists(KEYS, max_size=2)), max_size=3)
State = dict[int, dict[bytes, bytes]]


def make_trees(txn: Txn) -> None:
    for name in "abc":
        txn.tree(name)


def open_store(path: Path) -> Store:
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(path))
    store.bootstrap(make_trees, guid=uuid.UUID(int=7))
    return store


def gone_through(differences: Differences, records: Records) -> list[Difference]:
    """All that is told, without its pauses."""
    return [it for it in differences.of(records, WANTED) if it is not None]


def write(txn: Txn, steps: list[tuple[str, int, bytes, bytes]]) -> None:
    for step, tree, key, value in steps:
        match step:
            case "put":
                txn.put(tree, key, value)
            case "delete":
                txn.delete(tree, key)
            case "range":
                txn.delete_range(tree, key, value)
            case _:
                txn.delete_range(tree, key)


def told(
    state: State, steps: list[tuple[str, int, bytes, bytes]], said: tuple[tuple[int, bytes], ...]
) -> Iterator[Difference]:
    """What the steps change in a state, which they do."""
    for step, tree, key, value in steps:
        held = state[tree]
        after = value if step == "put" else None
        names = [key] if step == "put" or (step == "delete" and key in held) else []
        if step in ("range", "rest"):
            names = sorted(it for it in held if key <= it and (step == "rest" or it < value))
        for name in names:
            before = held.pop(name, None)
            if tree in WANTED:
                yield Difference(tree, name, before, after, said)
            if after is not None:
                held[name] = after


@given(st.lists(st.tuples(OPERATIONS, st.booleans()), max_size=5))
def test_each_record_is_told_with_what_was_there_just_before(
    entries: list[tuple[list[tuple[list[tuple[str, int, bytes, bytes]], list[bytes]]], bool]],
) -> None:
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        held = store.hold()
        one_after_the_other = Differences(held)
        state: State = {tree: {} for tree in TREES}
        for index, (operations, is_flushed) in enumerate(entries, store.applied_index + 1):
            txn = store.begin()
            expected: list[Difference] = []
            for steps, notes in operations:
                txn.keep_order()
                mark = txn.savepoint()
                write(txn, steps)
                said = tuple((300, it) for it in notes)
                if said:
                    txn.tell(mark, said)
                ours = list(told(state, steps, said))
                if said and not ours:
                    ours = [Difference(None, b"", None, None, said)]
                expected += ours
            payload = txn.encode()
            records = Records(Changes(payload), WANTED)
            found = gone_through(Differences(store.view), records)
            assert found == expected
            store.apply(index, payload)
            if is_flushed:
                store.flush()
            # The same upon the state that was before all of them.
            assert gone_through(one_after_the_other, records) == expected
            assert {tree: dict(store.view.scan(tree)) for tree in TREES} == state
        held.close()
        store.abandon()


def long_of(steps: list[tuple[str, int, bytes, bytes]], txn: Txn) -> Layer:
    """What a long write comes to that does these steps."""
    write(txn, steps)
    layer = Layer()
    layer.apply(decode(txn.encode()))
    return layer


def in_tree_order(
    state: State, steps: list[tuple[str, int, bytes, bytes]]
) -> dict[tuple[int, bytes], tuple[bytes | None, bytes | None]]:
    """Each key that a long write touches, before and after it."""
    before = {tree: dict(rows) for tree, rows in state.items()}
    touched = {(it.tree_id, it.key) for it in told(state, steps, ())}
    return {
        (tree, key): (before[tree].get(key), state[tree].get(key))
        for tree, key in touched
        if tree is not None
    }


LATER = st.lists(st.tuples(STEPS, st.booleans()), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, STEPS, st.lists(KEYS, max_size=2), LATER)
def test_one_of_many_keys_is_gone_through_while_the_store_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    before: list[tuple[str, int, bytes, bytes]],
    steps: list[tuple[str, int, bytes, bytes]],
    notes: list[bytes],
    later: list[tuple[list[tuple[str, int, bytes, bytes]], bool]],
) -> None:
    """Nothing of it is listed: its layer stays, whatever comes above it, and is then let go."""
    monkeypatch.setattr(differences, "LISTED_MAX", 0)
    monkeypatch.setattr(differences, "PAUSE_RECORDS", 1)
    monkeypatch.setattr(stack, "SEALED_COUNT_FREE", 0)
    monkeypatch.setattr(stack, "FREED_COUNT", 0)
    said = tuple((300, it) for it in notes)
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        state: State = {tree: {} for tree in TREES}
        txn = store.begin()
        write(txn, before)
        store.apply(store.applied_index + 1, txn.encode())
        list(told(state, before, ()))
        expected = in_tree_order(state, steps)
        txn = store.begin()
        layer = long_of(steps, txn)
        layer.said += said
        records = Records(LongChanges(encode_effect(1, 1, 1), layer), WANTED, store.layers)
        held = store.hold()
        store.layers.add(layer)  # as it is when its last entry is applied
        going = Differences(held).of(records, WANTED)
        found: list[Difference] = []
        for others, is_flushed in later:
            found += [it for it in islice(going, 2) if it is not None]
            txn = store.begin()
            write(txn, others)
            store.apply(store.applied_index + 1, txn.encode())
            while store.layers.wants_merge:
                store.layers.merge(1)
            if is_flushed:
                store.flush()
            with monkeypatch.context() as patch:
                patch.setattr(stack, "FREED_COUNT", 1)
                store.free_all()
            store.layers.invariants()
        found += [it for it in going if it is not None]
        assert all(it.annotations == said for it in found)
        last: dict[tuple[int, bytes], tuple[bytes | None, bytes | None]] = {}
        for it in found:
            if it.tree_id is not None:
                first = last.get((it.tree_id, it.key), (it.before, None))[0]
                last[it.tree_id, it.key] = first, it.value
        # A key that went and came again is told twice, and one that is as it was need not be.
        changed = {key: row for key, row in expected.items() if row[0] != row[1]}
        assert {key: row for key, row in last.items() if row[0] != row[1]} == changed
        records.close()
        held.close()
        assert not store.layers._kept
        store.abandon()


def test_between_two_differences_it_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletes of what was not there tell nothing, and there may be any number of them."""
    monkeypatch.setattr(differences, "PAUSE_RECORDS", 10)
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        txn = store.begin()
        for number in range(95):
            txn.delete(3, b"%d" % number)
        records = Records(Changes(txn.encode()), WANTED)
        assert list(Differences(store.view).of(records, WANTED)) == [None] * 9
        txn = store.begin()
        for number in range(95):
            txn.put(3, b"%02d" % number, b"")
        txn.delete_range(3, b"")
        records = Records(Changes(txn.encode()), WANTED)
        found = list(Differences(store.view).of(records, WANTED))
        # A pause for each ten puts, and for each ten that the range then hides.
        assert (len(found) - found.count(None), found.count(None)) == (2 * 95, 9 + 9)
        store.abandon()


@given(STEPS, STEPS)
def test_a_long_write_tells_what_it_came_to(
    before: list[tuple[str, int, bytes, bytes]], steps: list[tuple[str, int, bytes, bytes]]
) -> None:
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        txn = store.begin()
        write(txn, before)
        store.apply(store.applied_index + 1, txn.encode())
        states: list[State] = [{tree: dict(store.view.scan(tree)) for tree in WANTED}]
        txn = store.begin()
        write(txn, steps)
        layer = Layer()
        layer.apply(decode(txn.encode()))
        records = Records(LongChanges(encode_effect(1, 1, 1), layer), WANTED)
        # Its layer belongs to the store by the time it is gone through.
        layer.delete_range(WANTED[0], b"", None)
        found = gone_through(Differences(store.view), records)
        for it in found:
            assert it.tree_id is not None
            held = states[0][it.tree_id]
            assert held.get(it.key) == it.before
            held.pop(it.key, None)
            if it.value is not None:
                held[it.key] = it.value
        store.apply(store.applied_index + 1, txn.encode())
        assert states[0] == {tree: dict(store.view.scan(tree)) for tree in WANTED}
        store.abandon()


def test_without_a_state_before_each_delete_counts_and_a_range_tells_nothing() -> None:
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        txn = store.begin()
        txn.delete(3, b"a")
        txn.put(3, b"b", b"1")
        txn.delete_range(3, b"")
        txn.annotate(300, b"last")
        records = Records(Changes(txn.encode()), WANTED)
        assert list(Differences(None).of(records, WANTED)) == [
            Difference(3, b"a", None, None, ()),
            Difference(3, b"b", None, b"1", ()),
            Difference(None, b"", None, None, ((300, b"last"),)),
        ]
        store.abandon()


def test_a_long_range_is_read_page_by_page_and_a_lost_view_says_so() -> None:
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        txn = store.begin()
        for number in range(600):
            txn.put(3, b"%03d" % number, b"")
        store.apply(store.applied_index + 1, txn.encode())
        txn = store.begin()
        txn.delete_range(3, b"")
        held = store.hold()
        records = Records(Changes(txn.encode()), WANTED)
        found = Differences(held).of(records, WANTED)
        keys = [it and it.key for it in islice(found, 300)]
        assert keys == [b"%03d" % it for it in range(300)]
        store.apply(store.applied_index + 1, txn.encode())
        store.flush()
        rest = Differences(held).of(records, WANTED)
        assert len(list(rest)) == 600
        assert sum(1 for _ in found) == 300
        found = Differences(held).of(records, WANTED)
        next(found)
        held.close()
        with pytest.raises(HeldViewLost):
            list(found)
        store.abandon()


def test_a_view_below_a_layer_is_the_same_view() -> None:
    with TemporaryDirectory() as place:
        store = open_store(Path(place))
        txn = store.begin()
        txn.put(3, b"a", b"1")
        store.apply(store.applied_index + 1, txn.encode())
        layer = Layer()
        under: View = store.view.under(layer)
        layer.put(3, b"b", b"2")
        assert under.scan(3) == [(b"a", b"1"), (b"b", b"2")]
        assert store.view.scan(3) == [(b"a", b"1")]
        store.abandon()
