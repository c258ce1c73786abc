"""The stack of layers: every state that is held reads as it was, whatever happens above it."""

from functools import partial
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.store import stack
from roost.store.layer import Layer, TreeLayer
from roost.store.stack import FREED_COUNT, SEALED_COUNT_FREE, Held, LayerStack
from roost.store.view import View
from tests.samples import SAMPLES
from tests.steps import steps_of
from tests.store.stacks import TREE, WRITES, DictBase, Rows, Write

_PUSHED = 4


class HeldState:
    """A hold, the base as it was then, and what is to be seen."""

    def __init__(self, held: Held, base: Rows, rows: Rows) -> None:
        self.held, self.rows = held, rows
        self.view = View(held.layers, DictBase(base))


class Stacking(RuleBasedStateMachine):
    """A base that is a dictionary lags behind; what is large is so small that much is pushed."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(stack, "PUSH_COUNT_MIN", _PUSHED)
        self.patch.setattr(stack, "SEALED_COUNT_FREE", 0)
        self.patch.setattr(stack, "_STEP_COUNT", 1)
        self.patch.setattr(stack, "FREED_COUNT", 1)
        self.stack = LayerStack()
        self.base = DictBase({})
        self.view = View(self.stack.layers, self.base)
        self.rows: Rows = {}
        self.flushed: Rows = {}
        self.states: list[HeldState] = []

    @rule(writes=st.lists(WRITES, max_size=6))
    def add(self, writes: list[Write]) -> None:
        layer = Layer()
        for write in writes:
            write.in_layer(layer)
            write.in_rows(self.rows)
        self.stack.add(layer)

    @rule()
    def hold(self) -> None:
        if len(self.states) < 4:
            state = HeldState(self.stack.hold(), dict(self.base.rows), dict(self.rows))
            self.states.append(state)

    @rule()
    def free(self) -> None:
        self.stack.free()

    @rule(which=st.integers(0, 3))
    def release(self, which: int) -> None:
        if self.states:
            self.stack.release(self.states.pop(which % len(self.states)).held)

    @rule()
    def flush(self) -> None:
        if not self.stack.is_flushing:
            self.stack.flush()
            self.flushed = dict(self.rows)

    @rule()
    def be_flushed(self) -> None:
        if self.stack.is_flushing:
            self.base.rows = self.flushed
            self.stack.on_flushed()

    @rule(count_max=st.integers(1, 3))
    def merge(self, count_max: int) -> None:
        wanted = self.stack.wants_merge
        before = self.stack.sealed_count
        count = self.stack.merge(count_max)
        assert wanted or (count == 0 and self.stack.sealed_count == before)
        assert before - self.stack.sealed_count in (0, 1)

    @invariant()
    def every_state_reads_as_it_was(self) -> None:
        self.stack.invariants()
        assert self.view.scan(TREE) == sorted(self.rows.items())
        for state in self.states:
            assert state.view.scan(TREE) == sorted(state.rows.items())
            for key in (b"", b"a", b"b", b"c"):
                assert state.view.get(TREE, key) == state.rows.get(key)

    def teardown(self) -> None:
        """When nobody holds anything, merging ends with one layer, and flushing with none."""
        for state in self.states:
            self.stack.release(state.held)
        assert self.stack.held_bytes == 0
        while self.stack.wants_merge:
            self.stack.merge(100)
        assert self.stack.sealed_count <= 1
        assert self.view.scan(TREE) == sorted(self.rows.items())
        self.patch.undo()


Stacking.TestCase.settings = settings(
    max_examples=50 * SAMPLES, stateful_step_count=40, deadline=None
)
test_states_read_as_they_were = pytest.mark.slow(Stacking.TestCase)


def layer_of(count: int, *, begin: int = 0) -> Layer:
    layer = Layer()
    for number in range(begin, begin + count):
        layer.put(TREE, b"%08d" % number, b"v")
        layer.put_in_order()
    return layer


def test_a_large_layer_is_pushed_and_a_state_is_held_in_no_time() -> None:
    held = LayerStack()
    held.add(layer_of(100))
    large = layer_of(100_000)
    assert steps_of(lambda: held.add(large)) < 60
    assert steps_of(held.hold) < 60
    assert View(held.layers, DictBase({})).get(TREE, b"00050000") == b"v"


def test_no_part_of_a_merge_is_long() -> None:
    whole = LayerStack()
    for begin in (50_000, 0, 30_000, 70_000):
        whole.add(layer_of(30_000, begin=begin))
    steps: list[int] = []
    while whole.wants_merge:
        steps.append(steps_of(lambda: whole.merge(1000)))
    assert whole.sealed_count == stack.SEALED_COUNT_FREE
    assert max(steps) < 20_000
    assert len(steps) > 20


@pytest.mark.parametrize("how", ["flushed", "released", "cleared"])
def test_what_is_dropped_is_freed_a_part_a_call(how: str) -> None:
    """Issue 14: four million rows of a lease that had ended were freed in one step of 0.2 s."""
    large = LayerStack()
    large.add(layer_of(12_000))
    layers = list(large.layers)
    hold = large.hold() if how == "released" else None
    if how == "cleared":
        assert steps_of(large.clear) < 300
    else:
        large.flush()
        assert steps_of(large.on_flushed) < 200
    if hold is not None:
        assert large.old_count == 0, "somebody reads it"
        assert View(hold.layers, DictBase({})).get(TREE, b"00000000") == b"v"
        assert steps_of(lambda: large.release(hold)) < 200
    below = View(layers, DictBase({b"00000000": b"below"}))
    assert below.get(TREE, b"00000000") == b"below", "it is empty at once"
    assert below.scan(TREE) == [(b"00000000", b"below")]
    left = [large.old_count]
    while large.old_count:
        assert steps_of(large.free) < 5 * stack.FREED_COUNT
        left.append(large.old_count)
    assert left[0] == 12_000
    assert {before - after for before, after in pairwise(left)} == {stack.FREED_COUNT}


def test_small_layers_that_are_dropped_together_are_freed_a_part_a_call() -> None:
    """Each has few keys, of which a thousand layers have many."""
    many = LayerStack()
    holds = list[Held]()
    for number in range(20):
        many.add(layer_of(100, begin=100 * number))
        holds.append(many.hold())
    many.flush()
    many.on_flushed()
    for hold in holds[:-1]:
        many.release(hold)
    assert many.old_count == 0, "the last hold has them all"
    many.release(holds[-1])
    assert many.old_count == 2000 - stack.FREED_COUNT
    many.free()
    assert many.old_count == 2000 - 2 * stack.FREED_COUNT


def test_a_layer_that_was_merged_into_another_is_freed_a_part_a_call() -> None:
    merged = LayerStack()
    for begin in range(0, 40_000, 10_000):
        merged.add(layer_of(10_000, begin=begin))
    while merged.old_count == 0:
        merged.merge(1000)
    assert merged.old_count == 10_000
    view = View(merged.layers, DictBase({}))
    assert [view.get(TREE, b"%08d" % number) for number in (0, 15_000, 39_999)] == [b"v"] * 3


def test_a_dropped_layer_hides_nothing_of_what_is_in_the_base_by_then() -> None:
    """An operation that runs over many turns has the layers of its first one.

    Of a layer that was dropped keys went and deleted ranges stayed: what was written behind such a
    deletion was in the base, and hidden.
    """
    dropped = LayerStack()
    layer = Layer()
    layer.delete_range(TREE, b"", None)
    for number in range(stack.FREED_COUNT):
        layer.put(TREE, b"%08d" % number, b"v")
    dropped.add(layer)
    base = DictBase({b"before": b"deleted"})
    its = View(list(dropped.layers), base)
    dropped.flush()
    base.rows = {b"%08d" % number: b"v" for number in range(stack.FREED_COUNT)}
    dropped.on_flushed()
    assert its.get(TREE, b"00000000") == b"v"
    assert its.has(TREE, b"00000000")
    assert its.scan(TREE) == sorted(base.rows.items())
    assert its.scan(TREE, reverse=True) == sorted(base.rows.items(), reverse=True)


class Freeing(RuleBasedStateMachine):
    """Beside the counts: layers of a few keys and ranges, of which a turn may pay for some."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in (("FREED_COUNT", 1), ("PAID_COUNT", 8), ("PUSH_COUNT_MIN", 12)):
            self.patch.setattr(stack, name, value)
        self.stack = LayerStack()
        self.holds: list[Held] = []
        self.begin = 0
        # What was written since nothing was to be freed, and not paid for; what layers had at most.
        self.unpaid = self.most = 0

    def in_layers(self) -> int:
        layers = [*self.stack.layers, *(it for hold in self.holds for it in hold.layers)]
        return sum(it.row_count for it in dict.fromkeys(layers))

    @rule(count=st.integers(0, 16), range_count=st.integers(0, 3))
    def turn(self, count: int, range_count: int) -> None:
        """Something is written, and some is freed."""
        layer = layer_of(count, begin=self.begin)
        for number in range(self.begin, self.begin + range_count):
            layer.delete_range(TREE + 1, b"%08d" % number, b"%08d+" % number)
        self.begin += count + range_count
        before = self.stack.old_count
        self.unpaid += (count + range_count) if before else 0
        self.stack.add(layer)
        self.note()
        paid = min(self.unpaid, stack.PAID_COUNT)
        self.stack.free()
        freed = before - self.stack.old_count
        assert freed == min(before, stack.FREED_COUNT + paid), "no more, and no less"
        self.unpaid = self.unpaid - paid if self.stack.old_count else 0

    def note(self) -> None:
        self.most = max(self.most, self.in_layers())

    @rule()
    def hold(self) -> None:
        if len(self.holds) < 3:
            self.holds.append(self.stack.hold())

    @rule(which=st.integers(0, 2))
    def release(self, which: int) -> None:
        if self.holds:
            self.stack.release(self.holds.pop(which % len(self.holds)))

    @rule()
    def flush(self) -> None:
        if not self.stack.is_flushing:
            self.stack.flush()

    @rule()
    def be_flushed(self) -> None:
        if self.stack.is_flushing:
            self.stack.on_flushed()

    @rule(count_max=st.integers(1, 20))
    def merge(self, count_max: int) -> None:
        # The lower one has what was copied before the upper one goes, in the same call.
        copied = self.in_layers() + count_max
        if self.stack.wants_merge:
            self.most = max(self.most, copied)
        self.stack.merge(count_max)
        self.note()

    @invariant()
    def it_keeps_up(self) -> None:
        assert self.stack.unpaid_count == self.unpaid
        assert self.stack.old_count <= self.most + self.unpaid
        if not self.stack.old_count:
            self.most = self.in_layers()

    def teardown(self) -> None:
        """As soon as less is written than a turn pays for, nothing is left unpaid, and all goes."""
        for _ in range(self.stack.old_count + self.unpaid):
            self.turn(stack.PAID_COUNT - 1, 0)
        assert self.stack.old_count == 0 == self.stack.unpaid_count
        self.patch.undo()


Freeing.TestCase.settings = settings(
    max_examples=50 * SAMPLES, stateful_step_count=40, deadline=None
)
test_freeing_keeps_up_with_what_is_written = Freeing.TestCase


def test_what_is_kept_for_holds_alone_is_counted() -> None:
    held = LayerStack()
    held.add(layer_of(10))
    hold = held.hold()
    size_bytes = held.unflushed_bytes
    assert held.held_bytes == 0, "the stack has it, too"
    held.flush()
    held.on_flushed()
    assert held.held_bytes == size_bytes
    held.release(hold)
    assert held.held_bytes == 0


@pytest.mark.pure("it replaces methods")
def test_what_there_is_no_memory_to_take_over_or_to_merge_is_seen_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of it may have been taken over by then."""
    stack, honest = LayerStack(), TreeLayer.cover

    def starve(self: TreeLayer, above: TreeLayer) -> None:
        self.values.update(list(above.values.items())[:1])
        raise MemoryError

    def layer(*keys: bytes) -> Layer:
        made = Layer()
        for key in keys:
            made.put(TREE, key, b"value")
        return made

    stack.add(layer(b"a", b"b"))
    with monkeypatch.context() as patch:
        patch.setattr(TreeLayer, "cover", starve)
        for key in (b"c", b"d", b"e"):
            stack.add(layer(key, key + b"1"))
    stack.add(layer(b"f"))
    assert TreeLayer.cover is honest
    stack.invariants()
    view = View(stack.layers, DictBase({}))
    seen = [b"a", b"b", b"c", b"c1", b"d", b"d1", b"e", b"e1", b"f"]
    assert [key for key, _ in view.scan(TREE)] == seen

    def starve_too(_self: Layer) -> None:
        raise MemoryError

    assert stack.wants_merge
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "put_in_order", starve_too)
        assert stack.merge(1000) == 0
    assert [key for key, _ in view.scan(TREE)] == seen
    for _ in range(10):
        stack.merge(1000)
    stack.invariants()
    assert stack.sealed_count <= SEALED_COUNT_FREE
    assert [key for key, _ in view.scan(TREE)] == seen


@pytest.mark.pure("a method of a layer is patched")
def test_without_memory_for_one_tree_no_other_is_emptied_with_what_lies_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tree was handed over, then the next one had no memory: one tree was in two layers."""
    layers = LayerStack()
    first, written = Layer(), Layer()
    first.put(TREE, b"a", b"1")
    layers.add(first)
    for number in range(2 * FREED_COUNT):
        written.put(TREE + 1, b"%04d" % number, b"v")
    written.put(TREE, b"b", b"1")

    def failing(_self: TreeLayer, _above: TreeLayer) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(TreeLayer, "cover", failing)
        layers.add(written)
    others = [it for it in layers.layers if it is not written]
    for it in others:
        assert written.trees[TREE + 1] is not it.trees.get(TREE + 1)


def test_many_ranges_are_neither_taken_over_nor_merged_in_one_step() -> None:
    """200,000 of them over as many were one step of eight seconds."""
    layers, count = LayerStack(), 3000
    for begin in (b"a", b"b", b"c", b"d"):
        written = Layer()
        for number in range(count):
            written.delete_range(TREE, begin + b"%05d" % number, begin + b"%05d5" % number)
        assert steps_of(partial(layers.add, written)) < 200, "it is pushed as it is"
    longest, merge_count = 0, 0
    while layers.wants_merge:
        longest = max(longest, steps_of(partial(layers.merge, 100)))
        merge_count += 1
    assert merge_count > count // 100
    assert longest < 60 * 100
