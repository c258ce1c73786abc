"""Clients of v2 in simulated clusters: no change is missed, and one at a time holds the lock.

More than a few seeds: `ROOST_TREE_SEEDS=200`, or `roost sim --seeds A..B --v2 3`.
"""

import os
import random
from dataclasses import replace

import pytest

from roost.etcd.v2.queues import Queues
from roost.sim.campaign import simulate
from roost.sim.members.swarm import Swarm

SEEDS = int(os.environ.get("ROOST_TREE_SEEDS", "2"))


def swarm_of(seed: int) -> Swarm:
    return replace(Swarm.draw(random.Random(seed)), v2=3, clients=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_watchers_miss_nothing_and_one_holds_the_lock(seed: int) -> None:
    result, _trace = simulate(seed, swarm_of(seed))
    assert not result.violation, f"{result.violation}: seed {seed} of {swarm_of(seed)}"
    assert result.is_stranded or (result.watched > 20 and result.held > 2)


@pytest.mark.slow
def test_a_lock_that_waits_for_nobody_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        return None

    monkeypatch.setattr(Queues, "_before", nobody)
    result, _trace = simulate(0, swarm_of(0))
    # Two at a time, or one after who came behind it: whichever is seen first.
    found = ("holds the lock, and", "a lock is held with index")
    assert any(it in result.violation for it in found)
