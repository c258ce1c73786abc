"""Optimistic transactions: as if each had been alone."""

import asyncio
import random
from pathlib import Path

import pytest

from roost.client import Contended, OutcomeUnknown, TooLarge
from roost.client.aio import Client, Stm
from tests.client.virtual import Trouble, VirtualCluster, run_cluster

ACCOUNTS, START = 5, 100


async def move(txn: Stm, source: str, target: str, amount: int) -> int:
    left = int(await txn.get(source) or 0) - amount
    txn.put(source, str(left))
    # Read behind the write: it sees its own, also when both are one account.
    txn.put(target, str(int(await txn.get(target) or 0) + amount))
    return left


@pytest.mark.parametrize("seed", range(4))
def test_money_is_neither_made_nor_lost(tmp_path: Path, seed: int) -> None:
    """Many at once, over a way that loses requests and answers; a leader dies in between."""
    moved: list[int] = []
    unknown: list[int] = []

    async def work(client: Client, dice: random.Random, worker: int) -> None:
        for number in range(10):
            source, target = (f"account/{dice.randrange(ACCOUNTS)}" for _ in range(2))

            async def change(txn: Stm, source: str = source, target: str = target) -> None:
                await move(txn, source, target, dice.randrange(50))
                count = int(await txn.get(f"count/{worker}") or 0)
                txn.put(f"count/{worker}", str(count + 1))

            try:
                await client.stm(change)
                moved.append(number)
            except OutcomeUnknown:
                unknown.append(number)

    async def story(cluster: VirtualCluster) -> None:
        trouble = Trouble(request_lost=0.02, answer_lost=0.02)
        async with cluster.client() as clean, cluster.client(trouble=trouble) as client:
            for number in range(ACCOUNTS):
                await clean.put(f"account/{number}", str(START))
            async with asyncio.TaskGroup() as group:
                for worker in range(4):
                    group.create_task(work(client, random.Random(seed * 10 + worker), worker))
                leader = await cluster.leader()
                cluster.kill(leader)
                await cluster.leader()
                await cluster.start(leader)
            balances = [int(it.value) async for it in clean.items("account/", prefix=True)]
            assert sum(balances) == ACCOUNTS * START
            counted = sum([int(it.value) async for it in clean.items("count/", prefix=True)])
            assert len(moved) <= counted <= len(moved) + len(unknown)

    run_cluster(tmp_path, story, seed=seed)
    assert len(moved) + len(unknown) == 40
    assert len(moved) > 20


def test_a_key_that_joins_a_range_that_was_read_is_a_change(tmp_path: Path) -> None:
    """Of many that see nobody on duty, one goes on duty."""

    async def go_on_duty(client: Client, number: int) -> None:
        async def change(txn: Stm) -> bool:
            if await txn.range("duty/", prefix=True):
                return False
            txn.put(f"duty/{number}", "1")
            assert list(await txn.range("duty/", prefix=True)) == [b"duty/%d" % number]
            return True

        took.append(await client.stm(change))

    took: list[bool] = []

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client, asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(go_on_duty(client, number))

    run_cluster(tmp_path, story)
    assert sorted(took) == [False] * 7 + [True]


def test_a_key_that_leaves_a_range_that_was_read_is_a_change(tmp_path: Path) -> None:
    runs: list[int] = []

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for key in ("a/1", "a/2"):
                await client.put(key, "1")

            async def change(txn: Stm) -> None:
                found = await txn.range("a/", prefix=True)
                runs.append(len(found))
                if len(runs) == 1:
                    await client.delete("a/2")
                txn.delete("a/1")
                assert b"a/1" not in await txn.range("a/", prefix=True)
                txn.put("count", str(len(found)))

            await client.stm(change)
            said = await client.get("count")
            assert said is not None and said.text == "1"
            assert await client.get("a/1") is None

    run_cluster(tmp_path, story)
    assert runs == [2, 1]


def test_all_reads_are_of_one_state(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            await client.put("a", "1")
            await client.put("b", "1")

            async def read(txn: Stm) -> list[bytes | None]:
                first = await txn.get("a")
                await client.put("a", "2")
                await client.put("b", "2")
                return [first, await txn.get("b"), await txn.get("a")]

            assert await client.stm(read) == [b"1", b"1", b"1"]

    run_cluster(tmp_path, story)


def test_what_it_read_may_be_compacted_meanwhile(tmp_path: Path) -> None:
    runs: list[int] = []

    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            await client.put("a", "1")

            async def read(txn: Stm) -> bytes | None:
                runs.append(1)
                await txn.get("a")
                if len(runs) == 1:
                    await client.compact(await client.put("b", "2"))
                return await txn.get("b")

            assert await client.stm(read) == b"2"

    run_cluster(tmp_path, story)
    assert len(runs) == 2


def test_it_gives_up_when_others_are_always_faster(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:

            async def lose(txn: Stm) -> None:
                await txn.get("k")
                await client.put("k", "theirs")
                txn.put("k", "ours")

            with pytest.raises(Contended, match="3 attempts were overtaken"):
                await client.stm(lose, attempts_max=3)
            said = await client.get("k")
            assert said is not None and said.text == "theirs"

    run_cluster(tmp_path, story)


def test_what_it_raises_writes_nothing(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:

            async def refuse(txn: Stm) -> None:
                txn.put("k", "1")
                raise ValueError("no")

            with pytest.raises(ValueError, match="no"):
                await client.stm(refuse)

            async def write_much(txn: Stm) -> None:
                for number in range(200):
                    txn.put(f"k{number}", "1")

            with pytest.raises(TooLarge):
                await client.stm(write_much)
            assert await client.count("k", prefix=True) == 0

    run_cluster(tmp_path, story)
