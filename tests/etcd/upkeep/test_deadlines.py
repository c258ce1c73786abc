"""Deadlines against a dumb model: never early, whatever the clock does."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roost.etcd.upkeep.deadlines import STEP_S_MAX, Deadlines


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

    @rule(name=st.sampled_from([b"a", b"b", b"c"]), seconds=st.floats(0, 10))
    def extend(self, name: bytes, seconds: float) -> None:
        self.deadlines.extend(name, seconds)
        self.model[name] = max(self.model.get(name, 0.0), self.usable_s + seconds)

    @rule(name=st.sampled_from([b"a", b"b", b"c"]))
    def forget(self, name: bytes) -> None:
        self.deadlines.forget(name)
        self.model.pop(name, None)

    @precondition(lambda self: self.model)
    @rule()
    def take(self) -> None:
        for name in self.deadlines.take_due(10):
            assert self.model[name] <= self.usable_s + 1e-6
            self.forget(name)

    @invariant()
    def agrees(self) -> None:
        assert len(self.deadlines) == len(self.model)
        for name, at in self.model.items():
            assert self.deadlines.remaining_s(name) == pytest.approx(
                max(0.0, at - self.usable_s), abs=1e-6
            )


TestClock = Clock.TestCase
TestClock.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
