"""Long writes: in parts or at once, it is the same; all of it or nothing, on every member alike."""

import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import (
    KEY,
    PARTS_ID,
    Changes,
    Column,
    InlineKeeper,
    Layer,
    LongChanges,
    Parts,
    Piece,
    Store,
    StoreConfig,
    Txn,
    close_layer,
    encode_effect,
    is_effect,
)
from roost.store.columns import CONSTANT, COUNTER, MEASURED_KEY
from roost.store.counted import Counted
from roost.store.layer import DROPPED_COUNT, FEW_MAX, SURVEY_COUNT
from roost.store.write_set import decode
from tests.steps import steps_of

GUID = uuid.UUID(int=7)
TREES = ("one", "two", "latest")
KEYS = st.sampled_from([b"", b"a", b"ab", b"b", b"b\0", b"c", b"d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
        st.tuples(st.just("same"), KEYS, st.binary(max_size=3)),
        st.tuples(st.just("latest"), KEYS, st.binary(max_size=3)),
        st.tuples(st.just("delete"), KEYS, st.just(b"")),
        st.tuples(st.just("range"), KEYS, KEYS),
        st.tuples(st.just("rows"), KEYS, KEYS),
        st.tuples(st.just("slice"), KEYS, KEYS),
    ),
    max_size=14,
)
Step = tuple[str, bytes, bytes]


def make_trees(txn: Txn) -> None:
    for name in TREES:
        txn.tree(name)


def open_store(directory: Path) -> Store:
    keeper = InlineKeeper(directory, is_synced=False)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    if store.is_new:
        store.bootstrap(make_trees, guid=GUID)
    return store


def write(store: Store, txn: Txn, step: Step) -> None:
    one, two, latest = (store.tree(it).id for it in TREES)
    what, key, more = step
    match what:
        case "put":
            txn.put(one, key, more)
        case "same":
            txn.put(one, key, more)
            txn.put_same(two, key, more)
        case "latest":
            txn.put_latest(latest, b"latest", more)
        case "delete":
            txn.delete(one, key)
        case "range":
            txn.delete_range(two, key, more or None)
        case "rows":
            keys = sorted({key, more})
            counted = (Piece(KEY), Piece(CONSTANT, constant=b"-"), Piece(COUNTER, first=3))
            columns = (Column(one, (Piece(KEY),)), Column(two, counted, (Piece(MEASURED_KEY),)))
            txn.write_rows(columns, keys)


class Leader:
    """Writes in parts, as an executor does; and keeps what it would have proposed."""

    def __init__(self, store: Store) -> None:
        self.store, self.txn, self.parts = store, store.begin(), Parts()
        self.entries: list[bytes] = []

    def end_slice(self, *, is_last: bool = False) -> None:
        self.parts.add(self.txn.take_part(is_last=is_last))
        if not self.parts.is_empty:
            self.propose_parts()

    def propose_parts(self) -> None:
        entry = self.store.begin()
        self.parts.put_into(entry)
        self.parts.on_proposed()
        self._propose(entry, entry.encode())

    def end(self) -> None:
        self.end_slice(is_last=True)
        list(close_layer(self.txn.layer))
        self._propose(self.txn, encode_effect(2, 9, self.parts.count))

    def _propose(self, txn: Txn, payload: bytes) -> None:
        index = self.store.applied_index + 1 + len(self.entries)
        self.store.speculate(index, txn, payload)
        self.entries.append(payload)


def apply_all(store: Store, entries: list[bytes]) -> None:
    for payload in entries:
        store.apply(store.applied_index + 1, payload)


def rows_of(store: Store) -> dict[int, list[tuple[bytes, bytes]]]:
    return {it.id: store.view.scan(it.id) for it in store.trees() if it.name != "$metadata"}


def with_stores(test: Callable[[list[Store], list[Path]], None], count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / str(number) for number in range(count)]
        for path in paths:
            path.mkdir()
        stores = [open_store(path) for path in paths]
        test(stores, paths)
        for store in stores:
            store.close()


@settings(max_examples=100, deadline=None)
@given(STEPS, STEPS)
def test_in_parts_or_at_once_a_write_comes_to_the_same_everywhere(
    before: list[Step], steps: list[Step]
) -> None:
    def run(stores: list[Store], paths: list[Path]) -> None:
        leader, follower, plain = stores
        for store in stores:
            txn = store.begin()
            for step in before:
                write(store, txn, step)
            store.apply(store.applied_index + 1, txn.encode())
        ours, at_once = Leader(leader), plain.begin()
        for step in steps:
            write(leader, ours.txn, step)
            write(plain, at_once, step)
            if step[0] == "slice":
                ours.end_slice()
        ours.end()
        was = rows_of(leader)
        apply_all(leader, ours.entries[:-1])
        assert [it for it in rows_of(leader).items() if it[0] != PARTS_ID] == [
            it for it in was.items() if it[0] != PARTS_ID
        ], "nothing can be seen before the end"
        apply_all(leader, ours.entries[-1:])
        apply_all(follower, ours.entries)
        plain.apply(plain.applied_index + 1, at_once.encode())
        assert rows_of(leader) == rows_of(follower) == rows_of(plain)
        for store in stores:
            store.flush()
        digests = {store.durable_digest() for store in (leader, follower)}
        assert len(digests) == 1, "the keepers wrote the same"
        assert rows_of(leader) == rows_of(follower) == rows_of(plain)
        assert leader.view.scan(PARTS_ID) == [], "nothing is left of the parts"
        del paths

    with_stores(run, 3)


def long_of(store: Store, count: int) -> Leader:
    """A long write of some keys, a part each."""
    leader = Leader(store)
    tree = store.tree("one").id
    for number in range(count):
        leader.txn.put(tree, b"%d" % number, b"value")
        leader.end_slice()
    leader.end()
    return leader


def test_a_member_may_lose_its_memory_between_any_two_parts(tmp_path: Path) -> None:
    (tmp_path / "leader").mkdir()
    leader = open_store(tmp_path / "leader")
    entries = long_of(leader, 3).entries
    apply_all(leader, entries)
    for kept in range(len(entries) + 1):
        path = tmp_path / str(kept)
        path.mkdir()
        follower = open_store(path)
        apply_all(follower, entries[:kept])
        follower.flush()
        follower.abandon()
        follower = open_store(path)
        assert follower.applied_index == 1 + kept
        apply_all(follower, entries[kept:])
        assert rows_of(follower) == rows_of(leader)
        follower.close()
    leader.close()


def test_what_a_leader_left_does_nothing_and_goes_with_the_next_long_write(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    left = long_of(store, 3).entries[:-2]
    store.drop_speculative()
    apply_all(store, left)
    assert store.view.scan(store.tree("one").id) == []
    assert len(store.view.scan(PARTS_ID)) == 2
    another = long_of(store, 2)
    apply_all(store, another.entries)
    assert len(store.view.scan(store.tree("one").id)) == 2
    assert store.view.scan(PARTS_ID) == []
    store.close()


@pytest.mark.parametrize("spoil", ["missing", "more", "malformed"])
def test_an_effect_that_is_not_whole_changes_nothing(tmp_path: Path, spoil: str) -> None:
    store = open_store(tmp_path)
    entries = long_of(store, 3).entries
    store.drop_speculative()
    effect = entries.pop()
    extra = store.begin()
    match spoil:
        case "missing":
            extra.delete(PARTS_ID, (1).to_bytes(4, "big"))
        case "more":
            extra.put(PARTS_ID, (3).to_bytes(4, "big"), b"")
        case "malformed":
            extra.put(PARTS_ID, (1).to_bytes(4, "big"), b"nonsense")
    apply_all(store, [*entries, extra.encode()])
    was = rows_of(store)
    apply_all(store, [effect])
    assert rows_of(store) == was
    assert store.poison_count == 1
    store.flush()
    assert rows_of(store) == was
    store.close()


def test_an_effect_is_no_part_of_another_write_set() -> None:
    effect = encode_effect(1, 2, 3)
    assert is_effect(effect)
    assert not is_effect(effect + effect)
    assert not is_effect(b"\x01" + effect[1:])
    with pytest.raises(Exception, match="unknown or malformed"):
        decode(effect)


def test_observers_are_told_once_of_all_of_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    heard: list[Changes] = []
    tree = store.tree("one").id
    store.observe(lambda _index, changes: heard.append(changes), trees=(tree,))
    leader = long_of(store, 3)
    apply_all(store, leader.entries)
    [changes] = heard
    assert isinstance(changes, LongChanges)
    assert changes.is_long
    wanted = [(1, tree, b"%d" % number, b"value") for number in range(3)]
    assert [row for row in changes.writes if row[1] == tree] == wanted
    assert changes.of_tree(tree) == wanted
    assert changes.of_tree(99) == []
    store.close()


class NoKeeper:
    """A real one is a process of its own: it takes what it is given, and its work is not ours."""

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@pytest.mark.slow
def test_no_step_of_a_follower_is_longer_than_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leader").mkdir()
    (tmp_path / "follower").mkdir()
    leader, follower = open_store(tmp_path / "leader"), open_store(tmp_path / "follower")
    tree = leader.tree("one").id
    for store in (leader, follower):
        txn = store.begin()
        keys = [b"%06d" % number for number in range(100_000)]
        txn.write_rows((Column(tree, (Piece(KEY),), ()),), keys)
        store.apply(store.applied_index + 1, txn.encode())
        store.flush()
    ours = Leader(leader)
    for begin in range(0, len(keys), 250):
        ours.txn.write_rows((Column(tree, (Piece(KEY),)),), keys[begin : begin + 250])
        ours.txn.layer.put_in_order()
        ours.parts.add(ours.txn.take_part(is_last=False))
        if ours.parts.is_entry_full:
            ours.propose_parts()
    ours.end()
    apply_all(follower, ours.entries[:-1])
    assembly = follower.assembly(follower.applied_index + 1, ours.entries[-1])
    assert assembly is not None
    done, longest = [False], 0
    while not done[-1]:
        longest = max(longest, steps_of(lambda: done.append(assembly.go_on())))
    assert longest < 6000, "a part of 250 keys"
    monkeypatch.setattr(follower, "_keeper", NoKeeper())
    index, effect = follower.applied_index + 1, ours.entries[-1]
    assert steps_of(lambda: follower.apply(index, effect, 2, assembly)) < 500
    assert follower.view.scan(tree) == []
    follower.abandon()
    leader.abandon()


def test_what_was_just_written_goes_in_steps_where_a_range_of_it_is_deleted(
    tmp_path: Path,
) -> None:
    """All keys were taken out at once, of a million for a tenth of a second, on every member."""
    (tmp_path / "leader").mkdir()
    (tmp_path / "follower").mkdir()
    leader, follower = open_store(tmp_path / "leader"), open_store(tmp_path / "follower")
    tree = leader.tree("one").id
    ours = Leader(leader)
    for begin in range(0, 40_000, 500):
        for number in range(begin, begin + 500):
            ours.txn.put(tree, b"%06d" % number, b"value")
        ours.txn.layer.put_in_order()
        ours.end_slice()
    longest, is_left = 0, [1]
    first, stop = b"%06d" % 10, b"%06d" % 39_990
    while is_left[-1]:
        longest = max(longest, steps_of(lambda: is_left.append(ours.txn.forget(tree, first, stop))))
        ours.end_slice()
    assert len(is_left) > 5
    longest = max(longest, steps_of(lambda: ours.txn.delete_range(tree, first, stop)))
    ours.txn.put(tree, b"%06d" % 20, b"again")
    ours.end()
    for number, effect in enumerate(ours.entries):
        index = leader.applied_index + 1
        leader.apply(index, effect)
        if number < len(ours.entries) - 1:
            follower.apply(index, effect)
    assembly = follower.assembly(follower.applied_index + 1, ours.entries[-1])
    assert assembly is not None
    done = [False]
    while not done[-1]:
        longest = max(longest, steps_of(lambda: done.append(assembly.go_on())))
    follower.apply(follower.applied_index + 1, ours.entries[-1], 2, assembly)
    assert longest < 4 * DROPPED_COUNT, "a step a key and something"
    left = [*range(10), 20, *range(39_990, 40_000)]
    assert [int(key) for key, _ in follower.view.scan(tree)] == left
    assert rows_of(leader) == rows_of(follower)
    follower.abandon()
    leader.abandon()


def test_many_ranges_of_one_part_go_in_steps_by_what_all_of_them_take(tmp_path: Path) -> None:
    """Each had fewer keys than a step takes, and so all of them were one step."""
    (tmp_path / "leader").mkdir()
    (tmp_path / "follower").mkdir()
    leader, follower = open_store(tmp_path / "leader"), open_store(tmp_path / "follower")
    tree = leader.tree("one").id
    ours, length = Leader(leader), DROPPED_COUNT - 10
    for begin in range(0, 6 * length, 500):
        for number in range(begin, begin + 500):
            ours.txn.put(tree, b"%06d" % number, b"value")
        ours.end_slice()
    for begin in range(0, 6 * length, length):
        ours.txn.delete_range(tree, b"%06d" % begin, b"%06d" % (begin + length))
    ours.end()
    apply_all(follower, ours.entries[:-1])
    assembly = follower.assembly(follower.applied_index + 1, ours.entries[-1])
    assert assembly is not None
    longest, done = 0, [False]
    while not done[-1]:
        longest = max(longest, steps_of(lambda: done.append(assembly.go_on())))
    assert longest < 4 * DROPPED_COUNT
    follower.apply(follower.applied_index + 1, ours.entries[-1], 2, assembly)
    left = sum(int(key) < 6 * length for key, _ in follower.view.scan(tree))
    assert left == 0
    follower.abandon()
    leader.abandon()


MANY = 20_000


def counted(store: Store) -> Counted:
    """Have the keys of a tree counted, of which a long write deletes all but two and sets one."""
    tree = store.tree("one").id
    txn = store.begin()
    for number in range(MANY):
        txn.put(tree, b"%06d" % number, b"value")
    store.apply(store.applied_index + 1, txn.encode())
    made = store.count_keys(tree, lambda _view: lambda _value: True, lambda _view, _its: 3 - MANY)
    while not made.is_done:
        made.go_on()
    return made


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_no_step_of_a_long_write_is_long_where_keys_are_counted(tmp_path: Path, where: str) -> None:
    """All that it wrote was looked at in the step in which it took effect."""
    store = open_store(tmp_path)
    counts = counted(store)
    tree = store.tree("one").id
    ours = Leader(store)
    for begin in range(0, MANY - 2, 250):
        end = min(begin + 250, MANY - 2)
        keys = [b"%06d" % number for number in range(begin, end)]
        ours.txn.write_rows((Column(tree, (Piece(KEY),)),), keys)
        ours.txn.layer.put_in_order()
        ours.end_slice()
    ours.txn.put(tree, b"new", b"value")
    ours.end()
    *parts, effect = ours.entries
    if where == "follower":
        store.drop_speculative()
    apply_all(store, parts)
    index = store.applied_index + 1
    assembly = store.assembly(index, effect)
    assert (assembly is None) == (where == "leader")
    most, is_whole = 0, assembly is None

    def go_on() -> None:
        nonlocal is_whole
        assert assembly is not None
        is_whole = assembly.go_on()

    while not is_whole:
        most = max(most, steps_of(go_on))
    store._keeper.add = lambda *_: None  # type: ignore[method-assign]  # it is another process
    most = max(most, steps_of(lambda: store.apply(index, effect, assembled=assembly)))
    assert most < 2 * SURVEY_COUNT
    assert counts.is_done, "nothing is counted anew"
    assert counts.known(b"", None) == len(store.view.scan(tree)) == 3
    store.abandon()


def test_keys_that_have_a_value_are_found_in_steps_until_they_are_many() -> None:
    layer = Layer()
    for tree_id, value in ((1, None), (2, b"value")):
        names = [b"%06d" % number for number in range(3 * SURVEY_COUNT)]
        layer.put_rows(tree_id, names, None if value is None else [value] * len(names))
    layer.put(1, b"one", b"value")
    steps = layer.survey()
    assert max(steps_of(lambda: next(steps, None)) for _ in range(6)) < 2 * SURVEY_COUNT
    found = layer.few_set
    assert found is not None
    assert found[1] == [b"one"]
    assert len(found[2]) > FEW_MAX
