"""The order of a layer's keys, held against a sorted list; and what a call may cost (D14)."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.parted import PartedMap
from roost.store import key_order
from roost.store.key_order import KeyOrder, KeyValues
from tests.steps import steps_of

KEYS = st.one_of(st.binary(max_size=2), st.integers(0, 300).map(lambda it: b"%03d" % it))
STOPS = st.one_of(st.none(), KEYS)


class Ordering(RuleBasedStateMachine):
    """Blocks are so small that there are many."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(key_order, "BLOCK_COUNT_MAX", 8)
        self.patch.setattr(key_order, "_SORTED_COUNT_MIN", 3)
        self.values: KeyValues = PartedMap(7)
        self.order = KeyOrder(self.values)
        self.keys: set[bytes] = set()

    @rule(key=KEYS)
    def add(self, key: bytes) -> None:
        self.keys.add(key)
        self.values[key] = b""

    @rule(first=st.integers(0, 300), count=st.integers(1, 40))
    def add_neighbours(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.add(b"%03d" % number)

    @rule(first=KEYS, stop=STOPS, count_max=st.one_of(st.none(), st.integers(1, 12)))
    def take(self, first: bytes, stop: bytes | None, count_max: int | None) -> None:
        expected = self.in_range(first, stop)[:count_max]
        assert self.order.take(first, stop, count_max) == expected
        self.keys.difference_update(expected)
        assert set(self.values) == self.keys

    @rule(first=KEYS, stop=STOPS)
    def iterate(self, first: bytes, stop: bytes | None) -> None:
        expected = self.in_range(first, stop)
        assert list(self.order.iterate(first, stop)) == expected
        assert list(self.order.iterate(first, stop, reverse=True)) == expected[::-1]

    @rule(left=st.integers(0, 20), first=KEYS, stop=STOPS)
    def starve(self, left: int, first: bytes, stop: bytes | None) -> None:
        """An allocation fails in the middle; whatever was half moved, no key is lost."""

        def failing(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise MemoryError
                return call(*args)

            return run

        with pytest.MonkeyPatch.context() as patch:
            for name in ("insort", "bisect_left", "bisect_right"):
                patch.setattr(key_order, name, failing(getattr(key_order, name)))
            with contextlib.suppress(MemoryError):
                self.keys.difference_update(self.order.take(first, stop))
        assert set(self.values) == self.keys
        assert self.order.keys() == sorted(self.keys)

    def in_range(self, first: bytes, stop: bytes | None) -> list[bytes]:
        return sorted(it for it in self.keys if it >= first and (stop is None or it < stop))

    @invariant()
    def no_block_is_long_and_none_is_empty(self) -> None:
        sizes = [len(it) for it in self.order._blocks]
        assert all(0 < it <= 8 for it in sizes)

    def teardown(self) -> None:
        assert self.order.keys() == sorted(self.keys)
        self.patch.undo()


Ordering.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_it_is_a_sorted_list = pytest.mark.slow(Ordering.TestCase)


def test_putting_new_keys_in_order_does_not_cost_more_the_more_there_are() -> None:
    dice = random.Random(7)
    values: KeyValues = PartedMap()
    order = KeyOrder(values)
    steps: list[int] = []
    for _ in range(60):
        values.update((dice.randbytes(8), b"") for _ in range(key_order.FRESH_COUNT_MAX))
        steps.append(steps_of(order.put_in_order))
    assert max(steps) < 8 * key_order.FRESH_COUNT_MAX
