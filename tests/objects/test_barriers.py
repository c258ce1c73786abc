"""Barriers in virtual time: all go on together, or all are told."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from roost.database import Refused
from roost.objects import BarrierBroken, LeaseLost
from roost.objects.aio import Barrier
from roost.sim.members.loop import pass_time
from tests.member.members import look_again
from tests.objects.clusters import Members, with_members


def start(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(work)


async def waiting_at(barrier: Barrier, count: int) -> None:
    while await barrier.n_waiting() != count:
        await look_again()


def test_all_go_on_when_the_last_one_comes_again_and_again(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        barriers = [cluster.at(it).objects.barrier("start", parties=3) for it in range(3)]
        passed: list[tuple[int, int]] = []

        async def work(number: int) -> None:
            for turn in range(4):
                await pass_time(number * 0.3)
                index = await barriers[number].wait()
                passed.append((turn, index))

        await asyncio.gather(*map(work, range(3)))
        assert sorted(passed) == [(turn, index) for turn in range(4) for index in range(3)]
        assert [turn for turn, _ in passed] == sorted(turn for turn, _ in passed)
        assert (barriers[0].parties, barriers[0].name) == (3, "start")
        with pytest.raises(Refused, match="is for 3"):
            await cluster.at(0).objects.barrier("start", parties=2).wait()

    with_members(tmp_path, story)


def test_who_dies_while_it_waits_is_counted_no_more(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two = await cluster.followers()
        three = await cluster.leader()
        dead = start(cluster.at(one).objects.barrier("b", parties=3, ttl_s=2).wait())
        barrier = cluster.at(two).objects.barrier("b", parties=3, ttl_s=2)
        await waiting_at(barrier, 1)
        await cluster.crash(one)
        dead.cancel()
        await waiting_at(barrier, 0)
        others = [start(barrier.wait()) for _ in range(2)]
        await pass_time(10)
        assert not [it for it in others if it.done()], "they look after their places"
        last = start(cluster.at(three).objects.barrier("b", parties=3, ttl_s=2).wait())
        assert sorted(await asyncio.gather(last, *others)) == [0, 1, 2]

    with_members(tmp_path, story)


def test_who_waits_waits_on_under_a_new_leader(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two = await cluster.followers()
        waiting = start(cluster.at(one).objects.barrier("b", parties=2, ttl_s=9).wait())
        await waiting_at(cluster.at(two).objects.barrier("b", parties=2, ttl_s=9), 1)
        await cluster.crash(await cluster.leader())
        await cluster.leader()
        await pass_time(30)
        assert not waiting.done()
        assert await cluster.at(two).objects.barrier("b", parties=2, ttl_s=9).wait() == 1
        assert await waiting == 0

    with_members(tmp_path, story)


def test_who_is_cancelled_leaves_the_barrier_whole(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        barrier = cluster.at(0).objects.barrier("b", parties=2)
        one = start(barrier.wait())
        await waiting_at(barrier, 1)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        await waiting_at(barrier, 0)
        assert not await barrier.broken()
        assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]

    with_members(tmp_path, story, size=1)


def test_who_waits_too_long_breaks_it_until_it_is_reset(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        barrier = cluster.at(0).objects.barrier("b", parties=3)
        patient = start(barrier.wait())
        await waiting_at(barrier, 1)
        for waits in (barrier.wait(wait_s=2), patient, barrier.wait()):
            with pytest.raises(BarrierBroken, match="broken"):
                await waits
        assert await barrier.broken()
        await barrier.reset()
        assert not await barrier.broken()
        waiting = start(barrier.wait())
        await waiting_at(barrier, 1)
        await barrier.reset()
        with pytest.raises(BarrierBroken):
            await waiting
        waiting = start(barrier.wait())
        await waiting_at(barrier, 1)
        await barrier.abort()
        with pytest.raises(BarrierBroken):
            await waiting
        await barrier.reset()
        assert await barrier.n_waiting() == 0
        found = await asyncio.gather(*(barrier.wait(wait_s=9) for _ in range(3)))
        assert sorted(found) == [0, 1, 2]

    with_members(tmp_path, story, size=1)


def test_who_was_cut_off_for_too_long_is_told(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two = (await cluster.followers())[:2]
        barrier = cluster.at(two).objects.barrier("b", parties=2, ttl_s=2)
        gone = start(cluster.at(one).objects.barrier("b", parties=2, ttl_s=2).wait())
        await waiting_at(barrier, 1)
        cluster.cut_off(one)
        await waiting_at(barrier, 0)
        cluster.heal()
        with pytest.raises(LeaseLost):
            await gone

    with_members(tmp_path, story)
