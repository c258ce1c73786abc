"""Histories and models: what is one call, what is dropped, and what is said of an answer."""

from dataclasses import dataclass
from math import inf
from typing import Any

import pytest

import roost
from roost.sim.programs.errors import BadModel
from roost.sim.programs.history import Call, History, judge
from roost.sim.programs.model import Arguments, Judged, Refusal, Returned
from roost.testing import DictModel


class Counter(DictModel):
    def add(self, count: int) -> int:
        if self.get("n", 0) + count > 9:
            raise roost.Refused(code="full")
        self["n"] = self.get("n", 0) + count
        return int(self["n"])

    def pair(self) -> tuple[int, list[int]]:
        return self.get("n", 0), []


class Told:
    """A history that is told call by call."""

    def __init__(self) -> None:
        self.history = History()

    def add(self, count: int, began_s: float, once: str | None = None) -> Call:
        return self.history.begin("add", Arguments((count,), {}), began_s, once)

    def answer(self, call: Call, value: Any, now_s: float, once: str | None = None) -> None:
        self.history.end(call, Returned(value), now_s, once)


def why(told: Told) -> str:
    return judge(told.history, Judged(Counter))


def test_a_history_that_could_have_happened_is_none_to_speak_of() -> None:
    told = Told()
    one, two = told.add(1, 0.0), told.add(2, 0.5)
    told.answer(two, 2, 1.0)
    told.answer(one, 3, 1.5)
    assert why(told) == ""


def test_the_first_answer_that_nothing_explains_is_named() -> None:
    told = Told()
    for count, value in enumerate((0, 1, 3, 7, 12)):
        told.answer(told.add(count, count), value, count + 0.5)
    assert why(told).startswith("add(3) = 7, called at 3.0000 s and answered at 3.5000 s")


def test_a_refusal_must_be_the_models_too() -> None:
    told = Told()
    told.answer(told.add(9, 0.0), 9, 0.5)
    told.history.end(told.add(1, 1.0), Refusal("full"), 1.5, None)
    assert why(told) == ""
    told.history.end(told.add(0, 2.0), Refusal("full"), 2.5, None)
    assert why(told).startswith("add(0) refused 'full'")


def test_what_nobody_knows_happened_before_it_was_applied_or_not_at_all() -> None:
    told = Told()
    lost, dropped = told.add(1, 0.0), told.add(5, 0.0)
    for it in (lost, dropped):
        told.history.lose(it, None)
    told.answer(told.add(2, 1.0), 3, 1.5)
    told.history.find({lost.number: 1.2})
    assert [it.number for it in told.history.calls] == [1, 3]
    assert why(told) == ""
    lost.returned_s = 0.9
    told.history.calls[1].said = Returned(2)
    assert why(told).startswith("add(2) = 2"), "it was applied before"


def test_calls_of_one_key_are_one_from_the_first_to_the_answer() -> None:
    told = Told()
    first = told.add(1, 0.0, "k")
    told.history.lose(first, "k")
    second = told.add(1, 2.0, "k")
    assert second.number == first.number
    told.history.lose(second, "k")
    third = told.add(1, 4.0, "k")
    told.answer(third, 1, 5.0, "k")
    assert told.history.calls == [first]
    assert (first.called_s, first.returned_s, first.said) == (0.0, 5.0, Returned(1))
    told.answer(told.add(1, 6.0, "k"), 1, 7.0, "k")
    assert told.history.calls == [first]
    assert first.returned_s == 5.0


def test_a_call_that_came_later_and_was_answered_first_is_the_same_one() -> None:
    told = Told()
    early, late = told.add(1, 0.0, "k"), told.add(1, 1.0, "k")
    told.answer(late, 1, 2.0, "k")
    told.answer(early, 1, 3.0, "k")
    assert told.history.calls == [late]
    assert (late.called_s, late.returned_s) == (0.0, 2.0)


def test_a_refusal_answers_no_earlier_call() -> None:
    told = Told()
    first = told.add(1, 0.0, "k")
    told.history.lose(first, "k")
    second = told.add(1, 1.0, "k")
    told.history.end(second, Refusal("full"), 2.0, "k")
    assert told.history.calls == [first, second]
    assert first.returned_s == inf


def test_a_call_that_did_not_run_leaves_nothing() -> None:
    told = Told()
    told.history.drop(told.add(1, 0.0))
    assert told.history.calls == []


def test_a_tuple_that_came_as_a_list_is_the_same() -> None:
    told = Told()
    call = told.history.begin("pair", Arguments((), {}), 0.0, None)
    told.answer(call, [0, []], 1.0)
    assert why(told) == ""


def test_what_cannot_be_decided_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.sim.programs.history.STEPS_MAX", 3)
    told = Told()
    for count in range(5):
        told.answer(told.add(count, 0.0), 9, 9.0)
    assert "not decided" in why(told)


def test_a_model_keeps_plain_values() -> None:
    class Odd(DictModel):
        def add(self, count: int) -> int:
            self["n"] = bytearray(count) if count else [{"a": {1, 2}, "b": (b"", None)}]
            return count

    told = Told()
    told.answer(told.add(0, 0.0), 0, 1.0)
    assert judge(told.history, Judged(Odd)) == ""

    @dataclass(slots=True)
    class Account:
        amount: int

    class Opaque(DictModel):
        def add(self, count: int) -> int:
            self["n"] = Account(count)
            return count

    with pytest.raises(BadModel, match="cannot be compared"):
        judge(told.history, Judged(Opaque))
