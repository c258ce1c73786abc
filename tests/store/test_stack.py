"""The stack of layers: every state that is held reads as it was, whatever happens above it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.store import stack
from roost.store.layer import Layer, TreeLayer
from roost.store.stack import SEALED_COUNT_FREE, Held, LayerStack
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
    large.add(layer_of(50_000))
    layers = list(large.layers)
    hold = large.hold() if how == "released" else None
    if how == "cleared":
        assert steps_of(large.clear) < 200
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
        assert steps_of(large.free) < 25_000
        left.append(large.old_count)
    assert left[0] == 50_000
    assert len(left) >= 5


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
