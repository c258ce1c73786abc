"""What rooms have done again and again: from the member's start to its end, whoever fails."""

from collections.abc import Callable, Coroutine

import pytest

from roost.member.periodic import Periodic
from roost.sim.members.loop import pass_time, run_virtually


def virtually(story: Callable[[], Coroutine[None, None, None]]) -> None:
    run_virtually(story())


def test_work_is_done_while_the_member_runs_and_at_no_other_time() -> None:
    async def story() -> None:
        periodic, done = Periodic(), list[str]()
        periodic.every(2, lambda: done.append("early"))
        await pass_time(10)
        assert done == [], "the member does not run yet"
        periodic.start()
        periodic.every(5, lambda: done.append("late"))
        await pass_time(10.5)
        assert (done.count("early"), done.count("late")) == (5, 2)
        periodic.stop()
        await pass_time(10)
        assert len(done) == 7

    virtually(story)


def test_one_that_fails_is_counted_and_hinders_nobody_nor_itself() -> None:
    async def story() -> None:
        periodic, done = Periodic(), list[int]()

        def fail() -> None:
            raise ValueError("of a room")

        periodic.every(1, fail)
        periodic.every(1, lambda: done.append(1))
        periodic.start()
        await pass_time(3.5)
        assert (periodic.failed_count, len(done)) == (3, 3)
        periodic.stop()

    virtually(story)


@pytest.mark.parametrize("interval_s", [0, -1])
def test_work_without_a_pause_is_a_fault_of_ours(interval_s: float) -> None:
    with pytest.raises(AssertionError, match="loop"):
        Periodic().every(interval_s, lambda: None)
