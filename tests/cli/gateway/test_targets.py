"""Whose turn it is."""

import random

from hypothesis import given
from hypothesis import strategies as st

from roost.cli.gateway.targets import Target, Targets


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def targets_of(clock: Clock, *targets: Target) -> Targets:
    return Targets(targets, rest_s=60.0, clock_s=clock, dice=random.Random(7))


A, B, C = (Target(name, 1) for name in "abc")


def firsts(targets: Targets, count: int) -> list[str]:
    return [next(targets.in_turn()).host for _ in range(count)]


def test_equals_have_turns() -> None:
    targets = targets_of(Clock(), A, B, C)
    assert sorted(firsts(targets, 6)) == [*"aabbcc"]


def test_who_fails_rests_and_comes_again() -> None:
    clock = Clock()
    targets = targets_of(clock, A, B)
    targets.failed(A)
    assert firsts(targets, 3) == [*"bbb"]
    assert targets.due == []
    clock.now_s = 61.0
    assert targets.due == [A]
    assert targets.worked(A)
    assert not targets.worked(A)
    assert sorted(firsts(targets, 2)) == [*"ab"]


def test_when_all_rest_all_are_tried() -> None:
    targets = targets_of(Clock(), A, B)
    for it in (A, B):
        targets.failed(it)
    assert {it.host for it in targets.in_turn()} == {*"ab"}


def test_one_that_fails_on_the_way_is_not_tried_twice() -> None:
    targets = targets_of(Clock(), A, B, C)
    tried = []
    for it in targets.in_turn():
        tried.append(it.host)
        targets.failed(it)
    assert sorted(tried) == [*"abc"]


def test_a_lower_priority_comes_first_and_weights_are_shares() -> None:
    clock = Clock()
    heavy, light = Target("heavy", 1, weight=30), Target("light", 1, weight=10)
    last = Target("last", 1, priority=1)
    targets = targets_of(clock, heavy, light, last)
    found = firsts(targets, 400)
    assert 240 < found.count("heavy") < 360
    assert "last" not in found
    for it in (heavy, light):
        targets.failed(it)
    assert firsts(targets, 2) == ["last", "last"]


def test_what_is_replaced_forgets_who_is_gone() -> None:
    targets = targets_of(Clock(), A, B)
    targets.failed(A)
    targets.failed(B)
    targets.replace([B, C])
    assert [targets.rests(it) for it in (A, B, C)] == [False, True, False]
    targets.failed(A)
    assert not targets.rests(A), "who is gone does not rest either"


@given(st.lists(st.builds(Target, st.sampled_from("abc"), st.integers(1, 2),
                          st.integers(0, 2), st.integers(0, 3))),
       st.sets(st.integers(0, 10)))  # fmt: skip
def test_each_is_tried_once_whoever_rests(known: list[Target], failed: set[int]) -> None:
    targets = targets_of(Clock(), *known)
    for position in failed:
        if position < len(known):
            targets.failed(known[position])
    tried = list(targets.in_turn())
    assert len(tried) == len(set(tried))
    assert set(tried) == set(known)
