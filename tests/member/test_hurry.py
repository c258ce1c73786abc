"""An election is hurried when links change and nobody leads, once, and never after a stop."""

from dataclasses import dataclass

from roost.member.hurry import DELAY_MS_MIN, DELAY_MS_RANGE, Hurry
from roost.sim.members.loop import pass_time, run_virtually

AT_LAST_S = (DELAY_MS_MIN + DELAY_MS_RANGE) / 1000


@dataclass
class Voter:
    """What is hurried of a core."""

    leader_id: int = 0
    campaign_count: int = 0

    def campaign(self) -> None:
        self.campaign_count += 1


class Dice:
    """Always the longest."""

    def below(self, n: int) -> int:
        return n - 1


def hurrying(core: Voter) -> Hurry:
    return Hurry(core, Dice(), on_campaign=lambda: None)  # type: ignore[arg-type]  # a part of one


def test_without_a_leader_links_that_change_bring_one_campaign() -> None:
    async def story() -> None:
        core = Voter()
        hurry = hurrying(core)
        for _ in range(3):
            hurry.start()
        await pass_time(DELAY_MS_MIN / 1000)
        assert core.campaign_count == 0, "members seldom ask at once"
        await pass_time(AT_LAST_S)
        assert core.campaign_count == 1

    run_virtually(story())


def test_nobody_campaigns_against_a_leader_it_knows() -> None:
    async def story() -> None:
        core = Voter(leader_id=2)
        hurry = hurrying(core)
        hurry.start()
        core.leader_id = 0
        hurry.start()
        core.leader_id = 3
        await pass_time(AT_LAST_S)
        assert core.campaign_count == 0

    run_virtually(story())


def test_who_stops_hurries_no_more() -> None:
    async def story() -> None:
        core = Voter()
        hurry = hurrying(core)
        hurry.start()
        hurry.stop()
        hurry.start()
        await pass_time(AT_LAST_S)
        assert core.campaign_count == 0

    run_virtually(story())
