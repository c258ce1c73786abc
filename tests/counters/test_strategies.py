"""The table of docs/explanation/replication-strategies.md: divergent writes, and what they become.

Eight users, two sides that are cut from each other: one with a majority, one alone.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from roost.errors import NotExecuted, OutcomeUnknown
from roost.member.cluster.membership import ADD
from roost.member.directory.joining import join_cluster
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting
from tests.member.members import TREE, Machine

USERS = [f"users/{it}" for it in range(1, 9)]
# By user: what the side with the majority writes, and the other one; None is nothing, 0 a delete.
LEFT: Sequence[int | None] = (1, None, 3, 4, 0, 0, None, 0)
RIGHT: Sequence[int | None] = (None, 2, 3, 5, None, 6, 0, 0)
# What counters read in the end, where all began with nothing but 5 to 8, which began with 10.
COUNTED: Sequence[int | None] = (1, 2, 6, 9, None, 6, None, None)
BEFORE = 10


async def add_learner(cluster: CountingCluster) -> int:
    """Have one more member, which follows and has no vote; its position."""
    url = cluster.network.new_url()
    asked = msgspec.json.encode({"peer_urls": [url], "is_learner": True})
    await cluster.members[0].transact(ADD, asked)
    cluster.names.append("replica")
    cluster.urls = {**cluster.urls, "replica": (url,)}
    position = len(cluster.names) - 1
    machine = cluster.network.machine(url)
    assert isinstance(machine, Machine)
    await join_cluster(cluster.config(position), machine)
    await cluster.start(position)
    return position


async def count(cluster: CountingCluster, position: int, writes: Sequence[int | None]) -> None:
    """One side counts, and deletes."""
    desk = cluster.desk(position)
    for name, write in zip(USERS, writes, strict=True):
        if write:
            await desk.increment([(name, write)])
        elif write is not None:
            await desk.delete([name])


def test_counters_take_all_of_them_and_come_to_the_same(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([(it, BEFORE) for it in USERS[4:]])
        await cluster.until_all_read(dict.fromkeys(USERS[4:], BEFORE))
        await cluster.until_known()
        cluster.isolate(2)
        await count(cluster, 0, LEFT)
        await count(cluster, 2, RIGHT)
        cluster.heal()
        await cluster.until_all_read(dict(zip(USERS, COUNTED, strict=True)))

    run_counting(tmp_path, story)


def test_a_read_replica_takes_no_write_itself_and_reads_what_the_others_wrote(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.quiet()
        replica = await add_learner(cluster)
        member = cluster.members[replica]
        await cluster.until(lambda: member.leader_id != 0)
        # Where it reaches who leads, a write is forwarded there, and comes back by the log.
        await member.transact("put", b"users/0=1")
        await cluster.until(lambda: member.leader_id != 0)
        cluster.isolate(replica)
        await cluster.until(lambda: member.leader_id == 0)
        for name, write in zip(USERS, RIGHT, strict=True):
            if write:
                with pytest.raises((NotExecuted, OutcomeUnknown)):
                    async with asyncio.timeout(60):
                        await member.transact("put", f"{name}={write}".encode())
        for name, write in zip(USERS, LEFT, strict=True):
            if write:
                await cluster.put(0, name.encode(), b"%d" % write)
        tree = member.store.tree(TREE).id
        assert member.view.get(tree, b"users/0") == b"1", "it answers what it had"
        assert member.view.get(tree, b"users/1") is None
        cluster.heal()
        await cluster.until(lambda: member.view.get(tree, b"users/4") == b"4")
        found = [member.view.get(tree, it.encode()) for it in (*USERS[:4], "users/6")]
        assert found == [b"1", None, b"3", b"4", None]

    run_counting(tmp_path, story)


def test_consensus_refuses_one_side_and_keeps_what_the_other_wrote(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.quiet()
        cluster.isolate(2)
        await cluster.until(lambda: cluster.members[2].leader_id == 0)
        refused = []
        for name, write in zip(USERS, RIGHT, strict=True):
            if write:
                with pytest.raises((NotExecuted, OutcomeUnknown)) as refusal:
                    async with asyncio.timeout(60):
                        await cluster.members[2].transact("put", f"{name}={write}".encode())
                refused.append(refusal.type)
        assert len(refused) == 4
        for name, write in zip(USERS, LEFT, strict=True):
            if write:
                await cluster.put(0, name.encode(), b"%d" % write)
        cluster.heal()
        await pass_time(5.0)
        for position in range(3):
            found = [await cluster.get(position, it.encode()) for it in USERS[:4]]
            assert found == [b"1", None, b"3", b"4"]
            assert await cluster.get(position, b"users/6") is None, "nobody writes it later"

    run_counting(tmp_path, story)
