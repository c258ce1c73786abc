"""Who holds the loop is found out, by name."""

import asyncio
import logging
import sys
from functools import partial

import pytest

from roost.server.loop_watch import BEAT_S, HELD_S, LoopWatch, innermost
from roost.testing.patience import wait_until


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def hold(watch: LoopWatch, clock: Clock) -> None:
    """Hold the loop until the watching thread has seen us at it, and a beat has come after."""
    clock.now_s += BEAT_S + 4 * HELD_S
    # No function of ours runs meanwhile: it would be the one that holds the loop.
    wait_until(partial(getattr, watch, "held_by"))
    before = watch.held_count
    while watch.held_count == before:
        await asyncio.sleep(0)


def test_a_beat_that_comes_late_is_counted_and_said_with_a_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> LoopWatch:
        clock = Clock()
        watch = LoopWatch(clock, package="tests", worked_s=lambda: clock.now_s / 10)
        watch.start()
        try:
            await hold(watch, clock)
            await hold(watch, clock)
        finally:
            watch.stop()
        return watch

    with caplog.at_level(logging.WARNING, "roost.server.loop_watch"):
        watch = asyncio.run(main())
    buckets = dict(watch.turns.buckets())
    assert buckets["+Inf"] - buckets["0.128"] == watch.held_count == 2
    # Two in a second are one line.
    said = [record.getMessage() for record in caplog.records]
    who = "tests.server.test_loop_watch.hold"
    text = f"the loop was held for 200 ms by {who}; it worked 45 of the last 450 ms"
    assert said == [f"{text}, 0 of them at collecting garbage"]


def test_the_innermost_function_of_a_package_is_named() -> None:
    def inner() -> str:
        return innermost(sys._getframe(), "tests")

    name = "test_the_innermost_function_of_a_package_is_named.<locals>.inner"
    assert inner() == f"tests.server.test_loop_watch.{name}"
    assert innermost(sys._getframe(), "nobody") == ""
    assert innermost(None, "tests") == ""


def test_a_loop_that_waits_for_work_is_held_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A machine without a free processor lets it wait, too."""

    class Telling(LoopWatch):
        """Says when it has said something."""

        def _say(self, now: float, late_s: float) -> None:
            super()._say(now, late_s)
            said.set()

    said = asyncio.Event()

    async def main() -> None:
        clock = Clock()
        watch = Telling(clock, package="tests")
        watch.start()
        try:
            clock.now_s += BEAT_S + 4 * HELD_S
            await said.wait()
        finally:
            watch.stop()

    with caplog.at_level(logging.WARNING, "roost.server.loop_watch"):
        asyncio.run(main())
    assert "held for 200 ms by nobody we saw" in caplog.text
