"""Two clusters that are linked, and everything that fails: counted once, whatever way it came.

Members are production's, in virtual time; links go one way or both, of each member or of a relay.
What fails: ways between the clusters, the network in each, machines.  Whoever counts tries again,
at the same member with the same key, until it is answered.

More seeds: `ROOST_LINKED_SEEDS=200 python -m pytest tests/counters/test_linked_swarm.py`.
"""

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from roost.counters.counting import Counting
from roost.counters.ports import State
from roost.counters.requests import Request
from roost.errors import RoostError
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster
from tests.counters.linked import Between, link, run_linked

SEEDS = int(os.environ.get("ROOST_LINKED_SEEDS", "4"))
SIZE = 2
NAMES = [f"n{it}" for it in range(6)]
LASTS_S, ANSWERS_S, TURN_S = 20.0, 2.0, 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is to count, at one member of one cluster."""

    cluster: str
    position: int
    key: bytes
    changes: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Episode:
    """One seed's; `has_both_ways` by its lowest bit, `is_relayed` by the next."""

    seed: int
    between: Between
    truth: dict[str, Counter[str]] = field(default_factory=dict)
    open: list[Asked] = field(default_factory=list)
    down: set[tuple[str, int]] = field(default_factory=set)
    answered: int = 0
    said: Counter[str] = field(default_factory=Counter)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.truth = {it: Counter() for it in self.between.clusters}

    @property
    def ways(self) -> list[tuple[str, str]]:
        return [("a", "b"), ("b", "a")] if self.seed & 1 else [("a", "b")]

    async def link(self) -> None:
        """Of each member to each there; or of the first alone, who tells of the others too."""
        for name, cluster in self.between.clusters.items():
            for position in range(SIZE):
                await cluster.desk(position).increment([(NAMES[0], 1)])
                self.truth[name][NAMES[0]] += 1
            await cluster.until_known()
        for source, target in self.ways:
            cluster, is_relayed = self.between.clusters[source], bool(self.seed & 2)
            for position, there in product(range(1 if is_relayed else SIZE), range(SIZE)):
                url = self.between.url(target, there)
                await link(cluster, url, source=f"m{position}", is_relay=is_relayed)

    async def ask(self, asked: Asked) -> None:
        """Count, or leave it for later."""
        cluster = self.between.clusters[asked.cluster]
        if (asked.cluster, asked.position) in self.down:
            self.open.append(asked)
            return
        request = Request(asked.key, 1, cluster.at(asked.position).around.wall_s())
        try:
            async with asyncio.timeout(ANSWERS_S):
                await cluster.desk(asked.position).increment(asked.changes, request)
        except (RoostError, TimeoutError):
            self.open.append(asked)
            return
        self.answered += 1
        for name, change in asked.changes:
            self.truth[asked.cluster][name] += change

    async def count(self) -> None:
        """Clients: half of what they do is what was not answered."""
        number = 0
        loop = asyncio.get_running_loop()
        end = loop.time() + LASTS_S
        while loop.time() < end:
            if self.open and self.dice.random() < 0.5:
                await self.ask(self.open.pop(self.dice.randrange(len(self.open))))
            else:
                number += 1
                names = self.dice.sample(NAMES, 2)
                changes = tuple((it, self.dice.randint(-3, 9)) for it in names)
                cluster, position = self.dice.choice("ab"), self.dice.randrange(SIZE)
                await self.ask(Asked(cluster, position, b"key %d" % number, changes))
            await pass_time(self.dice.random() * TURN_S)

    async def harm(self) -> None:
        """Whatever fails, some of the time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LASTS_S
        while loop.time() < end:
            await pass_time(self.dice.random() * 2)
            name, position = self.dice.choice("ab"), self.dice.randrange(SIZE)
            cluster = self.between.clusters[name]
            match self.dice.randrange(5):
                case 0:
                    self.between.cut.add(self.between.url(name, position))
                    self.said["cut between"] += 1
                case 1:
                    self.between.cut.clear()
                    cluster.heal()
                case 2:
                    cluster.isolate(position)
                    self.said["cut within"] += 1
                case _:
                    await self.restart(cluster, name, position)

    async def restart(self, cluster: CountingCluster, name: str, position: int) -> None:
        self.down.add((name, position))
        cluster.crash(position)
        self.said["crash"] += 1
        await pass_time(self.dice.random() * 2)
        await cluster.start(position)
        self.down.discard((name, position))

    async def calm(self) -> None:
        """Everything works again: everything is answered, and read where it is to be told."""
        self.between.cut.clear()
        for cluster in self.between.clusters.values():
            cluster.heal()
            counting = [cluster.at(it) for it in range(SIZE)]
            await cluster.until(partial(_are_open, counting))
        while self.open:
            await self.ask(self.open.pop())
            await pass_time(TURN_S)
        wanted = {name: Counter(truth) for name, truth in self.truth.items()}
        for source, target in self.ways:
            wanted[target].update(self.truth[source])
        for name, cluster in self.between.clusters.items():
            readings = {it: wanted[name][it] for it in NAMES if it in wanted[name]}
            await cluster.until_all_read(dict(readings))


def _are_open(counting: list[Counting]) -> bool:
    return all(it.state is State.OPEN for it in counting)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_sums_of_linked_clusters_are_exact_after_everything(seed: int, tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        episode = Episode(seed, between)
        await episode.link()
        await asyncio.gather(episode.count(), episode.harm())
        await episode.calm()
        assert episode.answered > 20
        assert episode.said["crash"]
        for cluster in between.clusters.values():
            for it in range(SIZE):
                exchange = cluster.at(it).exchange
                assert exchange is not None
                assert exchange.differed_count == 0

    run_linked(tmp_path, story, dict.fromkeys("ab", SIZE))
