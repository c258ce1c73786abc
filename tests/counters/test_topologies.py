"""The founding topologies: any set of one-way links, each with its source's own values only."""

import pytest

from tests.counters.swarm import World

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
