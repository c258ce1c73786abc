"""A new member joins under 10,000 increments a second, while its seed is killed: all exact.

For longer: `ROOST_COUNTER_JOIN_S=60 python -m pytest tests/counters/test_joining_under_load.py`.
"""

import asyncio
import os
from pathlib import Path

import pytest

from roost.counters.joining import Phase
from roost.counters.ports import Options
from roost.counters.requests import Request
from roost.errors import RoostError
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting

# Virtual seconds under load; each of two members takes half of it, by so many clients, in requests
# of so many.
LOAD_S = float(os.environ.get("ROOST_COUNTER_JOIN_S", "2"))
RATE, CLIENTS, BATCH = 10_000, 8, 100
NAMES = [f"n{it}" for it in range(2000)]
KILLS = 3


class Load:
    """Somebody who counts at one member, and asks it again until it answers."""

    def __init__(self, cluster: CountingCluster, position: int, number: int) -> None:
        self._cluster = cluster
        self._position = position
        self._number = number
        self.counted = dict.fromkeys(NAMES, 0)
        self.is_over = False

    async def work(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        due_s = loop.time()
        while not self.is_over:
            first = (number * BATCH + 7 * self._number) % len(NAMES)
            names = [NAMES[(first + it) % len(NAMES)] for it in range(BATCH)]
            number += 1
            await self._count(names, b"%d %d %d" % (self._position, self._number, number))
            for it in names:
                self.counted[it] += 1
            due_s += 2 * CLIENTS * BATCH / RATE
            await pass_time(max(0.0, due_s - loop.time()))

    async def _count(self, names: list[str], key: bytes) -> None:
        changes = [(it, 1) for it in names]
        while True:
            try:
                desk = self._cluster.desk(self._position)
                async with asyncio.timeout(1.0):
                    await desk.increment(changes, Request(key, len(key), 0.0))
            except (KeyError, TimeoutError, RoostError):
                await pass_time(0.02)  # it is gone, or not back yet
            else:
                return


@pytest.mark.slow
def test_sums_are_exact_when_a_member_has_joined_under_load_and_its_seed_was_killed(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(1).increment([(it, 1) for it in NAMES])
        await cluster.until_known()
        await cluster.until_all_read({NAMES[-1]: 1})
        await cluster.stop(2)
        cluster.forget_directory(2, "another")
        cluster.options["m2"] = Options(seed="m1")
        loads = [Load(cluster, at, number) for at in (0, 1) for number in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for it in loads:
                group.create_task(it.work())
            await pass_time(0.5)
            await cluster.start(2)
            kills, fed = 0, 0
            for _kill in range(KILLS):

                def has_more(so_far: int = fed) -> bool:
                    return rows_fed(cluster) > so_far

                await cluster.until(has_more)
                fed = rows_fed(cluster)
                if phase_of(cluster) is not Phase.FEEDING:
                    break
                kills += 1
                cluster.crash(1)
                await pass_time(0.3)
                await cluster.start(1)
            assert kills >= 1, "its seed was killed while it was fed"
            await pass_time(LOAD_S)
            for it in loads:
                it.is_over = True
        wanted = {it: 1 + sum(load.counted[it] for load in loads) for it in NAMES}
        assert sum(wanted.values()) > RATE * LOAD_S
        await cluster.until(lambda: phase_of(cluster) is Phase.READY)
        await cluster.until_all_read(dict(wanted))

    run_counting(tmp_path, story)


def phase_of(cluster: CountingCluster) -> Phase | None:
    exchange = cluster.at(2).exchange
    return None if exchange is None else exchange.joining.phase


def rows_fed(cluster: CountingCluster) -> int:
    """How many rows the new member has of its seed; more than any when it has all."""
    exchange = cluster.at(2).exchange
    if exchange is None:
        return 0
    is_fed = exchange.joining.phase is not Phase.FEEDING
    return 1 << 30 if is_fed else exchange.joining.progress().rows_count
