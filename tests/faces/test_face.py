"""What a blocking face does, shown by the example's: whom it gives faces, and whose loop it has."""

import gc
import threading

import pytest

from roost.faces import Closed, LoopThread
from roost.testing.patience import wait_until
from tests.faces.example.aio.counting import Counter as AsyncCounter
from tests.faces.example.blocking import Counter, Step, open_counter


def inner(counter: Counter) -> AsyncCounter:
    """What the face is of."""
    return counter._inner


def threads() -> set[str]:
    return {it.name for it in threading.enumerate() if it.name.startswith("roost-counter")}


def test_what_cannot_be_made_leaves_nothing_behind() -> None:
    with pytest.raises(ValueError, match="it is negative"):
        Counter(-1)
    with pytest.raises(ValueError, match="it is negative"):
        open_counter(-1)
    assert not threads()


def test_a_function_that_opens_gives_the_loop_away() -> None:
    with open_counter(5) as counter:
        assert counter.add(1) == 6
    assert not threads()


def test_what_is_returned_has_a_face_too_and_is_taken_again() -> None:
    with Counter() as counter:
        step = counter.step(3)
        assert isinstance(step, Step)
        assert (step.size, step.take()) == (3, 3)
        found = counter.find(2)
        assert found is not None
        assert counter.measure(step, found) == 5
        assert counter.measure(step) == 3
        assert counter.find(0) is None
        assert [it.take() for it in counter.steps(1, 2)] == [4, 6]


def test_a_loop_is_iterated_and_a_generator_that_is_left_is_closed() -> None:
    with Counter() as counter:
        assert list(counter.up_to(3)) == [1, 2, 3]
        numbers = counter.up_to(9)
        assert next(numbers) == 4
        numbers.close()
        assert inner(counter).ended == ["counted", "counted"]
        for number in counter.up_to(9):
            if number == 6:
                break
        gc.collect()
        wait_until(lambda: len(inner(counter).ended) == 3)


def test_a_translated_body_runs_in_the_callers_thread() -> None:
    seen: list[str] = []

    def change(number: int) -> int:
        seen.append(threading.current_thread().name)
        return number + 1

    with Counter(3) as counter:
        assert counter.twice(change) == 5
    assert seen == [threading.current_thread().name] * 2


def test_whoever_closes_while_another_thread_does_is_not_told_that_it_was_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = Counter()
    counter.add(1)
    counter.close()
    # What a thread sees that looked just before the other one had ended the loop.
    monkeypatch.setattr(LoopThread, "is_over", False)
    counter.close()
    with pytest.raises(Closed):
        counter.add(1)
    assert not threads()
