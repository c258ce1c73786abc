"""Many seeds, one after another or made smaller; what `roost sim` does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from roost.sim.members.chronicle import Chronicle, Result
from roost.sim.members.run import quiet_scratch
from roost.sim.members.simulation import Simulation
from roost.sim.members.swarm import Swarm
from roost.sim.members.turns import SUSPICIOUS_S, CountedTurns, Turns

_KINDS = (
    "kills", "power_cuts", "partitions", "one_way_cuts", "changes", "transfers", "slow_disks",
    "slow_batches", "clogs", "drift", "lease_reads", "strangers", "copies", "deafness", "garbage",
    "half_open",
)  # fmt: skip


@dataclass(slots=True)
class Totals:
    """What many runs saw, added up."""

    seeds: int = 0
    events: int = 0
    virtual_s: float = 0.0
    acknowledged: int = 0
    operations: int = 0
    elections: int = 0
    crashes: int = 0
    changes: int = 0
    intrusions: int = 0
    dropped: int = 0
    snapshots: int = 0
    watched: int = 0
    committed: int = 0
    counted: int = 0
    found_out: int = 0
    held: int = 0
    stranded: int = 0
    violations: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Add one run."""
        self.seeds += 1
        self.stranded += result.is_stranded
        for name in (
            "events", "virtual_s", "acknowledged", "operations", "elections", "crashes",
            "changes", "intrusions", "dropped", "snapshots", "watched", "committed", "counted",
            "found_out", "held",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(result, name))
        if result.violation:
            self.violations.append(result)


def simulate(
    seed: int, swarm: Swarm | None = None, *, is_counted: bool = False
) -> tuple[Result, list[str]]:
    """Run one seed; the result and the trace.

    The steps of each turn are counted when they are to be, or when a turn took suspiciously long.
    """
    if not is_counted:
        turns = Turns()
        result, trace = _run(seed, swarm, turns)
        if result.violation or turns.longest_s < SUSPICIOUS_S:
            return result, trace
    return _run(seed, swarm, CountedTurns())


def _run(seed: int, swarm: Swarm | None, turns: Turns) -> tuple[Result, list[str]]:
    with quiet_scratch() as root:
        simulation = Simulation(seed, root, swarm, turns)
        return simulation.run(), simulation.chronicle.trace


def swarm_of(seed: int, *, counters: int = 0, v2: int = 0) -> Swarm:
    """What a seed is about, with so many clients who count besides, and so many of v2."""
    return replace(Swarm.draw(Chronicle(seed).stream("swarm")), counters=counters, v2=v2)


def run_seeds(
    seeds: Iterable[int], say: Callable[[Totals], None], *, counters: int = 0, v2: int = 0
) -> Totals:
    """Run every seed, with clients besides as in `swarm_of`; `say(totals)` follows each."""
    totals = Totals()
    for seed in seeds:
        totals.add(simulate(seed, swarm_of(seed, counters=counters, v2=v2))[0])
        say(totals)
    return totals


def shrink(seed: int, say: Callable[[str], None], *, counters: int = 0, v2: int = 0) -> Swarm:
    """The smallest swarm found with which the seed still breaks a promise.

    Raises:
        ValueError: the seed breaks none.

    """
    swarm = swarm_of(seed, counters=counters, v2=v2)
    if not simulate(seed, swarm)[0].violation:
        raise ValueError(f"seed {seed} breaks no promise")
    candidates: list[Callable[[Swarm], Swarm]] = [
        lambda it: replace(it, safety_s=it.safety_s / 2),
        lambda it: replace(it, clients=max(1, it.clients - 1)),
        *(_without(kind) for kind in _KINDS),
    ]
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in candidates:
            smaller = candidate(swarm)
            if smaller != swarm and simulate(seed, smaller)[0].violation:
                say(f"still broken: {smaller}")
                swarm, is_smaller = smaller, True
    return swarm


def _without(kind: str) -> Callable[[Swarm], Swarm]:
    return lambda swarm: replace(swarm, **{kind: False})  # type: ignore[arg-type] # all are flags
