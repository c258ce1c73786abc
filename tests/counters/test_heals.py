"""After a cut all members have everything within a second, however long it was.

An hour of it: `ROOST_COUNTER_CUT_S=3600 python -m pytest tests/counters/test_heals.py`.
"""

import asyncio
import os
from pathlib import Path

from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting

# How long ways are closed: longer than it takes until everybody has noticed.
CUTS_S = (2.5, 4.0, 7.0, 11.0, float(os.environ.get("ROOST_COUNTER_CUT_S", "16")))
HEAL_S = 1.0
ROUNDS = 10


def test_all_have_everything_a_second_after_ways_are_open_again(tmp_path: Path) -> None:
    took_s: list[float] = []

    async def story(cluster: CountingCluster) -> None:
        loop, count = asyncio.get_running_loop(), 0
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_all_read({"a": 1})
        await cluster.until_known()
        for cut_s in CUTS_S:
            # One alone, and then each of them: nobody leads, and all count.
            cluster.isolate(2)
            if cut_s > CUTS_S[0]:
                cluster.isolate(1)
            for _round in range(ROUNDS):
                for position in range(3):
                    await cluster.desk(position).increment([("a", 1 + 10 * position)])
                    count += 1 + 10 * position
                await pass_time(cut_s / ROUNDS)
            assert cluster.read(0, ["a"]) != cluster.read(2, ["a"])
            cluster.heal()
            began_s = loop.time()
            await cluster.until_all_read({"a": 1 + count})
            took_s.append(round(loop.time() - began_s, 3))

    run_counting(tmp_path, story)
    assert max(took_s) <= HEAL_S, took_s
