"""Bugs put in on purpose are really put in, and found."""

import re
import signal
from itertools import count
from pathlib import Path

import pytest

from roost.sim.mutants import (
    MUTANTS,
    Hunt,
    Mutant,
    applied,
    function_of,
    no_longer_than,
    scenarios_that_tell,
    seeds_to_catch,
)

# Those that few seeds catch, so that the suite need not wait; `make mutants` hunts them all.
QUICK = (
    "votes twice in a term",
    "a matching suffix is deleted",
    "an election is won by half",
    "callers are answered before the commit",
    "a count is answered before it is durable",
)


def by_name(name: str) -> Mutant:
    return next(it for it in MUTANTS if it.name == name)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.name)
def test_a_mutant_changes_the_function_it_names_and_gives_it_back(mutant: Mutant) -> None:
    function = function_of(mutant)
    before = function.__code__
    with applied(mutant):
        assert function.__code__ != before
    assert function.__code__ is before


def test_there_are_enough_of_them_and_none_twice() -> None:
    assert len(MUTANTS) >= 40
    assert len({it.name for it in MUTANTS}) == len(MUTANTS)


def test_the_page_has_a_row_for_each_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    table = page[page.index("| bug | in | seeds | told by |") :].split("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    assert [(name, function) for name, function, _ in rows] == [
        (it.name, it.function) for it in MUTANTS
    ]
    for _, _, told_by in rows:
        for path in re.findall(r"`(tests/[^`]+)`", told_by):
            assert (Path(__file__).parents[2] / path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_the_simulator_finds_it(name: str) -> None:
    count, said = seeds_to_catch(by_name(name))
    assert count, "the bug lives"
    assert said


def test_a_run_that_does_not_end_is_ended_and_the_next_one_is_not() -> None:
    """By the processor's time: with another clock a busy machine found bugs that nobody put in."""
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(TimeoutError), no_longer_than(0.05):
        all(it >= 0 for it in count())
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_scenarios_tell_a_bug_from_none() -> None:
    directory = Path(__file__).parent.parent / "scenarios"
    told = scenarios_that_tell(by_name("leads before its own vote is durable"), directory)
    assert "election_vote_durable_first" in told
    assert "append_answers" not in told


def test_a_hunt_is_summed_up_by_its_median() -> None:
    mutant = MUTANTS[0]
    assert Hunt(mutant, (3, 1, 0, 2, 9), ()).median_seeds == "3"
    assert Hunt(mutant, (0, 0, 0, 2, 9), ()).median_seeds == "-"
    assert Hunt(mutant, (0, 0, 0, 2, 9), ()).is_caught
    assert not Hunt(mutant, (0, 0, 0, 0, 0), ()).is_caught
    assert Hunt(mutant, (0, 0, 0, 0, 0), ("log_lost",)).is_caught
