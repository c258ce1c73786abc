"""Sums are exact, whatever fails: episodes of kills, cuts, slow disks, joins, retirements, purges.

More than a few seeds: `ROOST_COUNTER_SEEDS=200 python -m pytest tests/counters/test_swarm.py`.
"""

import os

import pytest

from tests.counters.retiring import retire
from tests.counters.swarm import World

SEEDS = int(os.environ.get("ROOST_COUNTER_SEEDS", "6"))


def episode(seed: int) -> World:
    world = World(seed, count=3 + seed % 2)

    def act() -> None:
        for _it in range(2):
            world.client()
        world.nemesis()
        if world.dice.random() < 0.004:
            world.purge()

    world.run(8, act)
    if seed % 2:
        world.join(is_silent=seed % 4 == 1)
        world.run(4, act)
    if seed % 3 == 0:
        retire(world, world.dice.choice(world.alive()).number, act)
        world.run(4, act)
    for machine in world.alive():
        if machine.exchange is not None:
            machine.exchange.joining.serve()
    world.run(2, act)
    world.calm()
    world.check()
    return world


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_sums_are_exact_after_everything(seed: int) -> None:
    world = episode(seed)
    assert world.acknowledged > 20


def test_one_seed_is_one_run() -> None:
    one, two = (World("same", count=3) for _it in range(2))
    for world in (one, two):
        world.run(3, world.client)
    assert one.truth == two.truth
    assert one.acknowledged == two.acknowledged > 0
