"""Watches over members that die, stand still and break off: no gap, no duplicate."""

import asyncio
import random
from pathlib import Path

import pytest

from roost.client import ClientError, Compacted
from roost.client.aio import Client
from roost.sim.members.loop import pass_time
from tests.client.virtual import Trouble, VirtualCluster, run_cluster, until

LAST = b"last"


async def write(client: Client, count: int) -> None:
    for number in range(count):
        try:
            if number % 5 == 4:
                await client.delete(f"n/{number % 7}")
            else:
                await client.put(f"n/{number % 7}", str(number))
        except ClientError:
            continue  # it is in the history, or it is not: the watch must say the same
        await pass_time(0.01)
    while True:
        try:
            await client.put("n/last", LAST)
        except ClientError:
            continue
        return


async def disturb(cluster: VirtualCluster, dice: random.Random) -> None:
    for _ in range(4):
        await pass_time(dice.uniform(0.05, 0.4))
        victim = dice.randrange(3)
        if dice.random() < 0.5:
            cluster.machines[victim].is_frozen = True
            await pass_time(dice.uniform(0.1, 1.0))
            cluster.machines[victim].is_frozen = False
        else:
            cluster.kill(victim)
            await pass_time(dice.uniform(0.1, 0.5))
            await cluster.start(victim)
        await cluster.leader()


@pytest.mark.parametrize("seed", range(6))
def test_a_watch_sees_the_history_and_nothing_else(tmp_path: Path, seed: int) -> None:
    seen: list[tuple[int, bytes, bytes, bool]] = []
    followed: dict[bytes, bytes] = {}

    async def watch(client: Client) -> None:
        async for it in client.watch("n/", prefix=True, since=1):
            seen.append((it.revision, it.key, it.value, it.is_delete))
            if it.value == LAST:
                return

    async def follow(client: Client) -> None:
        async for it in client.follow("n/", prefix=True):
            if it.is_delete:
                followed.pop(it.key, None)
            else:
                followed[it.key] = it.value
            if it.value == LAST:
                return

    async def story(cluster: VirtualCluster) -> None:
        trouble = Trouble(stream_broken=0.05, answer_lost=0.02)
        async with cluster.client(trouble=trouble) as client, cluster.client() as clean:
            async with asyncio.TaskGroup() as group:
                for work in (watch(client), follow(client), write(client, 80)):
                    group.create_task(work)
                await disturb(cluster, random.Random(seed))
            history = [
                (it.revision, it.key, it.value, it.is_delete)
                async for it in taken(clean, seen[-1][0])
            ]
            assert seen == history
            now = {it.key: it.value async for it in clean.items("n/", prefix=True)}
            assert followed == now

    run_cluster(tmp_path, story, seed=seed)


async def taken(client: Client, last: int):  # type: ignore[no-untyped-def]  # of changes
    """The history of one member that nothing happens to."""
    async for it in client.watch("n/", prefix=True, since=1):
        yield it
        if it.revision == last:
            return


def test_a_watch_whose_history_is_compacted_meanwhile_says_so_and_following_goes_on(
    tmp_path: Path,
) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for number in range(5):
                await client.put(f"n/{number}", "old")
            [endpoint] = cluster.endpoints[:1]
            async with cluster.client(endpoints=[endpoint]) as cut_off:
                watched = cut_off.watch("n/", prefix=True, since=1)
                followed = cut_off.follow("n/", prefix=True)
                assert (await anext(watched)).key == b"n/0"
                for number in range(5):
                    assert (await anext(followed)).key == b"n/%d" % number
                cluster.kill(0)
                await cluster.leader()
                await client.delete("n/1")
                await client.put("n/2", "new")
                await client.compact(await client.put("n/9", "new"))
                await cluster.start(0)
                for number in range(1, 5):
                    assert (await anext(watched)).key == b"n/%d" % number
                with pytest.raises(Compacted) as caught:
                    await anext(watched)
                assert caught.value.revision == 9
                rest = [await anext(followed) for _ in range(3)]
                said = [(it.key, it.is_delete) for it in rest]
                assert said == [(b"n/2", False), (b"n/9", False), (b"n/1", True)]
                await followed.aclose()

    run_cluster(tmp_path, story)


def test_a_watch_of_one_key_begins_now(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def watch(client: Client) -> None:
        async for it in client.watch("k"):
            seen.append(it.value)
            if it.value == LAST:
                return

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client, asyncio.TaskGroup() as group:
            await client.put("k", "before")
            group.create_task(watch(client))
            await pass_time(1)
            await client.put("k2", "other")
            await client.put("k", "new")
            await client.put("k", LAST)

    run_cluster(tmp_path, story)
    assert seen == [b"new", LAST]


def test_a_snapshot_comes_in_pieces(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            members = await client.members()
            assert {it.name for it in members} == {"m0", "m1", "m2"}
            leaders = [(await client.status(it)).is_leader for it in client.endpoints]
            assert sorted(leaders) == [False, False, True]
            target = next(it for it in members if it.name == f"m{leaders.index(False)}")
            await client.move_leader(target.id)
            await until(lambda: cluster.machines[leaders.index(False)].member is not None)
            assert (await cluster.leader()) == leaders.index(False)
            assert await client.alarms() == []

    run_cluster(tmp_path, story)
