"""What is tried again, and what never is: by what is known of it."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roost.client import Busy, Client, ClientError, OutcomeUnknown, Unreachable, WrongLoop
from roost.client.aio import Client as AsyncClient
from roost.errors import NotExecuted
from roost.errors import OutcomeUnknown as AnyOutcomeUnknown
from roost.faces import Closed, Forked
from roost.sim.members.loop import pass_time
from roost.testing.patience import PATIENCE_S
from tests.client.virtual import Trouble, VirtualCluster, run_cluster


def test_a_write_whose_answer_is_lost_is_made_once(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        trouble = Trouble(request_lost=0.2, answer_lost=0.2)
        async with cluster.client(trouble=trouble) as client, cluster.client() as clean:
            asked_count = acknowledged_count = 0
            for _ in range(60):
                asked_count += 1
                try:
                    await client.put("k", "1")
                    acknowledged_count += 1
                except AnyOutcomeUnknown:
                    continue
            found = await clean.get("k")
            assert found is not None
            # The version counts puts: each call made one at most.
            assert acknowledged_count <= found.version <= asked_count
            assert acknowledged_count < asked_count

    run_cluster(tmp_path, story)


def test_a_write_that_may_be_made_twice_is_asked_until_it_is_answered(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        trouble = Trouble(request_lost=0.2, answer_lost=0.2)
        async with cluster.client(trouble=trouble) as client:
            for number in range(40):
                await client.put("k", str(number), is_repeatable=True)
                found = await client.get("k")
                assert found is not None and found.text == str(number)

    run_cluster(tmp_path, story)


def test_while_nobody_leads_a_write_waits_and_is_made(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client(timeout_s=10) as client:
            for _ in range(3):
                leader = await cluster.leader()
                cluster.kill(leader)
                try:
                    await client.put("k", "1")
                except OutcomeUnknown:
                    pass  # it was on its way when the leader died: nobody can say
                await client.put("k", "2")
                await cluster.start(leader)

    run_cluster(tmp_path, story)


def test_without_retries_nobody_waits(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        loop = asyncio.get_running_loop()
        async with cluster.client(retries=False, spreads=False) as client:
            for number in range(3):
                cluster.kill(number)
            began = loop.time()
            with pytest.raises(Unreachable) as caught:
                await client.put("k", "1")
            assert isinstance(caught.value, NotExecuted)
            assert loop.time() - began < 0.1

    run_cluster(tmp_path, story)


def test_nobody_there_is_said_at_the_deadline(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        loop = asyncio.get_running_loop()
        async with cluster.client(timeout_s=3) as client:
            for number in range(3):
                cluster.kill(number)
            for call in (client.put("k", "1"), client.get("k")):
                began = loop.time()
                with pytest.raises(Unreachable):
                    await call
                assert 2 < loop.time() - began <= 3

    run_cluster(tmp_path, story)


def test_a_member_alone_is_busy_or_unreachable_and_a_write_has_not_happened(
    tmp_path: Path,
) -> None:
    async def story(cluster: VirtualCluster) -> None:
        leader = await cluster.leader()
        alone, *others = sorted(range(3), key=lambda it: it == leader)
        async with cluster.client(timeout_s=8) as client:
            for number in others:
                cluster.kill(number)
            await pass_time(5)
            with pytest.raises(ClientError) as caught:
                await client.put("k", "1")
            assert isinstance(caught.value, Busy | Unreachable | OutcomeUnknown)
            for number in others:
                await cluster.start(number)
            await cluster.leader()
            found = await client.get("k")
            if not isinstance(caught.value, OutcomeUnknown):
                assert found is None
            assert cluster.machines[alone].member is not None

    run_cluster(tmp_path, story)


def test_a_frozen_member_is_left_and_used_again_when_it_answers(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        loop = asyncio.get_running_loop()
        frozen = (await cluster.leader() + 1) % 3
        async with cluster.client(timeout_s=3) as client:
            for _ in range(3):
                await client.put("k", "1")
            cluster.machines[frozen].is_frozen = True
            failed_count = 0
            for _ in range(12):
                began = loop.time()
                try:
                    await client.put("k", "1")
                except OutcomeUnknown:
                    failed_count += 1
                await client.get("k")
                assert loop.time() - began <= 6.1
            assert failed_count <= 1
            cluster.machines[frozen].is_frozen = False
            silent = client._connections._order._silent
            async with asyncio.timeout(PATIENCE_S):
                while silent:
                    await pass_time(0.1)

    run_cluster(tmp_path, story)


def test_calls_are_spread_over_the_members(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        asked = [0, 0, 0]

        async with cluster.client() as client:
            for number, channel in enumerate(client._connections._channels):
                ask = channel.unary

                async def unary(*given, number=number, ask=ask, **how):  # type: ignore[no-untyped-def]  # as the real one
                    asked[number] += 1
                    return await ask(*given, **how)

                channel.unary = unary  # type: ignore[method-assign]  # it counts
            for _ in range(30):
                await client.put("k", "1")
        assert asked == [10, 10, 10]

    run_cluster(tmp_path, story)


def test_a_client_belongs_to_one_loop_and_ends_once() -> None:
    client = AsyncClient("127.0.0.1:1", retries=False)

    async def ask() -> None:
        with pytest.raises(Unreachable):
            await client.get("k")

    async def ask_elsewhere() -> None:
        for call in (client.get("k"), client.put("k", "v"), anext(client.watch("k"))):
            with pytest.raises(WrongLoop, match="the event loop of its first call"):
                await call

    async def ask_closed() -> None:
        async with AsyncClient("127.0.0.1:1") as other:
            pass
        with pytest.raises(Closed):
            await other.get("k")
        with pytest.raises(Closed):
            await anext(other.watch("k"))

    with asyncio.Runner() as runner:
        runner.run(ask())
        in_thread(ask_elsewhere)
        in_thread(ask_closed)
        runner.run(client.close())


def in_thread(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run it on another loop."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(story())).result()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_a_fork_a_client_says_so() -> None:
    with Client("127.0.0.1:1", timeout_s=0.1) as client:
        with pytest.raises(Unreachable):
            client.get("k")
        child = os.fork()
        if not child:
            code = 1
            try:
                client.get("k")
            except Forked:
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
