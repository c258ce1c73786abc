"""Locks, semaphores and leaders in virtual time: who holds one, which token, how long."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from roost.database import BadArgument, Refused
from roost.errors import NotExecuted
from roost.faces import Closed
from roost.objects import AlreadyHeld, LeaseLost, NotHeld
from roost.objects.aio.locks import Turned
from roost.objects.layouts.lines import LINES, PLACES, Line, Place
from roost.sim.members.loop import pass_time
from tests.member.members import look_again
from tests.objects.clusters import Members, with_members


def start(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(work)


async def in_line(cluster: Members, count: int) -> None:
    """Wait until as many are in line as should be."""
    database = next(iter(cluster.databases.values()))
    places = database.tree(PLACES, key=tuple[str, int], value=Place)
    while await places.count() != count:
        await look_again()


def test_one_holds_it_at_a_time_first_come_first_served(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        order: list[int] = []
        tokens: list[int] = []

        async def work(number: int) -> None:
            async with cluster.at(number % 3).objects.lock("report", ttl_s=5) as held:
                assert len(order) == len(tokens), "nobody else is inside"
                order.append(number)
                await pass_time(1)
                held.check()
                tokens.append(held.token)

        tasks = []
        for number in range(6):
            tasks.append(start(work(number)))
            await in_line(cluster, number + 1)
        await asyncio.gather(*tasks)
        assert order == list(range(6))
        assert tokens == sorted(set(tokens)), "a token only ever grows"
        database = cluster.at(0)
        assert not await database.objects.lock("report", ttl_s=5).locked()
        assert await database.tree(LINES, key=str, value=Line).count() == 0, "nothing is left"
        assert await database.tree(PLACES, key=tuple[str, int], value=Place).count() == 0

    with_members(tmp_path, story)


def test_who_does_not_wait_or_not_for_long_is_told(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        objects = cluster.at(0).objects
        held, other = objects.lock("a", ttl_s=5), objects.lock("a", ttl_s=5)
        assert await held.acquire()
        with pytest.raises(AlreadyHeld, match="make another"):
            await held.acquire()
        assert not await other.acquire(wait_s=0)
        assert not await other.acquire(wait_s=2)
        assert await other.locked()
        await in_line(cluster, 1)
        for it in (other.check, lambda: other.token):
            with pytest.raises(NotHeld):
                it()
        with pytest.raises(NotHeld):
            await other.release()
        token = held.token
        await held.release()
        with pytest.raises(NotHeld):
            await held.release()
        assert await other.acquire(wait_s=0)
        assert other.token > token
        waiting = start(held.acquire())
        await in_line(cluster, 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await in_line(cluster, 1)
        await other.release()
        assert await held.acquire(wait_s=0), "who waits no more is in nobody's way"
        await held.release()

    with_members(tmp_path, story)


def test_it_is_held_for_as_long_as_its_holder_lives(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two, _three = cluster.databases
        lost: list[LeaseLost] = []
        held = cluster.at(one).objects.lock("a", ttl_s=3, on_lost=lost.append)
        other = cluster.at(two).objects.lock("a", ttl_s=3)
        await held.acquire()
        assert not await other.acquire(wait_s=20), "it is renewed"
        assert held.is_held
        token = held.token
        await cluster.crash(one)
        assert await other.acquire(wait_s=20)
        assert other.token > token

    with_members(tmp_path, story)


def test_who_is_cut_off_knows_that_it_is_lost_before_another_has_it(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two = (await cluster.followers())[:2]
        lost: list[LeaseLost] = []
        held = cluster.at(one).objects.lock("a", ttl_s=3, on_lost=lost.append)
        await held.acquire()
        waiting = start(cluster.at(two).objects.lock("a", ttl_s=3).acquire())
        await in_line_at(cluster, two, 2)
        cluster.cut_off(one)
        while held.is_held:
            assert not waiting.done()
            await look_again()
        with pytest.raises(LeaseLost, match="somebody else may have it"):
            held.check()
        assert isinstance(held.lost, LeaseLost)
        assert not waiting.done(), "not before its holder knows"
        assert await waiting
        while not lost:
            await look_again()
        cluster.heal()
        await held.release()
        assert [str(it) for it in lost] == [str(held.lost)]

    with_members(tmp_path, story)


async def in_line_at(cluster: Members, position: int, count: int) -> None:
    places = cluster.at(position).tree(PLACES, key=tuple[str, int], value=Place)
    while await places.count() != count:
        await look_again()


def test_a_new_leader_begins_to_count_anew(tmp_path: Path) -> None:
    """Its clock has nothing in common with the old one's: a lease lasts longer, never shorter."""

    async def story(cluster: Members) -> None:
        one, two = (await cluster.followers())[:2]
        held = cluster.at(one).objects.lock("a", ttl_s=10)
        other = cluster.at(two).objects.lock("a", ttl_s=10)
        await held.acquire()
        leader = await cluster.leader()
        await cluster.crash(leader)
        await cluster.leader()
        waiting = start(other.acquire())
        await pass_time(25)
        assert held.is_held
        assert not waiting.done()
        await held.release()
        assert await waiting

    with_members(tmp_path, story)


def test_a_dead_holders_lease_ends_under_a_new_leader_too(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        leader = await cluster.leader()
        held = cluster.at(leader).objects.lock("a", ttl_s=5)
        await held.acquire()
        begun_s = asyncio.get_running_loop().time()
        await cluster.crash(leader)
        position = await cluster.leader()
        other = cluster.at(position).objects.lock("a", ttl_s=5)
        assert await other.acquire()
        took_s = asyncio.get_running_loop().time() - begun_s
        assert 5 <= took_s < 12, "once more the whole time, from when somebody looks"
        await other.release()

    with_members(tmp_path, story)


def test_a_semaphore_has_so_many_holders(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        inside = most = 0

        async def work(number: int) -> None:
            nonlocal inside, most
            objects = cluster.at(number % 3).objects
            async with objects.semaphore("jobs", permits=3, ttl_s=5) as held:
                assert held.permits == 3
                inside += 1
                most = max(most, inside)
                await pass_time(1)
                inside -= 1

        await asyncio.gather(*map(work, range(9)))
        assert most == 3
        mine = cluster.at(0).objects.semaphore("jobs", permits=3, ttl_s=5)
        await mine.acquire()
        with pytest.raises(Refused, match="3 permits"):
            await cluster.at(1).objects.semaphore("jobs", permits=2, ttl_s=5).acquire()
        await mine.release()
        other = cluster.at(1).objects.semaphore("jobs", permits=2, ttl_s=5)
        assert await other.acquire(wait_s=0), "nobody is there who says otherwise"
        await other.release()

    with_members(tmp_path, story)


def test_everybody_sees_who_leads(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        leaders = [
            cluster.at(it).objects.leader("cron", value=f"m{it}", ttl_s=3) for it in range(3)
        ]
        assert await leaders[0].current() is None
        async with leaders[0] as leading:
            for it in leaders:
                current = await it.current()
                assert current is not None
                assert (current.value, current.token) == ("m0", leading.token)
            waiting = start(leaders[1].acquire())
            await in_line(cluster, 2)
        assert await waiting
        current = await leaders[2].current()
        assert current is not None
        assert (current.value, current.token) == ("m1", leaders[1].token)
        await leaders[1].release()
        assert await leaders[2].current() is None

    with_members(tmp_path, story)


def test_who_holds_it_when_nobody_can_be_asked_is_not_kept_waiting(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        one, two, three = cluster.databases
        held = cluster.at(one).objects.lock("a", ttl_s=3)
        await held.acquire()
        await cluster.crash(two)
        await cluster.crash(three)
        await held.release()  # its lease sees to it
        with pytest.raises(NotExecuted):
            await cluster.at(one).objects.lock("a", ttl_s=1).acquire()

    with_members(tmp_path, story)


def test_a_place_that_somebody_ended_is_lost(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        database = cluster.at(0)
        places = database.tree(PLACES, key=tuple[str, int], value=Place)
        held, waits = (database.objects.lock("a", ttl_s=3) for _ in range(2))
        await held.acquire()
        waiting = start(waits.acquire())
        await in_line(cluster, 2)
        await places.delete_range()
        with pytest.raises(LeaseLost, match="while it was waited for"):
            await waiting
        while held.is_held:
            await look_again()
        with pytest.raises(LeaseLost, match="ended it"):
            held.check()
        await held.release()
        await database.tree(LINES, key=str, value=Line).delete_range()

    with_members(tmp_path, story, size=1)


def test_an_answer_that_comes_too_late_is_no_lock(tmp_path: Path) -> None:
    """The simulator found it: it was taken, and lost before anybody knew."""

    async def story(cluster: Members) -> None:
        database = cluster.at(0)
        ask = database._embedded.ask

        async def late(name: str, arguments: bytes, once: bytes | None) -> bytes:
            answer = await ask(name, arguments, once)
            await pass_time(2)
            return answer

        database._embedded.ask = late  # type: ignore[method-assign]  # a slow way back
        lock = database.objects.lock("a", ttl_s=2)
        with pytest.raises(LeaseLost, match="too late"):
            await lock.acquire()
        database._embedded.ask = ask  # type: ignore[method-assign]  # and a fast one
        assert await lock.acquire(wait_s=0), "the place was given back"
        await lock.release()

    with_members(tmp_path, story, size=1)


def test_a_line_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.objects.layouts.lines.LINE_MAX", 2)

    async def story(cluster: Members) -> None:
        locks: list[Turned] = [cluster.at(0).objects.lock("a", ttl_s=9) for _ in range(3)]
        await locks[0].acquire()
        waiting = start(locks[1].acquire())
        await in_line(cluster, 2)
        with pytest.raises(Refused, match="wait for 'lock/a'"):
            await locks[2].acquire()
        await locks[0].release()
        await waiting
        await locks[1].release()

    with_members(tmp_path, story, size=1)


def test_what_cannot_be_is_refused_when_it_is_made(tmp_path: Path) -> None:
    async def story(cluster: Members) -> None:
        objects = cluster.at(0).objects
        for wrong in (
            lambda: objects.lock("a", ttl_s=0),
            lambda: objects.lock("a", ttl_s=float("nan")),
            lambda: objects.lock("", ttl_s=1),
            lambda: objects.lock(b"a", ttl_s=1),  # type: ignore[arg-type]  # that is the point
            lambda: objects.leader("a", value="\ud800", ttl_s=1),
            lambda: objects.leader("a", value=7, ttl_s=1),  # type: ignore[arg-type]  # as above
            lambda: objects.semaphore("a", permits=0, ttl_s=1),
            lambda: objects.barrier("a", parties=0),
        ):
            with pytest.raises(BadArgument):
                wrong()
        held = objects.lock("a", ttl_s=3)
        await held.acquire()
        database = cluster.databases.pop(0)
        cluster.members.pop(0)
        await database.close()
        await held.release()
        with pytest.raises(Closed):
            await objects.lock("a", ttl_s=3).acquire()

    with_members(tmp_path, story, size=1)
