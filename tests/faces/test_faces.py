"""What a blocking face does, shown by the example's."""

import gc
import os
import threading

import pytest

from roost.faces import CalledInsideLoop, Closed, Forked, LoopThread
from roost.testing.patience import wait_until
from tests.faces.example.aio.counting import Counter as AsyncCounter
from tests.faces.example.blocking import Counter, Step, open_counter


def inner(counter: Counter) -> AsyncCounter:
    """What the face is of."""
    return counter._inner


def threads() -> set[str]:
    return {it.name for it in threading.enumerate() if it.name.startswith("roost-counter")}


def test_a_call_runs_on_the_loops_thread_and_its_caller_gets_the_result() -> None:
    with Counter(1) as counter:
        assert counter.add(2, 3, times=2) == 11
        assert inner(counter).threads == {"roost-counter"}
    assert inner(counter).ended == ["closed"]
    assert not threads()


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


def test_a_callback_may_make_blocking_calls_itself() -> None:
    told: list[int] = []
    over = threading.Event()

    def on_add(total: int) -> None:
        told.append(total)
        if total < 3:
            counter.add(1)
        else:
            over.set()

    counter = Counter(on_add=on_add)
    with counter:
        counter.add(1)
        assert over.wait(30)
    assert told == [1, 2, 3]


def test_a_callback_that_fails_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    def on_add(total: int) -> None:
        if total == 1:
            raise ValueError("no")
        over.set()

    with Counter(on_add=on_add) as counter:
        counter.add(1)
        counter.add(1)
        assert over.wait(30)
    assert "what roost-counter called back failed" in caplog.text


def test_nothing_can_be_called_after_the_end() -> None:
    counter = Counter()
    counter.add(1)
    counter.close()
    counter.close()
    with pytest.raises(Closed, match="open another one"):
        counter.add(1)


def test_whoever_waits_when_it_is_closed_is_told() -> None:
    counter, told = Counter(), list[BaseException]()

    def wait() -> None:
        try:
            counter.wait()
        except Closed as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: bool(threads()))
    counter.close()
    waiting.join()
    assert len(told) == 1


def test_a_blocking_call_from_the_loop_itself_is_refused() -> None:
    with Counter() as counter:
        loop = counter._loop

        async def call() -> None:
            counter.add(1)

        with pytest.raises(CalledInsideLoop, match="would never return"):
            loop.call(call())


def test_whoever_is_interrupted_leaves_nothing_running() -> None:
    import signal

    class Stop(Exception):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with Counter() as counter:
            counter.add(1)
            kicked = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
            kicked.start()
            with pytest.raises(Stop):
                counter.wait()
            assert inner(counter).ended == ["waited"]
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_has_to_open_its_own() -> None:
    with Counter() as counter:
        counter.add(1)
        child = os.fork()
        if not child:
            code = 1
            try:
                counter.add(1)
            except Forked:
                counter.close()
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert counter.add(1) == 2


def test_a_loop_that_was_never_used_has_no_thread() -> None:
    LoopThread("roost-unused").close()
    assert not [it for it in threading.enumerate() if it.name.startswith("roost-unused")]
