"""Histories of simulated clusters: linearizable, and not when one thing is made impossible."""

import random
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from roost.sim.linearizability import Operation, Verdict, check_register
from roost.sim.members.simulation import Simulation
from tests.samples import SAMPLES

History = list[Operation]


def simulated_history(seed: int) -> History:
    """What the clients of one simulated cluster saw of the keys they share."""
    with TemporaryDirectory() as root:
        simulation = Simulation(seed, Path(root))
        result = simulation.run()
    assert result.violation == ""
    return simulation.clients.history


def stale_read(history: History, dice: random.Random) -> History | None:
    """A read returns what was overwritten before it began."""
    read = dice.choice([it for it in history if it.kind == "read"])
    writes = [it for it in history if it.key == read.key and it.kind == "write"]
    before = [it for it in writes if it.returned < read.called]
    pairs = [(a, b) for a in before for b in before if a.returned < b.called]
    return _replaced(history, read, result=dice.choice(pairs)[0].argument) if pairs else None


def lost_write(history: History, dice: random.Random) -> History | None:
    """A read finds nothing although a write was acknowledged before it began."""
    read = dice.choice([it for it in history if it.kind == "read"])
    is_written = any(
        it.key == read.key and it.kind == "write" and it.returned < read.called for it in history
    )
    return _replaced(history, read, result=None) if is_written else None


def read_of_the_future(history: History, dice: random.Random) -> History | None:
    """A read ends before the write whose value it returns has begun."""
    read = dice.choice([it for it in history if it.kind == "read" and it.result is not None])
    (write,) = [it for it in history if it.kind == "write" and it.argument == read.result]
    early = write.called - 1
    return _replaced(history, read, called=early - 0.001, returned=early)


def foreign_value(history: History, dice: random.Random) -> History | None:
    """A read returns what nobody wrote."""
    read = dice.choice([it for it in history if it.kind == "read"])
    return _replaced(history, read, result=b"nobody wrote this")


def _replaced(history: History, old: Operation, **changes: object) -> History:
    new = replace(old, **changes)  # type: ignore[arg-type]  # fields of an operation
    return [new if it is old else it for it in history]


@pytest.mark.slow
def test_every_impossible_history_is_rejected() -> None:
    rejected = dict.fromkeys((stale_read, lost_write, read_of_the_future, foreign_value), 0)
    long = ((seed, it) for seed in range(1, 40) if len(it := simulated_history(seed)) > 100)
    for seed, history in islice(long, 2 * SAMPLES):
        assert check_register(history) is Verdict.LINEARIZABLE
        dice = random.Random(seed)
        for mutate in rejected:
            for _ in range(25):
                mutated = mutate(history, dice)
                if mutated is not None:
                    assert check_register(mutated) is Verdict.NOT_LINEARIZABLE, mutate.__name__
                    rejected[mutate] += 1
    assert min(rejected.values()) > 20
