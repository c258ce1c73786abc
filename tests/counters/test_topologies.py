"""The founding topologies: any set of one-way links, each with its source's own values only.

And links that relay.  More than a few seeds of those: `ROOST_COUNTER_SEEDS=200`.
"""

import os

import pytest

from roost.counters import reading
from tests.counters.swarm import World

SEEDS = int(os.environ.get("ROOST_COUNTER_SEEDS", "2"))
A, B, C, D = 1, 2, 3, 4
CHAIN = {(A, B), (B, C), (A, C)}
RING = {(A, B), (B, C), (C, A)}
CLUSTERS = {(one, two) for one in (A, B, C, D) for two in (A, B, C, D) if one != two}


def count_everywhere(world: World, seconds: float = 4) -> None:
    def act() -> None:
        world.client()
        world.nemesis()

    world.run(seconds, act)


@pytest.mark.parametrize(
    ("routes", "count"), [(CHAIN, 3), (RING, 3), (CLUSTERS, 4)], ids=["chain", "ring", "clusters"]
)
def test_everybody_reads_what_comes_to_him_once(routes: set[tuple[int, int]], count: int) -> None:
    world = World("topology", count=count, routes=routes)
    count_everywhere(world)
    world.calm()
    world.check()


# Each pair can talk; A and C, or the two ends, cannot.
LINE = {(A, B), (B, A), (B, C), (C, B)}
GATEWAYS = {(A, B), (B, A), (C, D), (D, C), (B, C), (C, B)}


@pytest.mark.parametrize(
    ("routes", "relays", "count"),
    [
        (LINE, {(B, A), (B, C)}, 3),
        (RING, RING, 3),
        (GATEWAYS, GATEWAYS, 4),
        (CHAIN, {(A, B), (B, C)}, 3),
    ],
    ids=["line", "ring", "gateways", "chain"],
)
def test_what_is_relayed_comes_to_everybody_once(
    routes: set[tuple[int, int]], relays: set[tuple[int, int]], count: int
) -> None:
    for seed in range(SEEDS):
        world = World(f"relays {seed}", count=count, routes=routes, relays=relays)

        def act(world: World = world) -> None:
            world.client()
            world.nemesis()
            if world.dice.random() < 0.02:
                world.purge()

        world.run(6, act)
        world.calm()
        world.check()
        assert world.acknowledged > 20
    if relays != CHAIN - {(A, C)}:
        for machine in world.machines.values():
            assert len(world.heard_by(machine)) == count


def test_who_relays_only_later_tells_all_that_was_counted_before() -> None:
    world = World("relays", count=3, routes=LINE)
    for machine in world.machines.values():
        machine.count(b"%d" % machine.number, [("counter/1", 10**machine.number)])
    world.calm()
    world.relays = {(B, A), (B, C)}
    middle = world.machines[B].store
    assert middle is not None
    middle.passing.begin({it: of.version for it, of in middle.heard.items()})
    world.run(0.5)  # it begins to
    world.calm()
    world.check()
    store = world.machines[C].store
    assert store is not None
    assert reading.read(store, ["counter/1"]) == [1110]


def test_a_chain_with_a_short_cut_gives_its_end_one_version_of_each_part() -> None:
    world = World("short cut", count=3, routes=CHAIN)
    for machine in world.machines.values():
        machine.count(b"%d" % machine.number, [("counter/1", 10**machine.number)])
    world.calm()
    sums = []
    for machine in world.machines.values():
        assert machine.store is not None
        parts = machine.store.counter(b"counter/1").parts
        sums.append(sum(it.value for it in parts.values()))
    assert sums == [10, 110, 1110]


def test_two_clusters_that_were_parted_for_an_hour_agree_within_a_second() -> None:
    world = World("clusters", count=4, routes=CLUSTERS)
    world.cuts = {(one, two) for one, two in CLUSTERS if (one <= B) != (two <= B)}
    world.run(2, world.client)
    world.now_s += 3600
    world.run(2, world.client)
    world.heal()
    for machine in world.machines.values():  # links of peers are up again
        assert machine.exchange is not None
        for link in machine.exchange.links.values():
            link.on_up(world.now_s)
    world.run(1)
    assert world.is_quiet()
    world.check()
    assert world.acknowledged > 50
