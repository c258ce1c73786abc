"""Storms: bare cores while everything that can go wrong with them does, one step at a time.

The seed draws the size of the cluster, settings that make rare paths common, and every step: a
message is delivered, repeated, lost or overtaken; a disk finishes a write; time passes; somebody
campaigns, proposes, reads, changes the configuration (also jointly), hands leadership over,
compacts its log, crashes, returns; directions are cut.  After every step `CoreCluster.check` must
hold.  Then everything heals, and the last configuration must become even and commit what is
proposed.

A storm reaches what whole simulated members rarely do, joint configurations above all, and it is
fast: a step is an event, and there are some 70,000 a second.

`python -m roost.sim.cores.storm --first 5001 --count 200` runs as many seeds as one has time for.
"""

import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    ProposalDropped,
    Role,
    TransferRefused,
    Transition,
)
from roost.sim.cores.cores import CoreCluster, Node

STEPS = 10_000
_HEAL_ROUNDS_MAX = 400
# Settings that make rare paths common; each with its odds.
_OPTIONS: tuple[tuple[float, dict[str, int]], ...] = (
    (0.3, {"pre_vote": False}),
    (0.3, {"check_quorum": False}),
    (0.5, {"eager_commit": False}),
    (0.3, {"message_bytes_max": 20, "inflight_bytes_max": 60, "inflight_count_max": 2}),
    (0.3, {"apply_bytes_max": 15}),
    (0.3, {"cache_bytes_max": 10, "tail_bytes_max": 50, "message_bytes_max": 20}),
)


@dataclass(slots=True)
class StormResult:
    """What one storm saw."""

    seed: int
    events: int = 0
    terms: int = 0
    committed: int = 0
    crashes: int = 0
    damages: int = 0
    changes: int = 0
    joint: int = 0
    snapshots: int = 0
    reads: int = 0
    violation: str = ""


class Storm(CoreCluster):
    """One seed's cluster; `run` is the whole of it."""

    def __init__(self, seed: int) -> None:
        """Draw what the storm is about."""
        dice = random.Random(seed)  # noqa: S311 - a simulation is no secret
        options: dict[str, Any] = {}
        for odds, changes in _OPTIONS:
            if dice.random() < odds:
                options |= changes
        size, joiners = dice.choice((1, 2, 3, 3, 3, 4, 5)), dice.choice((0, 1, 2, 3))
        super().__init__(size, seed, joiners=joiners, has_lives=True, **options)
        self.seed = seed
        self.dice = dice
        self.has_changes = joiners > 0
        self.result = StormResult(seed)
        # Reads on their way: the highest index that was committed when they were asked.
        self._floors: dict[int, int] = {}
        self._damage_odds = dice.choice((0, 0.1, 0.4))
        self._acts = self._draw_acts()

    def run(self, steps: int = STEPS) -> StormResult:
        """The storm, the healing, and the proof that work goes on."""
        try:
            for _ in range(steps):
                self.step_randomly()
                self.check()
                self._check_reads()
                self.result.events += 1
            self._prove_progress()
        except Exception as error:  # noqa: BLE001 - whatever a core raises, it must not
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.result.violation = f"{error or type(error).__name__} (in {place.name})"
        self._count()
        return self.result

    def _count(self) -> None:
        result, nodes = self.result, self.nodes.values()
        result.terms = len(self.leaders)
        result.committed = len(self.committed)
        configurations = {it.version: it for node in nodes for it in node.configurations}
        result.changes = len(configurations) - 1
        result.joint = sum(1 for it in configurations.values() if it.is_joint)

    def _check_reads(self) -> None:
        for node in self.nodes.values():
            for token, index in node.reads:
                self.result.reads += 1
                floor = self._floors.pop(token)
                assert index >= floor, f"a read at {index} does not see committed {floor}"
            node.reads.clear()
            node.reads_failed.clear()

    def _draw_acts(self) -> list[tuple[float, Callable[[], None]]]:
        """What may happen, with odds of this storm's own, summed up."""
        pick = self.dice.choice
        odds: list[tuple[float, Callable[[], None]]] = [
            (50, self._fly),
            (pick((10, 25, 50)), self._persist_some),
            (pick((2, 6, 12)), self._tick_some),
            (pick((2, 6, 15)), self._propose_some),
            (0.5, self._read_some),
            (pick((0.1, 1)) if self._damage_odds else 0, self._repair_some),
            (pick((0.2, 0.5, 0.5, 2)), self._crash_or_return),
            (pick((0.1, 0.5, 1)), self._cut_or_heal),
            (pick((0.1, 0.5, 2)), self._campaign_some),
            (pick((1, 4, 15)) if self.has_changes else 0, self._change_some),
        ]
        total = sum(it[0] for it in odds)
        summed, reached = [], 0.0
        for weight, act in odds:
            reached += weight / total
            summed.append((reached, act))
        return summed

    def step_randomly(self) -> None:
        """One thing happens."""
        what = self.dice.random()
        for reached, act in self._acts:
            if what < reached:
                act()
                return

    def _alive(self) -> Node:
        return self.dice.choice([it for it in self.nodes.values() if it.id not in self.down])

    def _asked(self) -> Node:
        """Whom somebody asks: a leader mostly, if there is one."""
        alive = [it for it in self.nodes.values() if it.id not in self.down]
        leading = [it for it in alive if it.core.role is Role.LEADER]
        return self.dice.choice(leading if leading and self.dice.random() < 0.8 else alive)

    def _persist_some(self) -> None:
        """A disk finishes a write; when none writes, time passes."""
        busy = [it for it in self.nodes.values() if it.waiting and it.id not in self.down]
        if busy:
            self.persist(self.dice.choice(busy), all_of_it=False)
        else:
            self._tick_some()

    def _tick_some(self) -> None:
        self.tick(self._alive().id)

    def _propose_some(self) -> None:
        node = self._asked()
        payload = b"%d" % self.dice.randrange(10**9)
        self._ask(node, lambda: node.core.propose(payload))

    def _cut_or_heal(self) -> None:
        what, nodes = self.dice.random(), list(self.nodes)
        if self.cut and what < 0.5:
            self.cut.clear()
        elif what < 0.75:
            alone = self._asked().id
            self.cut |= {it for other in nodes for it in ((alone, other), (other, alone))}
        else:
            self.cut.add((self.dice.choice(nodes), self.dice.choice(nodes)))

    def _campaign_some(self) -> None:
        node = self._alive()
        node.core.campaign()
        self.collect(node)

    def _fly(self) -> None:
        """A message arrives, with a little reordering, once, twice or not at all."""
        if not self.flying:
            self._persist_some()
            return
        position = self.dice.randrange(min(len(self.flying), 6))
        if self.dice.random() < 0.05:
            self.flying.append(self.flying[position])
        if self.dice.random() < 0.02:
            del self.flying[position]
        else:
            self.deliver(position)

    def _ask(self, node: Node, request: Callable[[], object]) -> None:
        """Ask a core for something that it may refuse."""
        try:
            request()
        except (ProposalDropped, ChangeRefused, TransferRefused):
            pass  # it is not the leader, or the request makes no sense now
        self.collect(node)

    def _read_some(self) -> None:
        node = self._asked()
        token = len(self.committed) * 1_000_000 + self.result.events
        self._floors[token] = len(self.committed)
        node.core.read_index(token)
        if token % 3 == 0:
            node.core.ask_all()  # whoever was near is slow, as far as its member can see
        self.collect(node)

    def _change_some(self) -> None:
        """Somebody joins or goes, leadership moves, a log is compacted, a snapshot comes."""
        node = self._asked()
        dice, core = self.dice, node.core
        fetching = [it for it in self.nodes.values() if it.fetching and it.id not in self.down]
        what = dice.random()
        if fetching and what < 0.4:
            self.result.snapshots += 1
            self.fetch(dice.choice(fetching), fails=dice.random() < 0.3)
        elif what < 0.55:
            node = self._alive()
            node.compact(len(node.applied) - dice.randrange(8))
        elif what < 0.65:
            target = dice.choice(list(self.nodes))
            self._ask(node, lambda: core.transfer_leadership(target))
        elif what < 0.95:
            count = min(dice.choice((1, 1, 1, 2, 3)), len(self.nodes))
            kinds = (ChangeKind.ADD_VOTER, ChangeKind.ADD_VOTER, *ChangeKind)
            nodes = dice.sample(sorted(self.nodes), count)
            changes = [Change(dice.choice(kinds), it) for it in nodes]
            how = dice.choice(list(Transition))
            self._ask(node, lambda: core.propose_change(changes, transition=how))
        else:
            self._ask(node, core.propose_leave)

    def _crash_or_return(self) -> None:
        node = self.dice.choice(list(self.nodes.values()))
        if self.down and self.dice.random() < 0.7:
            node = self.nodes[self.dice.choice(sorted(self.down))]
        if node.id in self.down:
            self.restart(node.id)
        elif len(self.down) < len(self.nodes) - 1:
            self.result.crashes += 1
            self.crash(node.id)
            if self.dice.random() < self._damage_odds:
                self._damage(node)

    def _damage(self, node: Node) -> None:
        """A disk loses the end of the log, or some entries; one disk at a time (P4)."""
        storage = node.storage
        first = max(storage.first_index, node.durable_applied + 1)
        is_spare = len(node.configuration.voters) > 2 and not self.has_changes
        others = [it for it in self.nodes.values() if it is not node]
        if not is_spare or any(it.is_fenced or it.storage.damaged for it in others):
            return
        if first > storage.last_index or node.is_fenced or storage.damaged:
            return
        self.result.damages += 1
        last = storage.last_index
        if self.dice.random() < 0.5:
            storage.lose_from(self.dice.randint(first, last))
            node.is_fenced, node.lost_before = True, node.lives or 0
        else:
            storage.damaged = {it for it in range(first, last + 1) if self.dice.random() < 0.5}

    def _repair_some(self) -> None:
        """An entry that rotted is brought back by any node that holds the same."""
        for node in self.nodes.values():
            if node.storage.damaged and node.id not in self.down:
                index = self.dice.choice(sorted(node.storage.damaged))
                self._repair(node, index)

    def _repair(self, node: Node, index: int) -> None:
        term = node.storage.term_at(index)
        holders = [
            it
            for it in self.nodes.values()
            if it is not node and it.core.log.term_at(index) == term
        ]
        if any(it.id not in self.down and index >= it.storage.first_index for it in holders):
            node.storage.damaged.discard(index)
        elif not self.down and not holders and not node.waiting:
            # Everybody was asked, and nobody has it: it was never committed.
            node.storage.lose_from(index)
            node.core.forget_from(index)
        self.collect(node)

    def heal(self) -> Node:
        """Everything runs and talks; return the leader once its configuration is even."""
        for node_id in sorted(self.down):
            self.restart(node_id)
        self.cut.clear()
        for _ in range(_HEAL_ROUNDS_MAX):
            self._repair_some()
            self.settle()
            self.check()
            for node in self.nodes.values():
                if not node.core.is_leader_ready or node.core.transfer_target:
                    continue
                if node.configuration.is_joint:
                    self._ask(node, node.core.propose_leave)
                elif self._is_even(node):
                    return node
            for node_id in self.nodes:
                self.tick(node_id)
        raise AssertionError("no even cluster after everything healed")

    def _is_even(self, leader: Node) -> bool:
        members = leader.configuration.all_nodes()
        is_idle = len(leader.applied) == leader.core.last_index
        return is_idle and all(self.nodes[it].applied == leader.applied for it in members)

    def _prove_progress(self) -> None:
        leader = self.heal()
        last = b"after the storm"
        self.propose(leader.id, last)
        leader = self.heal()
        held = [it.payload for it in leader.applied]
        assert last in held, "what is proposed in the end is committed"
        assert leader.core.role is Role.LEADER, "and somebody leads"


def run_storm(seed: int, steps: int = STEPS) -> StormResult:
    """One seed's storm; a broken promise stands in the result."""
    return Storm(seed).run(steps)


@click.command()
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--count", default=200, show_default=True, help="How many, one after another.")
def main(first: int, count: int) -> None:
    """Print what was seen, summed up; exit code 1 when a promise was broken."""
    results = [run_storm(seed) for seed in range(first, first + count)]
    click.echo(f"storms: {len(results):,}")
    for it in fields(StormResult):
        if it.name not in ("seed", "violation"):
            click.echo(f"{it.name}: {sum(getattr(result, it.name) for result in results):,}")
    broken = [it for it in results if it.violation]
    click.echo(f"violations: {len(broken)}")
    for result in broken:
        click.echo(f"seed {result.seed}: {result.violation}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
