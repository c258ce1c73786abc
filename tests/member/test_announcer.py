"""Followers hear of a commit soon, and by no message of its own when another carries it."""

from dataclasses import dataclass, field

import pytest

from roost.member.announcer import ANNOUNCE_S, Announcer
from roost.raft import Role
from roost.sim.members.loop import pass_time, run_virtually

pytestmark = pytest.mark.pure("its core is a fake")


@dataclass
class Office:
    """What an announcer looks at in a core."""

    role: Role = Role.LEADER
    commit_index: int = 0
    announced_index: int = 0
    said: list[int] = field(default_factory=list)

    def announce_commit(self) -> None:
        self.said.append(self.commit_index)
        self.announced_index = self.commit_index


def announcing(core: Office) -> Announcer:
    return Announcer(core, on_announced=lambda: None)  # type: ignore[arg-type]  # a part of one


def test_a_commit_that_nothing_else_carries_is_announced() -> None:
    async def story() -> None:
        core = Office()
        announcer = announcing(core)
        core.commit_index = 7
        announcer.note_commit()
        assert core.said == []
        await pass_time(2 * ANNOUNCE_S)
        assert core.said == [7]

    run_virtually(story())


def test_a_commit_that_an_append_has_carried_is_not_announced_again() -> None:
    async def story() -> None:
        core = Office()
        announcer = announcing(core)
        core.commit_index = 7
        announcer.note_commit()
        core.announced_index = 7
        await pass_time(2 * ANNOUNCE_S)
        assert core.said == []

    run_virtually(story())


def test_what_is_committed_meanwhile_is_announced_in_its_turn() -> None:
    async def story() -> None:
        core = Office()
        announcer = announcing(core)
        core.commit_index = 7
        announcer.note_commit()
        core.announced_index, core.commit_index = 7, 8
        await pass_time(3 * ANNOUNCE_S)
        assert core.said == [8]

    run_virtually(story())


def test_only_a_leader_announces_and_only_until_it_stops() -> None:
    async def story() -> None:
        core = Office(role=Role.FOLLOWER, commit_index=7)
        announcer = announcing(core)
        announcer.note_commit()
        await pass_time(2 * ANNOUNCE_S)
        core.role = Role.LEADER
        announcer.note_commit()
        announcer.stop()
        await pass_time(2 * ANNOUNCE_S)
        assert core.said == []

    run_virtually(story())
