"""Calls that may hang, side by side."""

import threading

import pytest

from roost.cli.doctor.bounded import SIDE_BY_SIDE_MAX, ask_all


def test_answers_come_in_the_order_of_the_calls() -> None:
    both = threading.Barrier(2)

    def meet(name: str) -> str:
        assert both.wait(60) in (0, 1)
        return name

    assert ask_all([lambda: meet("a"), lambda: meet("b")], 60) == ["a", "b"]
    many = [lambda it=it: it for it in range(SIDE_BY_SIDE_MAX + 3)]
    assert ask_all(many, 60) == list(range(SIDE_BY_SIDE_MAX + 3))
    assert ask_all([], 60) == []


def test_who_does_not_answer_is_nobody_and_is_told_to_stop() -> None:
    stop = threading.Event()
    ended = threading.Event()

    def hang() -> str:
        assert stop.wait(60)
        ended.set()
        return "too late"

    assert ask_all([hang, lambda: "here"], 0.05, stop) == [None, "here"]
    assert ended.wait(60)


def test_what_a_call_raises_is_raised() -> None:
    def fail() -> str:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        ask_all([fail], 60)
