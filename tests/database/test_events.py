"""What happens to members is told, each kind as a type of its own, where it is seen."""

import asyncio
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

import roost
from roost.database import BadArgument, Operations, listening, observing
from roost.database.aio import Events
from roost.database.events import (
    Committed,
    ConflictTruncated,
    HeartbeatLate,
    LeaderChanged,
    MemberAdded,
    MemberRemoved,
    MemberReplaced,
    ObserverOverrun,
    Overrun,
    RoleChanged,
    SnapshotReceived,
    SnapshotSent,
    TermChanged,
)
from roost.database.listening import Listener, Listening
from roost.errors import Overloaded
from roost.faces import Closed
from roost.sim.members.loop import pass_time, run_virtually
from tests.database.databases import Databases, again, with_databases
from tests.database.test_observation import Forgetful
from tests.member.members import look_again

nothing = Operations("nothing")
T = TypeVar("T")


async def until(told: Any, kind: type[T]) -> T:
    """The next event of a kind; within 20 s of virtual time."""
    async with asyncio.timeout(20):
        async for it in told:
            if isinstance(it, kind):
                return it
    raise AssertionError("it ended")


async def until_one(told: Any, last: object) -> list[Any]:
    """All events up to one; within 20 s of virtual time."""
    seen: list[Any] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1] != last:
            seen.append(await anext(told))
    return seen


def cut_off(cluster: Databases, position: int) -> None:
    """Let nothing through between a member and the others; their connections stay open."""
    here = cluster.address(position)
    for other in {0, 1, 2} - {position}:
        there = cluster.address(other)
        cluster.network.simulated.cut |= {(here, there), (there, here)}


def test_a_change_of_the_leader_is_told_by_those_who_see_it(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        old = cluster.members[leader].term
        others = [it for it in (0, 1, 2) if it != leader]
        told = {it: cluster.databases[it].events() for it in others}
        for it in told.values():
            await it.__aenter__()
        await cluster.crash(leader)
        winner = await cluster.leader()
        name, member_id = cluster.names[winner], cluster.members[winner].member_id
        seen = {position: aiter(it) for position, it in told.items()}
        term = cluster.members[winner].term
        last = LeaderChanged(member_id, name, term)
        for position, heard in seen.items():
            events = await until_one(heard, last)
            assert LeaderChanged(0, "", old) in events, "first there is none"
            terms = [(it.before, it.term) for it in events if isinstance(it, TermChanged)]
            assert [old, *(new for _, new in terms)] == [*(was for was, _ in terms), term]
            roles = [(it.before, it.role) for it in events if isinstance(it, RoleChanged)]
            assert all(one[1] == two[0] for one, two in pairwise(roles)), "each goes on from there"
            if position == winner:
                assert (roles[0][0], roles[-1][1]) == ("follower", "leader")
        for it in told.values():
            await it.__aexit__()
        assert not cluster.members[winner].news.is_heard

    with_databases(tmp_path, story, nothing)


def test_a_leader_that_is_not_heard_is_told_once_before_the_election(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        position = (leader + 1) % 3
        world: Any = cluster.network.machine(cluster.urls[cluster.names[position]][0])
        async with cluster.databases[position].events() as events:
            # Heartbeats are 20 ms apart, and an election begins after 200 ms to 400 ms.
            now_s = asyncio.get_running_loop().time()
            world.network.deafen(now_s + 0.19)
            await pass_time(0.25)
            await cluster.databases[leader].tree("t").put(b"a", b"")
            told = aiter(events)
            late = await until(told, HeartbeatLate)
            assert late == HeartbeatLate(
                cluster.members[leader].member_id, cluster.names[leader], 160
            )
            assert isinstance(await until(told, Committed), Committed)
            world.network.deafen(now_s + 0.5)
            assert (await until(told, HeartbeatLate)).silent_ms == 160, "each silence by itself"

    with_databases(tmp_path, story, nothing)


def test_what_a_leader_wrote_alone_is_told_when_it_goes(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        lonely, position = cluster.databases[leader], (leader + 1) % 3
        async with cluster.databases[position].events() as events, lonely.events() as alone:
            before = cluster.members[leader].core.last_index
            cut_off(cluster, leader)
            put = lonely.tree("t").put
            asked = [asyncio.ensure_future(put(b"%d" % it, b"")) for it in range(3)]
            heard = aiter(events)
            while not (await until(heard, LeaderChanged)).leader_id:
                pass
            await again(partial(cluster.databases[position].tree("t").put, b"a", b""))
            cluster.network.simulated.heal()
            told = aiter(alone)
            assert (await until(told, RoleChanged)).before == "leader"
            truncated = await until(told, ConflictTruncated)
            assert truncated.first_index == before + 1
            assert truncated.last_index >= truncated.first_index
            await asyncio.gather(*asked, return_exceptions=True)

    with_databases(tmp_path, story, nothing)


def test_members_that_come_go_and_are_replaced_are_told_on_every_member(tmp_path: Path) -> None:
    async def taken(ask: Any) -> Any:
        while True:
            try:
                return await ask()
            except roost.Refused as refused:
                if refused.code != "ChangeNotTaken":
                    raise
                await look_again()

    async def story(cluster: Databases) -> None:
        await cluster.quiet()
        databases = list(cluster.databases.values())
        told = [it.events() for it in databases]
        for it in told:
            await it.__aenter__()
        database = databases[0]
        added = await taken(partial(database.add_member, "10.0.0.9:2380", learner=True))
        new = await taken(partial(database.replace_member, added.id, "10.0.0.8:2380"))
        await taken(partial(database.remove_member, new.id))
        for events in told:
            seen = aiter(events)
            assert await until(seen, MemberAdded) == MemberAdded(
                added.id, "", ("http://10.0.0.9:2380",), True
            )
            assert await until(seen, MemberReplaced) == MemberReplaced(
                new.id, ("http://10.0.0.8:2380",), added.id, ""
            )
            assert await until(seen, MemberRemoved) == MemberRemoved(new.id, "")
            await events.__aexit__()

    with_databases(tmp_path, story, nothing)


@pytest.mark.slow
def test_a_snapshot_is_told_at_both_ends(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = Forgetful(tmp_path, 3, nothing)
        await cluster.open_all()
        leader = await cluster.quiet()
        position = (leader + 1) % 3
        lagging, member = cluster.databases[position], cluster.members[leader]
        async with cluster.databases[leader].events() as sends, lagging.events() as receives:
            cut_off(cluster, position)
            big = cluster.databases[leader].tree("big")
            for _ in range(18):
                await again(partial(big.put, b"", bytes(60_000)))
            index = member.store.applied_index
            await cluster.until(lambda: member.first_index > index - 6)
            cluster.network.simulated.heal()
            sent = await until(aiter(sends), SnapshotSent)
            received = await until(aiter(receives), SnapshotReceived)
        assert (sent.member_id, sent.why) == (cluster.members[position].member_id, "behind")
        assert (received.member_id, received.why) == (member.member_id, "behind")
        assert received.bytes_count >= sent.bytes_count > 0
        await cluster.close_all()

    run_virtually(main())


def test_commits_in_a_row_are_told_by_the_last_and_an_observer_that_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "COUNT_MAX", 2)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("t")
        await tree.put(b"a", b"")
        async with database.events() as events, database.observe("t") as changes:
            for number in range(4):
                await tree.put(b"a", b"%d" % number)
            told = aiter(events)
            index = (await database.status()).applied_index
            seen = [await anext(told) for _ in range(3)]
            assert seen == [Committed(index - 1), ObserverOverrun("t", index - 1), Committed(index)]
            page = await anext(aiter(changes.pages()))
            assert len(page) == 2

    with_databases(tmp_path, story, nothing, size=1)


def test_who_is_slow_loses_what_comes_and_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "EVENTS_MAX", 3)
    monkeypatch.setattr(listening, "PAGE", 2)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        hub = database._embedded.listening
        listener = hub.listen()
        tell = database._embedded.member.tell
        for number in range(5):
            tell(TermChanged(number, number + 1))
        assert listener.take_nowait() == [TermChanged(0, 1), TermChanged(1, 2)]
        assert listener.take_nowait() == [TermChanged(2, 3)]
        assert listener.take_nowait() == [Overrun(hub.applied_index)]
        assert listener.take_nowait() == []
        tell(TermChanged(9, 10))
        assert listener.take_nowait() == [TermChanged(9, 10)]
        more = [hub.listen() for _ in range(listening.LISTENERS_MAX - 1)]
        with pytest.raises(Overloaded):
            hub.listen()
        for it in (listener, *more):
            it.end()
            it.end()

    with_databases(tmp_path, story, nothing, size=1)


def test_whoever_listens_hears_of_the_end(tmp_path: Path) -> None:
    async def all_of(events: Events) -> list[Any]:
        return [it async for it in events]

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        one, other = database.events(), database.events()
        waiting = asyncio.ensure_future(all_of(one))
        await other.__aenter__()
        ended = asyncio.ensure_future(all_of(other))
        await look_again()
        with pytest.raises(BadArgument, match="keep its iterator"):
            await anext(aiter(one))
        await other.__aexit__()
        assert all(isinstance(it, Committed) for it in await ended), "who is ended stops"
        await cluster.close_all()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await anext(aiter(database.events()))
        assert isinstance(one._listener, Listener)
        assert isinstance(database._embedded.listening, Listening)

    with_databases(tmp_path, story, nothing, size=1)
