"""What follows a change of the roster: links a moment later, and leaving, later still and once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roost.member import MemberConfig
from roost.member.cluster.roster_watch import LINGER_ELECTIONS, RosterWatch
from roost.sim.members.loop import pass_time, run_virtually
from roost.store import Changes

HEARTBEAT_S, ELECTION_S = 0.1, 1.0
LINGER_S = LINGER_ELECTIONS * ELECTION_S
OWN = 1


class World:
    """A roster, its neighbours, and when they were told what."""

    def __init__(self) -> None:
        self.removed: set[int] = set()
        self.followed_s: list[float] = []
        self.left_s: list[float] = []
        url = ("http://127.0.0.1:1",)
        config = MemberConfig(
            name="m",
            data_dir=".",  # type: ignore[arg-type]  # no file is touched
            initial_cluster={"m": url},
            advertise_peer_urls=url,
            listen_peer_urls=url,
            heartbeat_ms=round(1000 * HEARTBEAT_S),
            election_ms=round(1000 * ELECTION_S),
        )
        this: Any = self
        self.watch = RosterWatch(
            this, this, own_id=OWN, config=config, on_removed=lambda: self.note(self.left_s)
        )

    def note(self, times: list[float]) -> None:
        times.append(round(asyncio.get_running_loop().time(), 3))

    def follow(self) -> None:
        """The neighbours'."""
        self.note(self.followed_s)

    def is_removed(self, member_id: int) -> bool:
        """The roster's."""
        return member_id in self.removed


def run(story: Callable[[World], Awaitable[None]]) -> World:
    async def main() -> World:
        world = World()
        await story(world)
        return world

    return run_virtually(main())


def test_links_follow_a_moment_after_the_last_change() -> None:
    """A last message to somebody removed is on its way before its link is closed."""

    async def story(world: World) -> None:
        for _ in range(3):
            world.watch.on_applied(5, Changes(b""))
            await pass_time(HEARTBEAT_S / 2)
        await pass_time(1)

    world = run(story)
    assert world.followed_s == [pytest.approx(2 * HEARTBEAT_S, abs=0.002)]
    assert world.left_s == []


def test_who_is_removed_stays_as_long_as_its_vote_may_be_needed_and_leaves_once() -> None:
    async def story(world: World) -> None:
        world.removed.add(OWN)
        world.watch.follow_soon()
        await pass_time(HEARTBEAT_S + LINGER_S / 2)
        assert world.left_s == []
        world.watch.follow_soon()  # another change, of another member, say
        await pass_time(5 * LINGER_S)
        world.watch.leave()  # and it is told by a peer as well

    world = run(story)
    assert world.left_s == [pytest.approx(HEARTBEAT_S + LINGER_S, abs=0.002)]


def test_another_ones_removal_is_its_own_affair() -> None:
    async def story(world: World) -> None:
        world.removed.add(2)
        world.watch.follow_soon()
        await pass_time(5 * LINGER_S)

    world = run(story)
    assert (len(world.followed_s), world.left_s) == (1, [])


@pytest.mark.parametrize("after_s", [HEARTBEAT_S / 2, HEARTBEAT_S + LINGER_S / 2])
def test_a_member_that_stops_follows_nobody_and_leaves_nothing(after_s: float) -> None:
    async def story(world: World) -> None:
        world.removed.add(OWN)
        world.watch.follow_soon()
        await pass_time(after_s)
        world.watch.stop()
        world.watch.leave()
        world.watch.follow_soon()  # what is applied while it ends
        await pass_time(5 * LINGER_S)

    world = run(story)
    assert len(world.followed_s) == (after_s > HEARTBEAT_S)
    assert world.left_s == []
