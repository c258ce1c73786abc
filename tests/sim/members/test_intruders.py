"""Strangers, copies, nonsense and deaf machines change nothing: and the judge would notice."""

import random
from dataclasses import replace

import pytest

from roost.sim.campaign import Totals, simulate
from roost.sim.members.swarm import Swarm
from roost.sim.mutants import MUTANTS, applied
from tests.samples import SAMPLES


def besieged(seed: int) -> Swarm:
    """Everything that whoever is no member can do, on links that fill at once."""
    return replace(
        Swarm.draw(random.Random(seed)),
        strangers=True,
        copies=True,
        deafness=True,
        garbage=True,
        half_open=seed % 2 == 0,
        window_bytes=4 << 10,
        queue_bytes=8 << 10,
        nemesis_s_mean=0.2,
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 6 * SAMPLES, 3))
def test_nobody_from_outside_ends_a_member_or_loses_a_write(first: int) -> None:
    totals = Totals()
    for seed in range(first, first + 3):
        result, trace = simulate(seed, besieged(seed))
        assert result.violation == "", "\n".join(trace[-40:])
        totals.add(result)
    assert totals.intrusions > 15
    assert totals.acknowledged > 100


@pytest.mark.slow
def test_a_copy_of_a_directory_runs_beside_its_member_or_ends_itself() -> None:
    said: list[str] = []
    for seed in range(4):
        result, trace = simulate(seed, replace(besieged(seed), strangers=False, changes=False))
        assert result.violation == ""
        said += [line for line in trace if "a copy of" in line]
    assert any("starts" in line for line in said)
    assert any("ends itself" in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["whoever greets is believed", "a member's nonsense is nobody's fault"]
)
def test_the_judge_notices(name: str) -> None:
    (mutant,) = [it for it in MUTANTS if it.name == name]
    with applied(mutant):
        assert any(simulate(seed, besieged(seed))[0].violation for seed in range(5))
