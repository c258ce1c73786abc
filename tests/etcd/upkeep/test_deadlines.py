"""Deadlines against a dumb model: never early, whatever the clock does."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roost.etcd.upkeep.deadlines import SLICE_ROWS, STEP_S_MAX, Deadlines
from tests.steps import steps_of

LATE_S = 0.02


class Clock(RuleBasedStateMachine):
    """Deadlines against a dumb model: never early; late only by what nobody could use."""

    def __init__(self) -> None:
        super().__init__()
        self.clock_s = 50.0
        self.deadlines = Deadlines(lambda: self.clock_s)
        self.deadlines.advance()
        self.usable_s = 0.0
        self.model: dict[bytes, float] = {}

    @rule(seconds=st.floats(0, 5))
    def pass_time(self, seconds: float) -> None:
        self.clock_s += seconds
        self.deadlines.advance()
        self.usable_s += min(seconds, STEP_S_MAX)

    @rule(
        name=st.sampled_from([b"a", b"b", b"c"]),
        seconds=st.one_of(st.floats(0, 10), st.floats(0, 1e6), st.sampled_from([8.0, 16.0, 0.5])),
    )
    def extend(self, name: bytes, seconds: float) -> None:
        self.deadlines.extend(name, seconds)
        self.model[name] = max(self.model.get(name, 0.0), self.usable_s + seconds)

    @rule()
    def clear(self) -> None:
        self.deadlines.clear()
        self.model.clear()
        while self.deadlines.free(2):
            pass

    @rule(name=st.sampled_from([b"a", b"b", b"c"]))
    def forget(self, name: bytes) -> None:
        self.deadlines.forget(name)
        self.model.pop(name, None)

    @precondition(lambda self: self.model)
    @rule(count_max=st.integers(1, 3), left=st.integers(0, 2))
    def take(self, count_max: int, left: int) -> None:
        self.deadlines.look_through(left)
        due = self.deadlines.take_due(count_max)
        late = {it for it, at_s in self.model.items() if at_s < self.usable_s - LATE_S}
        for name in due:
            assert self.model[name] <= self.usable_s + 1e-6
            self.forget(name)
        assert len(due) == count_max or late <= set(due), "late by a slot at most"

    @rule(seconds=st.floats(0, 1e4))
    def pass_much_time(self, seconds: float) -> None:
        """As far as that can be: a clock that jumps is a step of its."""
        self.clock_s += seconds
        self.deadlines.advance()
        self.usable_s += min(seconds, STEP_S_MAX)

    @invariant()
    def agrees(self) -> None:
        assert len(self.deadlines) == len(self.model)
        for name, at in self.model.items():
            assert self.deadlines.remaining_s(name) == pytest.approx(
                max(0.0, at - self.usable_s), abs=1e-6
            )


TestClock = Clock.TestCase
TestClock.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_no_call_is_long_however_many_there_are() -> None:
    """Half of a million were forgotten, or all were renewed: one call took 0.35 s."""
    clock_s, count, few = 0.0, 4 * SLICE_ROWS, 100
    deadlines = Deadlines(lambda: clock_s)
    names = [b"%05d" % number for number in range(count)]

    def steps_with_each(call: Callable[[bytes], None], of: list[bytes]) -> int:
        """The most that a hundred calls take."""
        begins = range(0, len(of), few)
        return max(steps_of(lambda: list(map(call, of[at : at + few]))) for at in begins)  # noqa: B023 - at once

    steps = [steps_with_each(lambda it: deadlines.extend(it, 30), names)]
    clock_s = 0.5
    steps.append(steps_with_each(lambda it: deadlines.extend(it, 31), names))
    kept, gone = names[::8], [it for it in names if it not in set(names[::8])]
    steps.append(steps_with_each(deadlines.forget, gone))
    assert max(steps) < few * 60
    for name in gone:
        deadlines.extend(name, 29.5)
        deadlines.extend(name, 31)
    while clock_s < 30.5:
        clock_s += STEP_S_MAX
        deadlines.advance()
    turns, has_more = 0, [True]
    while has_more[-1]:
        assert (
            steps_of(lambda: has_more.append(deadlines.look_through(SLICE_ROWS))) < 40 * SLICE_ROWS
        )
        turns += 1
    assert turns >= count // SLICE_ROWS
    assert deadlines.take_due(10) == [], "all were renewed"
    clock_s += STEP_S_MAX
    found: set[bytes] = set()
    while due := deadlines.take_due(100):
        assert not found & set(due), "named again in a second"
        found |= set(due)
    assert found == {*kept, *gone}


def test_who_ran_out_first_is_named_first_and_who_was_named_stands_behind() -> None:
    """The last ones were named first: where more run out than are revoked, the first waited."""
    clock_s = 0.0
    deadlines = Deadlines(lambda: clock_s)
    deadlines.advance()
    for number in range(30):
        deadlines.extend(b"%02d" % number, 0.5 + 0.1 * number)
    found: list[bytes] = []
    while len(set(found)) < 30:
        clock_s += 0.3
        found += deadlines.take_due(2)
        assert clock_s < 60, "somebody waits for ever"
    assert list(dict.fromkeys(found)) == sorted(set(found))


@pytest.mark.pure("a method is patched")
def test_without_memory_for_a_step_nobody_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id left one place before it stood in the next: its lease never ended."""
    clock_s, left = 0.0, 0
    deadlines = Deadlines(lambda: clock_s)
    deadlines.advance()
    stand = Deadlines._stand

    def failing(self: Deadlines, name: bytes, at_s: float) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise MemoryError
        stand(self, name, at_s)

    names = {b"%02d" % number for number in range(20)}
    for name in names:
        deadlines.extend(name, 9.0)
        deadlines.extend(name, 9.5)
    monkeypatch.setattr(Deadlines, "_stand", failing)
    found: set[bytes] = set()
    for left in [0, 3, 0, 5, *range(40)]:  # noqa: B007 - `failing` counts it down
        clock_s += 0.5
        with contextlib.suppress(MemoryError):
            deadlines.look_through(5)
        with contextlib.suppress(MemoryError):
            found |= set(deadlines.take_due(4))
        if clock_s < 9:
            with contextlib.suppress(MemoryError):
                deadlines.extend(b"new", 5.0)
    assert found >= names
    for name in [*names, b"new"]:
        deadlines.forget(name)
    assert len(deadlines) == 0
