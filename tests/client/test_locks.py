"""Locks and elections: one at a time, whatever happens to members, and who lost it is told."""

import asyncio
from pathlib import Path

import pytest

from roost.client import ClientError, Leader, LeaseLost, WaitedTooLong, turns
from roost.client.aio import Client
from roost.sim.members.loop import pass_time
from tests.client.virtual import VirtualCluster, run_cluster, until


def test_one_holds_a_lock_at_a_time_while_leaders_are_killed(tmp_path: Path) -> None:
    inside: list[int] = []
    tokens: list[int] = []

    async def take(client: Client, number: int) -> None:
        async with client.lock("l", ttl_s=30) as held:
            inside.append(number)
            assert inside == [number]
            tokens.append(held.token)
            await pass_time(0.5)
            held.check()
            inside.remove(number)

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client(timeout_s=10) as client, asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(take(client, number))
            for count in (1, 3):
                await until(lambda count=count: len(tokens) == count)  # type: ignore[misc]  # bound
                leader = await cluster.leader()
                cluster.kill(leader)
                await cluster.leader()
                await cluster.start(leader)

    run_cluster(tmp_path, story)
    assert tokens == sorted(tokens) and len(tokens) == 5


def test_whoever_waits_too_long_is_out_of_the_line(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client, client.lock("l") as held:
            with pytest.raises(WaitedTooLong, match="somebody else's turn for 2 s"):
                async with client.lock("l", wait_s=2):
                    pytest.fail("it is another's")
            assert await client.count("l/", prefix=True) == 1
            assert len(await client.leases.all()) == 1
            held.check()

    run_cluster(tmp_path, story)


def test_whoever_is_cut_off_is_told_before_another_has_it(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []

    async def story(cluster: VirtualCluster) -> None:
        loop = asyncio.get_running_loop()

        def lost(error: LeaseLost) -> None:
            told.append((str(error), loop.time()))

        # The holder speaks to one member only, and that stands still.
        leader = await cluster.leader()
        position = (leader + 1) % 3
        alone = cluster.client(endpoints=[cluster.endpoints[position]])
        others = [it for it in cluster.endpoints if it != cluster.endpoints[position]]
        async with (
            alone,
            cluster.client(endpoints=others) as other,
            alone.lock("l", ttl_s=4, on_lost=lost) as held,
        ):
            cluster.machines[position].is_frozen = True
            async with other.lock("l", ttl_s=4) as next_one:
                had = loop.time()
                [(text, when)] = told
                assert "could not be renewed in time" in text
                assert when < had
                assert next_one.token > held.token
                with pytest.raises(LeaseLost):
                    held.check()
                assert held.lost is not None
            cluster.machines[position].is_frozen = False

    run_cluster(tmp_path, story)


def test_a_lease_that_is_revoked_ends_the_waiting(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client, client.lock("l"):
            granted = await client.leases.grant(60)

            async def wait() -> None:
                with pytest.raises(LeaseLost):
                    await client.leases.lock("l", granted.lease_id)

            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                await pass_time(1)
                await client.leases.revoke(granted.lease_id)
                # It waits for the key before its own, and looks when that goes; ours does now.
                first = await client.leases.leader("l")
                assert first is not None
                await client.delete(first.key)

    run_cluster(tmp_path, story)


def test_an_election_is_seen_by_everybody(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def observe(client: Client) -> None:
        async for leader in client.election("boss").observe():
            seen.append(leader.value)
            if leader.value == b"last":
                return

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client, asyncio.TaskGroup() as group:
            group.create_task(observe(client))
            election = client.election("boss", ttl_s=10)
            assert await election.leader() is None
            async with election.lead("one") as leading:
                await leading.proclaim("uno")
                now = await election.leader()
                assert isinstance(now, Leader) and now.value == b"uno"
                assert (leading.key, leading.token) == (now.key, now.create_revision)
            async with election.lead("two") as leading:
                leading.check()
                await client.delete(leading.key)
                with pytest.raises(LeaseLost):
                    await leading.proclaim("dos")
            async with election.lead("last"):
                await until(lambda: seen[-1:] == [b"last"])

    run_cluster(tmp_path, story)
    assert seen[-2:] == [b"two", b"last"]
    assert set(seen[:-2]) <= {b"one", b"uno"}


def test_what_else_is_behind_a_name_is_in_no_line_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LOOKED", 2)

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for number in range(5):
                await client.put(f"jobs/{number}", "a key of somebody's")
            async with client.lock("jobs/1") as inner, client.lock("jobs", wait_s=2) as outer:
                inner.check()
                assert (await client.leases.leader("jobs")).key == outer.key  # type: ignore[union-attr]  # it is held
                with pytest.raises(WaitedTooLong):
                    async with client.lock("jobs", wait_s=2):
                        pytest.fail("it is another's")
            assert await client.leases.leader("jobs") is None
            election = client.election("jobs")
            async with client.election("jobs/2").lead("another"), election.lead("ours"):
                leaders = election.observe()
                assert (await anext(leaders)).value == b"ours"
                await leaders.aclose()

    run_cluster(tmp_path, story)


def test_what_is_not_held_has_no_token(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            lock = client.lock("l")
            with pytest.raises(ClientError, match="it is not held"):
                _ = lock.token
            lock.check()
            assert lock.lost is None

    run_cluster(tmp_path, story)
