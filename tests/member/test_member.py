"""Whole members, one to three of them in virtual time."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from roost.errors import (
    AnswerFailed,
    ModelRefused,
    NoLeader,
    OutcomeUnknown,
    RoostError,
    Stopped,
)
from roost.member import Member
from roost.member.errors import RequestTooLarge
from roost.member.hedge import HEDGE_S
from roost.member.protocol import FRAME_DIGESTS
from roost.outcome import Outcome
from roost.peer import encode_frame
from roost.raft import Role
from roost.sim.members.loop import pass_time
from roost.store import Txn
from tests.member.members import DELAY_S_MEAN, TREE, Cluster, Machine, look_again, run_cluster

# Longer than an election takes.
CLOGGED_S = 0.6


def all_published(member: Member) -> bool:
    return all(record.client_urls for record in member.members())


def test_a_single_member_serves_at_once(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        assert await cluster.put(0, b"k", b"v") == b""
        assert await cluster.put(0, b"k", b"w") == b"v"
        assert await cluster.get(0, b"k") == b"w"

    run_cluster(tmp_path, 1, story)


def test_every_member_takes_writes_and_reads_the_latest(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.leader()
        for turn in range(30):
            value = b"%d" % turn
            await cluster.put(turn % 3, b"k", value)
            for position in range(3):
                assert await cluster.get(position, b"k") == value

    run_cluster(tmp_path, 3, story)


def test_a_refusal_reaches_the_caller_of_any_member_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.quiet()
        for position in range(3):
            with pytest.raises(ModelRefused, match="forbidden") as caught:
                await cluster.members[position].transact("put", b"forbidden=1")
            assert caught.value.code == 9
        last_index = max(it.core.last_index for it in cluster.members.values())
        for position in range(3):
            assert await cluster.get(position, b"trace") is None
        assert max(it.core.last_index for it in cluster.members.values()) == last_index

    run_cluster(tmp_path, 3, story)


def test_an_operation_that_writes_nothing_is_a_read(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = await cluster.quiet()
        await cluster.put(leader, b"k", b"v")
        last_index = cluster.members[leader].core.last_index
        for position in range(3):
            assert await cluster.members[position].transact("touch_nothing", b"k") == b"v"
        assert cluster.members[leader].core.last_index == last_index

    run_cluster(tmp_path, 3, story)


def test_what_was_read_from_a_proposal_is_never_told_when_another_leader_has_its_place(
    tmp_path: Path,
) -> None:
    """It ran on the old leader, on top of a put that is never committed, and wrote nothing."""

    async def story(cluster: Cluster) -> None:
        old = await cluster.quiet()
        await cluster.put(old, b"k", b"old")
        member, addresses = cluster.members[old], [cluster.address(it) for it in range(3)]
        others = {it: cluster.members[it] for it in range(3) if it != old}
        clogged = cluster.network.simulated.clogged
        for it in others:
            for way in ((addresses[old], addresses[it]), (addresses[it], addresses[old])):
                clogged[way] = asyncio.get_running_loop().time() + CLOGGED_S
        put: list[Outcome] = []
        read: list[Outcome] = []
        member.transact_nowait("put", b"k=lost", put.append)
        await pass_time(0.005)
        member.transact_nowait("touch_nothing", b"k", read.append)
        await cluster.until(lambda: any(it.core.role is Role.LEADER for it in others.values()))
        await cluster.put(next(iter(others)), b"k", b"new")
        assert not read
        await cluster.until(lambda: bool(put and read))
        assert isinstance(put[0], OutcomeUnknown)
        assert read == [b"new"]

    run_cluster(tmp_path, 3, story)


def test_who_asks_a_stopped_leader_is_told_so(tmp_path: Path) -> None:
    """It has nobody to hand over to, and would take requests that no turn comes for."""

    async def story(cluster: Cluster) -> None:
        member = cluster.members[await cluster.quiet()]
        await cluster.stop(0)
        told: list[Outcome | None] = []
        member.transact_nowait("put", b"k=v", told.append)
        member.read_nowait(told.append)
        member.transfer_leadership(member.member_id, told.append)
        assert [type(it) for it in told] == [Stopped, Stopped, Stopped]

    run_cluster(tmp_path, 1, story)


def test_concurrent_writes_share_entries(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.members[await cluster.quiet()]
        await leader.transact("put", b"warm=1")
        before = leader.core.last_index
        async with asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(leader.transact("put", b"k%d=%d" % (number, number)))
        assert leader.core.last_index - before < 50
        tree = leader.store.tree(TREE).id
        assert [leader.view.get(tree, b"k%d" % number) for number in range(500)] == [
            b"%d" % number for number in range(500)
        ]

    run_cluster(tmp_path, 3, story)


def test_followers_learn_of_a_commit_without_a_heartbeat_or_another_write(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        tree = cluster.members[leader].store.tree(TREE).id
        for number in (b"1", b"2"):
            await cluster.put(leader, b"k", number)
            for member in cluster.members.values():
                view = member.view
                await cluster.until(lambda: view.get(tree, b"k") == number)  # noqa: B023 - awaited

    run_cluster(tmp_path, 3, story, heartbeat_ms=60_000)


def test_a_request_that_reaches_a_member_that_led_is_tried_with_the_next_leader(
    tmp_path: Path,
) -> None:
    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        for turn in range(3):
            old = cluster.members[leader]
            old.core.state.become_follower(old.core.term, 0)
            # The others still send to it, and hear that it does not lead.
            others = [it for position, it in cluster.members.items() if position != leader]
            assert {it.leader_id for it in others} == {old.member_id}
            async with asyncio.TaskGroup() as group:
                for number, member in enumerate(cluster.members.values()):
                    group.create_task(member.transact("put", b"%d.%d=v" % (turn, number)))
            leader = await cluster.leader()
            for number in range(3):
                assert await cluster.get(leader, b"%d.%d" % (turn, number)) == b"v"

    run_cluster(tmp_path, 3, story)


def test_when_the_leader_stops_another_serves_with_every_acknowledged_write(
    tmp_path: Path,
) -> None:
    async def story(cluster: Cluster) -> None:
        for turn in range(3):
            leader = await cluster.leader()
            await cluster.put(leader, b"k%d" % turn, b"v")
            await cluster.stop(leader)
            survivor = next(iter(cluster.members))
            await cluster.put(survivor, b"after%d" % turn, b"v")
            for earlier in range(turn + 1):
                assert await cluster.get(survivor, b"k%d" % earlier) == b"v"
            await cluster.start(leader)

    run_cluster(tmp_path, 3, story)


def test_a_stopped_cluster_comes_back_with_its_content(tmp_path: Path) -> None:
    """On real sockets, with the keepers' processes."""

    async def story(cluster: Cluster) -> None:
        await cluster.leader()
        for number in range(50):
            await cluster.put(number % 3, b"k%d" % number, b"v%d" % number)
        await cluster.stop_all()
        await cluster.start_all()
        await cluster.leader()
        for number in range(50):
            assert await cluster.get(number % 3, b"k%d" % number) == b"v%d" % number

    run_cluster(tmp_path, 3, story, on_loopback=True)


def test_members_publish_their_names_and_client_urls(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.leader()
        for member in cluster.members.values():
            await cluster.until(partial(all_published, member))
            assert sorted(r.name for r in member.members()) == ["m0", "m1", "m2"]

    run_cluster(tmp_path, 3, story)


@pytest.mark.slow
@pytest.mark.pure("it replaces a method")
def test_a_leader_with_a_lease_reads_without_asking_and_only_while_it_is_heard(
    tmp_path: Path,
) -> None:
    """Until a lease is over nobody else can lead; of what is after it, it says nothing.

    Checklist 54.
    """

    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        member = cluster.members[leader]
        await cluster.put(leader, b"k", b"v")
        asked: list[int] = []
        ask = member.core.read_index

        def count_and_ask(token: int) -> None:
            asked.append(token)
            ask(token)

        member.core.read_index = count_and_ask  # type: ignore[method-assign]  # to see it
        clock = cluster.network.machine(cluster.urls[cluster.names[leader]][0]).clock_s
        await cluster.until(lambda: member.core.read_lease(clock()) is not None)
        asked.clear()
        await member.read_barrier()
        assert asked == []
        for position in list(cluster.members):
            if position != leader:
                await cluster.stop(position)
        await cluster.until(lambda: member.core.read_lease(clock()) is None)
        with pytest.raises(NoLeader):
            await member.read_barrier()
        assert asked

    run_cluster(tmp_path, 3, story, lease_reads=True)


def test_a_follower_that_stands_still_keeps_a_read_no_longer_than_the_hedge(
    tmp_path: Path,
) -> None:
    """A round is asked of the nearest alone; the other one answers it when that one does not."""

    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        member = cluster.members[leader]
        await cluster.put(leader, b"k", b"v")
        loop = asyncio.get_running_loop()
        urls = {
            it.core.id: cluster.urls[cluster.names[at]][0] for at, it in cluster.members.items()
        }
        for _turn in range(4):
            await member.read_barrier()
            leading = member.core.state.leading
            assert leading is not None
            (nearest,) = leading.rounds.nearest
            machine = cluster.network.machine(urls[nearest])
            assert isinstance(machine, Machine)
            machine.network.deafen(loop.time() + 0.5)
            begun_s = loop.time()
            await member.read_barrier()
            # One way there and back, of the asked and of the other, and the hedge between.
            assert loop.time() - begun_s < HEDGE_S + 20 * DELAY_S_MEAN
            assert nearest not in leading.rounds.nearest
            await pass_time(0.5)
        assert member.core.role is Role.LEADER

    run_cluster(tmp_path, 3, story, heartbeat_ms=400)


def test_a_callback_that_raises_is_told_so_and_costs_nobody_else(tmp_path: Path) -> None:
    """Behind a write, a barrier and a forwarded request alike, on leader and follower."""

    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        heard: list[Outcome | None] = []

        def crash(outcome: Outcome | None) -> None:
            heard.append(outcome)
            if not isinstance(outcome, RoostError):
                raise OverflowError("cannot convert float NaN to integer")

        for member in cluster.members.values():
            member.transact_nowait("put", b"k=v", crash)
            member.transact_nowait("touch_nothing", b"k", crash)
            member.read_nowait(crash)
        await cluster.until(lambda: len(heard) == 2 * 9)
        assert sum(isinstance(it, AnswerFailed) for it in heard) == 9
        for position in range(3):
            assert await cluster.put(position, b"k", b"w") in (b"v", b"w")
        assert await cluster.leader() == leader

    run_cluster(tmp_path, 3, story)


def test_an_operation_that_writes_more_than_an_entry_holds_is_refused(tmp_path: Path) -> None:
    """The journal would not take it, and a member whose journal refuses ends; so would the next."""

    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]
        tree_id = member.store.tree(TREE).id

        def flood(txn: Txn, body: bytes) -> bytes:
            for number in range(int(body)):
                txn.put(tree_id, b"flood%d" % number, bytes(1 << 20))
            return b"flooded"

        member.register("flood", flood)
        with pytest.raises(RequestTooLarge):
            await member.transact("flood", b"65")
        assert await member.transact("flood", b"3") == b"flooded"
        assert member.view.count(tree_id) == 3

    run_cluster(tmp_path, 1, story)


def test_who_writes_through_a_member_reads_it_there_at_once(tmp_path: Path) -> None:
    """Issue 12: without a barrier 477 of 500 reads were stale; one member is one client's view."""

    async def story(cluster: Cluster) -> None:
        leader = await cluster.leader()
        position = (leader + 1) % 3
        member = cluster.members[position]
        tree_id = member.store.tree(TREE).id
        for number in range(200):
            value = b"%d" % number
            await member.transact("put", b"k=" + value)
            assert member.view.get(tree_id, b"k") == value

    run_cluster(tmp_path, 3, story)


def test_the_status_shows_what_waits_for_a_socket(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.members[await cluster.leader()]
        assert leader.status().send_queue_bytes == 0
        peer = leader.transport.peers()[0]
        # More than a socket takes at once; and nothing else runs before we look.
        frame = encode_frame(FRAME_DIGESTS, [bytes(40 << 20)])
        while not leader.transport.send(peer, frame, bulk=True):
            await look_again()  # it leads by the other, and this one is not dialled so far
        queued = leader.status().send_queue_bytes
        assert queued == leader.transport.queued_bytes() > 0
        assert leader.status().waiting["send_queue_bytes"] == queued

    run_cluster(tmp_path, 3, story, on_loopback=True)


def test_a_leader_times_the_answers_of_its_peers(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.members[await cluster.leader()]
        times = leader.links.round_trips.times
        while set(times) != set(leader.transport.peers()):
            await look_again()
        for held in times.values():
            *_, (_, count) = held.buckets()
            assert count > 0
            assert held.sum_s > 0

    run_cluster(tmp_path, 3, story)
