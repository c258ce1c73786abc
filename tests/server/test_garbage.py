"""Garbage: a bounded part of a turn, all of it when nobody waits or memory is short."""

import gc
from collections.abc import Iterator

import pytest

from roost.server.garbage import EVERY_S, LATEST_S, MIDDLE, SHORT_EVERY_S, YOUNG, Garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Cycle:
    """Is freed by the collector only."""

    def __init__(self) -> None:
        self.itself = self


class Member:
    """Its clock and its memory."""

    def __init__(self) -> None:
        self.now_s = 5.0
        self.is_short = False
        self.garbage = Garbage(lambda: self.is_short, lambda: self.now_s)
        self.garbage.begin()

    def looks_at_all(self, passed_s: float, *, is_idle: bool) -> bool:
        """Whether a cycle that is old is freed."""
        oldest: list[int] = []

        def note(phase: str, told: dict[str, int]) -> None:
            if phase == "stop" and told["generation"] == 2:
                oldest.append(told["collected"])

        cycle = Cycle()
        gc.collect(1)  # it is old now
        del cycle
        self.now_s += passed_s
        gc.callbacks.append(note)
        try:
            self.garbage.on_beat(is_idle)
        finally:
            gc.callbacks.remove(note)
        return bool(oldest and oldest[0] >= 1)


def test_all_is_looked_at_when_nobody_waits_and_not_often() -> None:
    member = Member()
    assert not member.looks_at_all(EVERY_S - 1, is_idle=True)
    assert not member.looks_at_all(1, is_idle=False)
    assert member.looks_at_all(1, is_idle=True)
    assert not member.looks_at_all(EVERY_S - 1, is_idle=True)


def test_a_loop_that_is_never_idle_is_held_for_it_once_a_minute() -> None:
    member = Member()
    assert not member.looks_at_all(LATEST_S - 1, is_idle=False)
    assert member.looks_at_all(1, is_idle=False)
    assert not member.looks_at_all(LATEST_S - 1, is_idle=False)


def test_where_memory_is_short_it_does_not_wait_for_an_idle_loop() -> None:
    member = Member()
    member.is_short = True
    assert not member.looks_at_all(SHORT_EVERY_S - 1, is_idle=False)
    assert member.looks_at_all(1, is_idle=False)
    assert not member.looks_at_all(1, is_idle=False)


def test_by_itself_the_collector_never_looks_at_all_or_at_many() -> None:
    """Issue 14: a million were looked at in one turn of 0.8 s, and the leader lost its office."""
    Member()
    looked: list[int] = []
    held: list[list[int]] = []
    seen = 0

    def note(phase: str, told: dict[str, int]) -> None:
        nonlocal seen
        if phase == "start":
            assert told["generation"] < 2
            looked.append(len(held) - seen if told["generation"] else 0)
            seen = len(held) if told["generation"] else seen

    gc.callbacks.append(note)
    try:
        held.extend([it] for it in range(10 * YOUNG * MIDDLE))
    finally:
        gc.callbacks.remove(note)
    assert len(looked) > 5 * MIDDLE
    assert 0 < max(looked) <= YOUNG * (MIDDLE + 3)
