"""Whole clusters in virtual time: promises kept, one seed one run."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest

from roost.sim.campaign import Totals, run_seeds, shrink, simulate
from roost.sim.members.loop import DeadlockError, VirtualLoop
from roost.sim.members.swarm import Swarm
from tests.samples import SAMPLES

# Seeds that once broke a promise, or showed that the simulator was wrong: docs/bugs.md.
ONCE_BROKEN = (
    4, 5, 27, 36, 39, 42, 102, 138, 229, 242, 453, 505, 629, 688, 1034, 1125, 1873, 300024,
    400360, 500098, 600168,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_a_seed_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    result, trace = simulate(seed)
    assert result.violation == "", "\n".join(trace[-40:])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 12 * SAMPLES, 6))
def test_promises_are_kept_whatever_fails(first: int) -> None:
    """A sample, of every kind of fault; 200 run compiled, and `make sim` runs thousands."""
    totals = run_seeds(range(first, first + 6), lambda _totals: None)
    assert totals.violations == []
    assert totals.events > 5_000
    assert totals.crashes > 5
    assert totals.operations > 300


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 8 * SAMPLES, 4))
def test_leases_are_never_early_and_never_for_ever(first: int) -> None:
    """P10: clocks that run at different rates, kills, cut networks, leaders that change."""
    expired = 0
    for seed in range(first, first + 4):
        swarm = replace(Swarm.draw(random.Random(seed)), lease_holders=5, drift=True)
        result, trace = simulate(seed, swarm)
        assert result.violation == "", "\n".join(trace[-40:])
        expired += result.expired
    assert expired > 10


@pytest.mark.slow
def test_one_seed_is_one_run_in_any_process() -> None:
    script = (
        "from roost.sim.campaign import simulate;"
        "print(*[simulate(seed)[0].digest for seed in (1, 4, 5)])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(set(said[0].split())) == 3


def test_a_seed_without_a_violation_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="breaks no promise"):
        shrink(1, lambda _text: None)


def test_totals_add_up() -> None:
    totals = Totals()
    result, _ = simulate(1)
    totals.add(result)
    totals.add(result)
    assert totals.seeds == 2
    assert totals.events == 2 * result.events > 0


def test_time_jumps_and_a_deadlock_is_said() -> None:
    loop = VirtualLoop()
    try:
        seen: list[float] = []
        loop.call_later(3600, lambda: seen.append(loop.time()))
        loop.call_later(3601, loop.stop)
        loop.run_forever()
        assert seen[0] == pytest.approx(3600)
        with pytest.raises(DeadlockError):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()
