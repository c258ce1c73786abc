"""Who waits too long is told once, in the order of coming, by one timer."""

import asyncio

from roost.etcd.v2.patience import Patience
from roost.sim.members.loop import pass_time, run_virtually


def test_who_is_not_answered_is_late_in_time_and_once() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        patience, late = Patience(10.0), list[tuple[str, float]]()

        def note(name: str) -> None:
            late.append((name, round(loop.time() - begun_s, 1)))

        begun_s = loop.time()
        first = patience.begin(lambda: note("first"))
        await pass_time(1)
        answered = patience.begin(lambda: note("answered"))
        patience.begin(lambda: note("second"))
        assert answered.end()
        assert not answered.end()
        await pass_time(8)

        def note_and_come_again() -> None:
            note("third")
            patience.begin(lambda: note("fourth"))

        # Who comes while others are late is not forgotten.
        patience.begin(note_and_come_again)
        await pass_time(100)
        assert late == [("first", 10.0), ("second", 11.0), ("third", 19.0), ("fourth", 29.0)]
        assert not first.end()
        assert len(patience) == 0

    run_virtually(story())


def test_when_all_is_over_nobody_is_late() -> None:
    async def story() -> None:
        patience, late = Patience(1.0), list[int]()
        patience.begin(lambda: late.append(1))
        patience.stop()
        await pass_time(10)
        assert late == []

    run_virtually(story())
