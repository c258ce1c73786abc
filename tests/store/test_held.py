"""Held views: one state, readable over many turns, while the store goes on."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from roost.errors import Overloaded
from roost.store import HeldView, HeldViewLost, Store, StoreConfig, Txn, stack
from roost.store.base import environment
from roost.store.base_reader import BaseReader
from roost.store.held import HELD_S_MAX, STATES_MAX
from tests.store.test_store import (
    GUID,
    LateKeeper,
    Model,
    StoreMachine,
    commit,
    make_trees,
    open_store,
    put,
)


def is_over(view: HeldView) -> bool:
    """Whether nothing can be read by a view any more."""
    try:
        view.get(0, b"")
    except HeldViewLost:
        return True
    return False


class HeldMachine(StoreMachine):
    """As the store's own machine, with views that are held; a keeper that answers late."""

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(stack, "PUSH_COUNT_MIN", 3)
        self.patch.setattr(stack, "SEALED_COUNT_FREE", 0)
        self.views: list[tuple[HeldView, Model]] = []
        super().start()
        self.now_s = 0.0

    @rule()
    def hold(self) -> None:
        if self.store.held_views.has_room:
            view = self.store.hold()
            # Dictionaries of the applied state are never changed, but replaced.
            self.views.append((view, self.applied))
        else:
            with pytest.raises(Overloaded):
                self.store.hold()

    @precondition(lambda self: self.views)
    @rule(which=st.integers(0, 10))
    def close(self, which: int) -> None:
        view, _ = self.views.pop(which % len(self.views))
        view.close()
        view.close()
        with pytest.raises(HeldViewLost):
            view.get(self.ids["one"], b"always")

    @rule()
    def tick(self) -> None:
        self.now_s += 0.1
        self.store.flush_if_due(self.now_s)

    @rule(is_clean=st.booleans())
    def reopen(self, *, is_clean: bool) -> None:
        super().reopen(is_clean=is_clean)
        for view, _ in self.views:
            with pytest.raises(HeldViewLost):
                view.scan(self.ids["one"])
        self.views.clear()

    @invariant()
    def what_is_held_is_as_it_was(self) -> None:
        self.store.invariants()
        for view, model in self.views:
            assert not is_over(view)
            for tree, rows in model.items():
                assert view.scan(tree) == sorted(rows.items())

    def teardown(self) -> None:
        for view, _ in self.views:
            view.close()
        assert self.store.held_views.count == self.store.held_views.bytes == 0
        super().teardown()
        self.patch.undo()


HeldMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
test_what_is_held_is_a_dict_of_dicts_as_it_was = pytest.mark.slow(HeldMachine.TestCase)


def test_a_view_is_of_one_state_while_a_flush_is_on_its_way_and_after_it(tmp_path: Path) -> None:
    keeper = LateKeeper(tmp_path, is_synced=False)
    store = Store.open(config=StoreConfig(), keeper=keeper)
    store.bootstrap(make_trees, guid=GUID)
    keeper.on_flushed(store.applied_index)
    tree = store.tree("one").id
    put(store, tree, b"a", b"1")
    put(store, tree, b"b", b"1")
    flushed = store.applied_index
    store.flush()  # the keeper has written, and has not said so
    put(store, tree, b"a", b"2")
    with store.hold() as view:
        commit(store, partial(Txn.delete, tree_id=tree, key=b"b"))
        put(store, tree, b"c", b"3")
        keeper.on_flushed(flushed)
        assert store.held_views.bytes > 0
        store.flush()
        keeper.on_flushed(store.applied_index)
        assert view.scan(tree) == [(b"a", b"2"), (b"b", b"1")]
        assert store.view.scan(tree) == [(b"a", b"2"), (b"c", b"3")]
    assert store.held_views.bytes == 0
    store.close()


def test_those_who_ask_at_one_state_share_it_and_there_are_no_more_states_than_may_be(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    rooms: list[int] = []
    store.held_views.hear_room(lambda: rooms.append(store.held_views.count))
    others: list[int] = []
    store.held_views.hear_room(lambda: others.append(store.held_views.count))
    views = [store.hold()]
    store.apply(store.applied_index + 1, b"")  # nothing was written
    views.append(store.hold())
    assert store.held_views.count == 1
    for number in range(STATES_MAX - 1):
        put(store, tree, b"%d" % number, b"v")
        views.append(store.hold())
    put(store, tree, b"late", b"v")
    assert not store.held_views.has_room
    with pytest.raises(Overloaded):
        store.hold()
    views[0].close()
    assert not rooms, "the other one has it yet"
    views[1].close()
    assert rooms == others == [STATES_MAX - 1]
    assert [len(it.scan(tree)) for it in views[2:]] == [1, 2, 3]
    store.hold().close()
    store.close()


def test_a_view_does_not_last_for_ever(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    put(store, tree, b"a", b"1")
    store.flush_if_due(100.0)
    old = store.hold()
    put(store, tree, b"b", b"1")
    store.flush_if_due(130.0)
    young = store.hold()
    store.flush_if_due(100.0 + HELD_S_MAX)
    assert store.held_views.age_s == HELD_S_MAX
    assert old.get(tree, b"a") == b"1"
    store.flush_if_due(100.1 + HELD_S_MAX)
    with pytest.raises(HeldViewLost, match="more than 60 s"):
        old.get(tree, b"a")
    assert young.get(tree, b"a") == b"1"
    assert store.held_views.lost_count == 1
    old.close()
    young.close()
    store.close()


def test_what_is_held_before_anybody_tells_the_time_lasts_as_long(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    put(store, tree, b"a", b"1")
    view = store.hold()
    store.flush_if_due(40_000.0)  # a machine that has been on for hours
    assert view.get(tree, b"a") == b"1"
    store.flush_if_due(40_000.1 + HELD_S_MAX)
    with pytest.raises(HeldViewLost, match="more than 60 s"):
        view.get(tree, b"a")
    view.close()
    store.close()


def test_what_is_kept_in_memory_for_views_has_a_bound(tmp_path: Path) -> None:
    config = StoreConfig(held_bytes_max=5000)
    store = Store.open(config=config, keeper=open_store(tmp_path)._keeper)
    tree = store.tree("one").id
    views: list[HeldView] = []
    for number in range(3):
        put(store, tree, b"%d" % number, bytes(2000))
        views.append(store.hold())
        store.flush()
    assert [is_over(it) for it in views] == [True, False, False]
    assert 0 < store.held_views.bytes <= 5000
    store.close()
    assert all(is_over(it) for it in views)


def test_a_view_is_lost_when_the_map_grows_and_the_store_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.store.base.MAP_BYTES_FIRST", 1 << 18)
    store = open_store(tmp_path)
    tree = store.tree("one").id
    lost = 0
    for number in range(8):
        view = store.hold()
        put(store, tree, b"%d" % number, bytes(100_000))
        store.flush()
        if is_over(view):
            lost += 1
            with pytest.raises(HeldViewLost, match="outgrown"):
                view.scan(tree)
        else:
            assert view.count(tree) == number
            view.close()
    assert lost
    assert store.view.count(tree) == 8
    store.close()


def test_a_glimpse_is_of_now_and_lasts_once_it_is_held(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tree = store.tree("one").id
    put(store, tree, b"a", b"1")
    short, long = store.held_views.glimpse(), store.held_views.glimpse()
    assert short.get(tree, b"a") == long.get(tree, b"a") == b"1"
    long.hold()
    short.close()
    assert store.held_views.count == 1
    newest = [long.is_newest]
    put(store, tree, b"a", b"2")
    assert long.get(tree, b"a") == b"1"
    newest.append(long.is_newest)
    assert newest == [True, False]
    assert is_over(short)
    long.close()
    assert store.held_views.count == 0
    store.close()


WRITING = """
import sys
from pathlib import Path
from roost.store import base
from roost.store.base_writer import BaseWriter
from roost.store.layer import Layer

base.MAP_BYTES_FIRST = 1 << 18
writer = BaseWriter(Path(sys.argv[1]))
for index in range(int(sys.argv[2]), int(sys.argv[3])):
    layer = Layer()
    layer.put(7, b"%d" % index, bytes(100_000))
    writer.commit(layer, index, 1)
writer.close()
"""


def test_before_the_map_is_moved_what_is_pinned_to_it_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has made the file larger than ours is mapped."""

    def write(begin: int, end: int) -> None:
        arguments = [str(tmp_path), str(begin), str(end)]
        subprocess.run([sys.executable, "-c", WRITING, *arguments], check=True)

    monkeypatch.setattr("roost.store.base.MAP_BYTES_FIRST", 1 << 18)
    write(1, 2)
    reader = BaseReader(environment(tmp_path, is_writer=False))
    pins: list[BaseReader] = [reader.pin()]
    seen: list[str] = []

    def let_go(why: str) -> None:
        seen.append(why)
        while pins:
            assert pins[-1].get(7, b"1") is not None
            pins.pop().close()

    reader.on_closing = let_go
    write(2, 9)
    assert pins[0].get(7, b"8") is None
    later = reader.pin()  # meets the map that has become too small
    assert seen == ["the file has outgrown its map"]
    for whoever in (reader, later):
        assert whoever.get(7, b"8") == bytes(100_000)
    later.close()
    reader.close()


def test_a_view_is_lost_when_the_store_moves(tmp_path: Path) -> None:
    store = open_store(tmp_path / "old")
    tree = store.tree("one").id
    put(store, tree, b"a", b"1")
    store.flush()
    view = store.hold()
    store.move(tmp_path / "new", lambda _index, _term: None)
    with pytest.raises(HeldViewLost, match="replaced"):
        view.get(tree, b"a")
    with store.hold() as again:
        assert again.get(tree, b"a") == b"1"
    store.close()


def test_a_view_is_lost_when_a_snapshot_takes_the_place_of_the_store(tmp_path: Path) -> None:
    ahead, store = open_store(tmp_path / "ahead"), open_store(tmp_path / "store")
    tree = store.tree("one").id
    for number in range(3):
        put(ahead, tree, b"%d" % number, b"theirs")
    ahead.flush()
    put(store, tree, b"a", b"ours")
    view = store.hold()
    store.switch(ahead._keeper)
    with pytest.raises(HeldViewLost, match="snapshot"):
        view.scan(tree)
    with store.hold() as again:
        assert again.count(tree) == 3
    store.close()
