"""The checker itself: hand-made histories, and random ones against a dumb search."""

import random
from dataclasses import replace
from itertools import islice, permutations
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.sim.linearizability import Operation, RegisterModel, Verdict, check_register
from roost.sim.members.simulation import Simulation


def write(value: int, called: float, returned: float = inf) -> Operation:
    return Operation("k", "write", value, None, called, returned)


def read(value: int | None, called: float, returned: float) -> Operation:
    return Operation("k", "read", None, value, called, returned)


def test_a_read_after_a_write_returns_it() -> None:
    assert check_register([write(1, 0, 1), read(1, 2, 3)]) is Verdict.LINEARIZABLE


def test_a_stale_read_is_found() -> None:
    history = [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]
    assert check_register(history) is Verdict.NOT_LINEARIZABLE


def test_reads_may_not_go_back() -> None:
    history = [write(1, 0, 1), write(2, 2, 10), read(2, 3, 4), read(1, 5, 6)]
    assert check_register(history) is Verdict.NOT_LINEARIZABLE


def test_a_concurrent_write_may_be_seen_or_not() -> None:
    for seen in (1, 2):
        history = [write(1, 0, 1), write(2, 2, 5), read(seen, 3, 4)]
        assert check_register(history) is Verdict.LINEARIZABLE


def test_a_write_of_unknown_outcome_may_take_effect_late_or_never() -> None:
    base = [write(1, 0, 1), write(2, 2)]
    assert check_register([*base, read(1, 3, 4), read(2, 5, 6)]) is Verdict.LINEARIZABLE
    assert check_register([*base, read(1, 3, 4), read(1, 5, 6)]) is Verdict.LINEARIZABLE
    assert check_register([*base, read(2, 3, 4), read(1, 5, 6)]) is Verdict.NOT_LINEARIZABLE


def test_a_value_nobody_wrote_is_found() -> None:
    assert check_register([read(7, 0, 1)]) is Verdict.NOT_LINEARIZABLE


def test_keys_are_judged_apart() -> None:
    other = Operation("other", "write", 9, None, 0, 1)
    assert check_register([other, read(None, 2, 3)]) is Verdict.LINEARIZABLE


def test_what_cannot_be_finished_is_not_passed() -> None:
    history = [write(value, 0, 100) for value in range(12)] + [read(99, 0, 100)]
    assert check_register(history, steps_max=50) is Verdict.UNKNOWN


def dumb(history: list[Operation]) -> bool:
    """Try every order of every subset that leaves out only unknown outcomes."""
    model = RegisterModel()
    for order in permutations(history):
        for count in range(len(order) + 1):
            kept, left = order[:count], order[count:]
            if any(it.returned != inf for it in left):
                continue
            if any(
                later.returned < earlier.called
                for place, earlier in enumerate(kept)
                for later in kept[place + 1 :]
            ):
                continue
            state, fits = model.initial(), True
            for it in kept:
                ok, state = model.step(state, it)
                fits = fits and ok
            if fits:
                return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    found: list[Operation] = []
    for _ in range(draw(st.integers(0, 5))):
        called = draw(st.integers(0, 8))
        returned = called + draw(st.integers(0, 6))
        if draw(st.booleans()):
            is_known = draw(st.integers(0, 3)) > 0
            found.append(write(draw(st.integers(1, 3)), called, returned if is_known else inf))
        else:
            found.append(read(draw(st.sampled_from([None, 1, 2, 3])), called, returned))
    return found


@settings(max_examples=300, deadline=None)
@given(histories())
def test_it_agrees_with_a_search_through_all_orders(history: list[Operation]) -> None:
    assert (check_register(history) is Verdict.LINEARIZABLE) == dumb(history)


# --- histories of simulated clusters, with one thing made impossible -----------------------------

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
    for seed, history in islice(long, 4):
        assert check_register(history) is Verdict.LINEARIZABLE
        dice = random.Random(seed)
        for mutate in rejected:
            for _ in range(25):
                mutated = mutate(history, dice)
                if mutated is not None:
                    assert check_register(mutated) is Verdict.NOT_LINEARIZABLE, mutate.__name__
                    rejected[mutate] += 1
    assert min(rejected.values()) > 40
