"""Counting in virtual time: a little a turn, at once when a write has made some, and none lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.upkeep.counting import BLOCKS_A_TURN, LOOK_S, Counting
from roost.sim.members.loop import pass_time, run_virtually, until_idle


class Counts:
    """Blocks that wait to be counted; in which turn of the loop each was."""

    def __init__(self) -> None:
        self.left = 0
        self.on_work: Callable[[], None] = lambda: None
        self.turns: Counter[float] = Counter()

    @property
    def is_done(self) -> bool:
        return not self.left

    def go_on(self) -> None:
        if self.left:
            self.left -= 1
            self.turns[asyncio.get_running_loop().time()] += 1

    def add(self, count: int, *, is_told: bool) -> None:
        """There is work; only what a write has made is told, and only when there was none."""
        was_done = self.is_done
        self.left += count
        if is_told and was_done and count:
            self.on_work()


def story(tell: Callable[[Counts, Counting], Awaitable[None]]) -> None:
    async def main() -> None:
        counts: Any = Counts()
        counting = Counting(SimpleNamespace(key_counts=counts))  # type: ignore[arg-type]  # a stub
        await tell(counts, counting)
        counting.stop()
        counts.add(1, is_told=True)
        await pass_time(3 * LOOK_S)
        assert counts.left, "who has stopped counts no more"

    run_virtually(main())


@given(
    st.integers(0, 20),
    st.lists(st.tuples(st.sampled_from(["told", "found", "turn", "time"]), st.integers(0, 9))),
)
def test_all_is_counted_and_a_turn_takes_no_more_than_its_share(
    before: int, actions: list[tuple[str, int]]
) -> None:
    async def tell(counts: Counts, counting: Counting) -> None:
        counts.add(before, is_told=False)
        await pass_time(5 * LOOK_S)
        assert counts.left == before, "nothing is counted before the start"
        counting.start()
        for what, number in actions:
            if what == "time":
                await pass_time(number * LOOK_S / 4)
            elif what == "turn":
                await pass_time(0)
            else:
                counts.add(number, is_told=what == "told")
        await pass_time(LOOK_S * 1.01)
        assert counts.is_done, "what no write has told of is found by the next look"
        assert max(counts.turns.values(), default=0) <= BLOCKS_A_TURN

    story(tell)


def test_what_a_write_has_made_is_counted_at_once_and_by_one_turn_after_another() -> None:
    """Told again and again, it is still one count: two would take two shares of a turn."""

    async def tell(counts: Counts, counting: Counting) -> None:
        loop = asyncio.get_running_loop()
        counting.start()
        await until_idle()
        began_s = loop.time()
        for _ in range(5):
            counts.add(1, is_told=True)
            counts.on_work()
        counts.add(20, is_told=True)
        await until_idle()
        assert counts.is_done
        assert loop.time() < began_s + LOOK_S / 10
        assert set(counts.turns.values()) <= {1, BLOCKS_A_TURN}
        assert len(counts.turns) == -(-25 // BLOCKS_A_TURN)

    story(tell)


def test_who_has_nothing_to_do_looks_now_and_then_and_not_every_turn() -> None:
    async def tell(counts: Counts, counting: Counting) -> None:
        counting.start()
        await until_idle()
        counts.add(1, is_told=False)
        await until_idle()
        await pass_time(LOOK_S * 0.9)
        assert counts.left == 1
        await pass_time(LOOK_S * 0.2)
        assert counts.left == 0

    story(tell)
