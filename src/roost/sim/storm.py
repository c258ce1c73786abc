"""Storms: bare cores while everything that can go wrong with them does, one step at a time.

The seed draws the size of the cluster, settings that make rare paths common, and every step: a
message is delivered, repeated, lost or overtaken; a disk finishes a write; time passes; somebody
proposes, reads, changes the configuration (also jointly), hands leadership over, compacts its
log, crashes, returns; a direction is cut.  After every step `CoreCluster.check` must hold.  Then
everything heals, and the last configuration must become even and commit what is proposed.

A storm reaches what whole simulated members rarely do, joint configurations above all, and it is
fast: a step is an event, and there are some 30,000 a second.
"""

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    ProposalDropped,
    Role,
    TransferRefused,
    Transition,
)
from roost.sim.cores import CoreCluster, Node

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
        super().__init__(size, seed, joiners=joiners, **options)
        self.seed = seed
        self.dice = dice
        self.has_changes = joiners > 0
        self.result = StormResult(seed)
        # Reads on their way: the highest index that was committed when they were asked.
        self._floors: dict[int, int] = {}

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

    # --- one step -------------------------------------------------------------------------------

    def step_randomly(self) -> None:
        """One thing happens."""
        dice = self.dice
        alive = [it for it in self.nodes.values() if it.id not in self.down]
        what = dice.random()
        if self.has_changes and dice.random() < 0.04:
            self._change_randomly(dice.choice(alive))
        elif self.flying and what < 0.60:
            self._fly()
        elif what < 0.84:
            self.persist(dice.choice(alive), all_of_it=False)
        elif what < 0.92:
            self.tick(dice.choice(alive).id)
        elif what < 0.985:
            node = dice.choice(alive)
            payload = b"%d" % dice.randrange(10**9)
            self._ask(node, lambda: node.core.propose(payload))
        elif what < 0.990:
            self._read(dice.choice(alive))
        elif what < 0.995:
            self._crash_or_return()
        elif self.cut and dice.random() < 0.6:
            self.cut.clear()
        else:
            self.cut.add((dice.choice(list(self.nodes)), dice.choice(list(self.nodes))))

    def _fly(self) -> None:
        """A message arrives, with a little reordering, once, twice or not at all."""
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

    def _read(self, node: Node) -> None:
        token = len(self.committed) * 1_000_000 + self.result.events
        self._floors[token] = len(self.committed)
        node.core.read_index(token)
        self.collect(node)

    def _change_randomly(self, node: Node) -> None:
        """Somebody joins or goes, leadership moves, a log is compacted, a snapshot comes."""
        dice, core = self.dice, node.core
        fetching = [it for it in self.nodes.values() if it.fetching and it.id not in self.down]
        what = dice.random()
        if fetching and what < 0.4:
            self.result.snapshots += 1
            self.fetch(dice.choice(fetching), fails=dice.random() < 0.3)
        elif what < 0.55:
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

    # --- the end --------------------------------------------------------------------------------

    def heal(self) -> Node:
        """Everything runs and talks; return the leader once its configuration is even."""
        for node_id in sorted(self.down):
            self.restart(node_id)
        self.cut.clear()
        for _ in range(_HEAL_ROUNDS_MAX):
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
