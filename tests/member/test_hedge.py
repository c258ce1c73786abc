"""A round of reads does not wait for one slow voter while others would confirm it."""

from dataclasses import dataclass, field

from roost.member.hedge import HEDGE_S, Hedge
from roost.sim.members.loop import pass_time, run_virtually


@dataclass
class Rounds:
    """What a hedge looks at in a core."""

    near_read: int = 0
    asked: list[int] = field(default_factory=list)

    def ask_all(self) -> None:
        self.asked.append(self.near_read)
        self.near_read = 0


def hedging(core: Rounds) -> Hedge:
    return Hedge(core, on_asked=lambda: None)  # type: ignore[arg-type]  # a part of one


def test_a_round_that_waits_is_asked_of_all() -> None:
    async def story() -> None:
        core = Rounds(near_read=7)
        hedging(core).note_round()
        assert core.asked == []
        await pass_time(2 * HEDGE_S)
        assert core.asked == [7]

    run_virtually(story())


def test_a_round_that_came_back_is_not() -> None:
    async def story() -> None:
        core = Rounds(near_read=7)
        hedging(core).note_round()
        core.near_read = 0
        await pass_time(2 * HEDGE_S)
        assert core.asked == []

    run_virtually(story())


def test_the_next_round_gets_a_time_of_its_own() -> None:
    async def story() -> None:
        core = Rounds(near_read=7)
        hedge = hedging(core)
        hedge.note_round()
        await pass_time(HEDGE_S / 2)
        core.near_read = 8
        hedge.note_round()
        await pass_time(HEDGE_S)
        assert core.asked == []
        await pass_time(HEDGE_S)
        assert core.asked == [8]

    run_virtually(story())


def test_it_asks_nobody_when_its_member_ends() -> None:
    async def story() -> None:
        core = Rounds(near_read=7)
        hedge = hedging(core)
        hedge.note_round()
        hedge.stop()
        await pass_time(2 * HEDGE_S)
        assert core.asked == []

    run_virtually(story())
