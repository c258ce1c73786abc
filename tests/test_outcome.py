"""Whoever is told an outcome can harm nobody but itself, and is told one."""

import pytest

from roost.errors import AnswerFailed, DeviceFault, NoLeader, RoostError, ShortOfMemory
from roost.outcome import Outcome, told, told_read


def test_what_a_callback_raises_comes_back_to_it_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        heard.append(outcome)
        if isinstance(outcome, bytes):
            raise ZeroDivisionError("a bug")

    told(done)(b"result")
    assert heard[0] == b"result"
    assert isinstance(heard[1], AnswerFailed)
    assert len(heard) == 2
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_callback_that_cannot_be_told_anything_is_left_alone() -> None:
    count = 0

    def done(_error: RoostError | None) -> None:
        nonlocal count
        count += 1
        raise ValueError("again")

    told_read(done)(NoLeader("nobody"))
    assert count == 2


def test_a_fault_of_the_device_is_told_and_goes_on() -> None:
    """The member must learn of it: it is not about the request."""
    heard: list[RoostError | None] = []

    def done(error: RoostError | None) -> None:
        heard.append(error)
        if error is None:
            raise DeviceFault("a value has changed")

    with pytest.raises(DeviceFault):
        told_read(done)(None)
    assert isinstance(heard[1], AnswerFailed)


def test_a_read_whose_answer_finds_no_memory_is_refused_and_a_write_is_in_doubt() -> None:
    """A read changes nothing, so its caller can be told that nothing was done."""
    heard: list[Outcome | None] = []

    def done(outcome: Outcome | None) -> None:
        heard.append(outcome)
        if len(heard) in (1, 3):
            raise MemoryError

    told_read(done)(None)
    told(done)(b"result")
    assert [type(it) for it in heard] == [type(None), ShortOfMemory, bytes, AnswerFailed]
