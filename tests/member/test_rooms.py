"""What a room that stands on a member may ask of it: frames of its own, a clock, observers."""

import logging
from pathlib import Path

import pytest

from roost.errors import PeerFault
from roost.member import Member
from roost.member.protocol import ROOM_KIND_MAX, ROOM_KIND_MIN
from roost.sim.members.loop import pass_time
from roost.store import Changes
from tests.member.members import TREE, Cluster, run_cluster

KIND = 100
EVERY_S = 0.5


class Tally:
    """A toy room: each member counts what happens to it, and tells the others now and then."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.own = 0
        self.seen: dict[int, int] = {}
        self.applied: list[int] = []
        member.register_frame(KIND, self.on_frame)
        member.every(EVERY_S, self.tell)
        member.observe(self.on_applied, trees=(member.store.tree(TREE).id,))

    def on_frame(self, sender: int, body: bytes) -> None:
        if len(body) != 1:
            raise PeerFault(f"a tally of {len(body)} bytes")
        if body == b"\xff":
            raise KeyError("a bug of this room")
        self.seen[sender] = body[0]

    def tell(self) -> None:
        for it in self.member.members():
            if it.id != self.member.member_id:
                self.member.send_frame(it.id, KIND, [bytes([self.own])])

    def on_applied(self, index: int, _changes: Changes) -> None:
        self.applied.append(index)


def tallies(cluster: Cluster) -> dict[int, Tally]:
    """A room on each member."""
    return {position: Tally(member) for position, member in cluster.members.items()}


def test_a_room_has_frames_of_its_own_and_work_that_is_done_again(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.quiet()
        rooms = tallies(cluster)
        for position, room in rooms.items():
            room.own = 10 + position
        ids = [it.member_id for it in cluster.members.values()]
        said = {member_id: 10 + position for position, member_id in enumerate(ids)}
        await pass_time(2 * EVERY_S)
        for position, room in rooms.items():
            assert {ids[position]: 10 + position, **room.seen} == said

    run_cluster(tmp_path, 3, story)


def test_a_frame_for_a_room_that_is_not_here_is_dropped_and_counted(tmp_path: Path) -> None:
    """A member of the next version may have a room more than this one."""

    async def story(cluster: Cluster) -> None:
        await cluster.quiet()
        old, new = cluster.members[0], cluster.members[1]
        term = new.core.term
        assert new.send_frame(old.member_id, KIND, [b"x"])
        await cluster.until(lambda: old.links.unknown_count == 1)
        await pass_time(1.0)
        assert old.transport.statistics.malformed_count == 0
        assert new.core.term == term

    run_cluster(tmp_path, 3, story)


def test_a_broken_frame_is_the_peers_fault_and_a_bug_of_a_room_costs_it_a_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.quiet()
        rooms = tallies(cluster)
        member, other = cluster.members[0], cluster.members[1]
        assert other.send_frame(member.member_id, KIND, [b"\xff"])
        await cluster.until(lambda: member.status().failed_work_count == 1)
        assert "a bug of this room" in caplog.text
        assert other.send_frame(member.member_id, KIND, [b"\x07"])
        await cluster.until(lambda: rooms[0].seen.get(other.member_id) == 7)
        with pytest.raises(PeerFault):  # which the transport answers by closing the link
            member.links.on_frame(other.member_id, KIND, b"too long")
        assert member.status().failed_work_count == 1

    run_cluster(tmp_path, 3, story)


def test_kinds_of_others_are_not_for_rooms_to_have(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]
        Tally(member)
        for kind in (0, ROOM_KIND_MIN - 1, ROOM_KIND_MAX + 1):
            with pytest.raises(AssertionError, match="not for rooms"):
                member.register_frame(kind, lambda _sender, _body: None)
        with pytest.raises(AssertionError, match="taken twice"):
            member.register_frame(KIND, lambda _sender, _body: None)

    run_cluster(tmp_path, 1, story)


def test_work_that_fails_is_logged_counted_and_done_again_until_the_member_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]
        calls: list[None] = []

        def work() -> None:
            calls.append(None)
            raise KeyError("a bug of this work")

        member.every(EVERY_S, work)
        await pass_time(3.5 * EVERY_S)
        assert len(calls) == 3
        assert member.status().failed_work_count == 3
        said = [it for it in caplog.records if it.levelno == logging.ERROR and it.exc_info]
        assert len(said) == 3
        await cluster.stop(0)
        await pass_time(3 * EVERY_S)
        assert len(calls) == 3

    run_cluster(tmp_path, 1, story)


def test_an_observer_hears_of_its_trees_on_every_member_and_of_no_others(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = await cluster.quiet()
        rooms = tallies(cluster)
        await cluster.put(leader, b"k", b"v")
        index = cluster.members[leader].core.applied_index
        await cluster.put(leader, b"k", b"w")
        cores = [it.core for it in cluster.members.values()]
        await cluster.until(lambda: all(it.applied_index > index for it in cores))
        heard = [room.applied for room in rooms.values()]
        assert heard == [heard[0]] * 3
        assert len(heard[0]) == 2
        # Whoever starts again tells its name: that writes to another tree.
        gone = (leader + 1) % 3
        await cluster.stop(gone)
        await cluster.start(gone)
        await cluster.quiet()
        assert rooms[leader].applied == heard[0]

    run_cluster(tmp_path, 3, story)
