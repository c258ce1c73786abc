"""Steps by what they cost: whoever drives them, they come to the same, and a slice is bounded."""

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.errors import ModelRefused
from roost.etcd.model.costs import INLINE_ROWS_MAX, SLICE_ROWS, at_once, in_slices, within_a_turn
from roost.store import InlineKeeper, Store, StoreConfig

COSTS = st.lists(st.integers(0, SLICE_ROWS + 9), max_size=40)


class Walk:
    """Steps that remember how far they were driven."""

    def __init__(self, costs: list[int]) -> None:
        self.costs = costs
        self.done = 0

    def steps(self) -> Generator[int, None, bytes]:
        for cost in self.costs:
            self.done += 1
            yield cost
        return b"the end"


@given(COSTS)
def test_all_at_once_they_come_to_their_end(costs: list[int]) -> None:
    assert at_once(Walk(costs).steps()) == b"the end"


@given(COSTS)
@example([INLINE_ROWS_MAX])
@example([INLINE_ROWS_MAX + 1])
@example([INLINE_ROWS_MAX, 1])
def test_what_costs_more_than_a_turn_has_comes_to_nothing_and_is_left_there(
    costs: list[int],
) -> None:
    """The model adds up; whoever is told None has no more than one step too many behind it."""
    walk = Walk(costs)
    found = within_a_turn(walk.steps())
    assert found == (b"the end" if sum(costs) <= INLINE_ROWS_MAX else None)
    assert sum(costs[: max(0, walk.done - 1)]) <= INLINE_ROWS_MAX


def test_what_is_refused_on_its_way_has_cost_what_it_did_until_then(tmp_path: Path) -> None:
    def steps() -> Generator[int, None, bytes]:
        yield 7
        yield 100
        raise ModelRefused(9, "not now")

    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(tmp_path, is_synced=False))
    txn = store.begin()
    with pytest.raises(ModelRefused):
        within_a_turn(steps(), txn)
    assert txn.cost == 107
    store.close()


@given(COSTS)
def test_a_slice_ends_with_the_step_that_fills_it(costs: list[int]) -> None:
    """The model cuts the costs wherever their sum has reached a slice."""
    wanted, part = [], 0
    for number, cost in enumerate(costs, 1):
        part += cost
        if part >= SLICE_ROWS:
            wanted.append(number)
            part = 0
    walk, ends, come_to = Walk(costs), list[int](), list[bytes]()

    def drive() -> Generator[None, None, None]:
        come_to.append((yield from in_slices(walk.steps())))

    for _ in drive():
        ends.append(walk.done)
    assert ends == wanted
    assert come_to == [b"the end"]
