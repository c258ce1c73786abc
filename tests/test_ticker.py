"""Work done again and again: an error is neither lost nor the end of it."""

from collections.abc import Callable, Coroutine

import pytest

from roost.sim.members.loop import pass_time, run_virtually
from roost.ticker import Ticker


def virtually(story: Callable[[], Coroutine[None, None, None]]) -> None:
    run_virtually(story())


def test_the_first_turn_comes_after_an_interval_and_then_one_each() -> None:
    async def story() -> None:
        done: list[int] = []
        ticker = Ticker(2, lambda: done.append(1))
        ticker.start()
        for expected in range(4):
            await pass_time(0.5 if not expected else 2)
            assert len(done) == expected
        ticker.stop()
        await pass_time(10)
        assert len(done) == 3

    virtually(story)


def test_work_may_end_itself() -> None:
    """The next turn is set before the work runs, or an end from within would be forgotten."""

    async def story() -> None:
        done: list[int] = []

        def work() -> None:
            done.append(1)
            ticker.stop()

        ticker = Ticker(1, work)
        ticker.start()
        await pass_time(10)
        assert done == [1]

    virtually(story)


def test_an_error_is_said_and_counted_and_the_next_turn_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        turns: list[int] = []

        def work() -> None:
            turns.append(1)
            if len(turns) % 2:
                raise OSError("the disk")

        ticker = Ticker(1, work)
        ticker.start()
        await pass_time(4.5)
        ticker.stop()
        assert (len(turns), ticker.failed_count) == (4, 2)

    virtually(story)
    assert caplog.text.count("OSError: the disk") == 2


def test_who_never_began_may_be_stopped() -> None:
    Ticker(1, lambda: None).stop()
