"""Who waits for what is counted: answered when it is durable, so many in a turn."""

from typing import cast

import pytest

from roost.counters import work as module
from roost.counters.changing import Steps
from roost.counters.early import Early
from roost.counters.errors import CounterStoreFull
from roost.counters.store import Answer, Store
from roost.counters.work import ANSWERS_A_TURN, Work
from roost.errors import OutcomeUnknown, Overloaded, RoostError
from roost.slices import Slices

Told = list[int | None] | RoostError


class NoStep:
    """A store whose steps the test counts."""

    def __init__(self) -> None:
        self.step = 1

    def take_step(self) -> None:
        """None is due."""

    def begin(self, _store: Store) -> Steps:
        yield
        return Answer(values=[self.step], step=self.step)


class Asking:
    """What is asked, and what everybody is told."""

    def __init__(self) -> None:
        self.store, self.work, self.told = NoStep(), Work(), list[Told]()

    def ask(self, count: int) -> None:
        for _ in range(count):
            self.work.ask(1, self.store.begin, self.told.append)

    def turns(self) -> None:
        while not self.work.is_idle:
            self.work.take_turn(cast("Store", self.store))


@pytest.mark.pure("its store is a fake")
def test_those_who_wait_for_one_step_are_answered_so_many_in_a_turn() -> None:
    """Issue 14: all that had gathered while a slow disk wrote were answered at once."""
    it = Asking()
    it.ask(3 * ANSWERS_A_TURN)
    it.turns()
    it.store.step = 2
    it.ask(1)
    it.turns()
    counts = []
    while it.work.has_answers(1):
        before = len(it.told)
        it.work.answer(1)
        counts.append(len(it.told) - before)
    assert counts == [ANSWERS_A_TURN] * 3
    assert it.told == [[1]] * (3 * ANSWERS_A_TURN)
    assert it.work.waiting_count == 1


@pytest.mark.pure("its store is a fake")
def test_when_the_store_fails_so_many_are_told_in_a_turn_and_what_is_durable_counts() -> None:
    it = Asking()
    it.ask(2)
    it.turns()
    it.store.step = 2
    it.ask(3)
    it.turns()
    it.ask(10)
    slices = Slices(4, lambda: None)
    slices.run(it.work.failing(CounterStoreFull("full"), 1))
    assert (len(it.told), it.work.waiting_count) == (4, 0)
    it.ask(1)
    while len(slices):
        slices.begin_turn()
    kinds = [type(outcome) for outcome in it.told]
    assert kinds == [CounterStoreFull] * 10 + [list] * 2 + [OutcomeUnknown] * 3
    assert it.work.waiting_count == 1, "who came later is none of them"


def test_who_came_early_goes_on_so_many_in_a_turn() -> None:
    slices, on = Slices(4, lambda: None), list[RoostError | None]()
    early = Early(slices)
    join = early.wait
    for number in range(10):
        join(on.append, float(number))
    full = CounterStoreFull("full")
    early.look(full, 3.5)
    assert on == [full] * 2
    early.look(None, 3.5)
    assert len(on) == 4
    while len(slices):
        slices.begin_turn()
    assert on == [full] * 2 + [None] * 8


def test_only_so_many_wait() -> None:
    it = Asking()
    it.ask(module.QUEUE_COUNT_MAX + 1)
    assert [type(outcome) for outcome in it.told] == [Overloaded]
    assert it.work.refused_count == 1
