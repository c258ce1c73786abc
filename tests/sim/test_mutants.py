"""Bugs put in on purpose are really put in, and found."""

from pathlib import Path

import pytest

from roost.sim.mutants import (
    MUTANTS,
    Hunt,
    Mutant,
    applied,
    function_of,
    scenarios_that_tell,
    seeds_to_catch,
)

# Those that few seeds catch, so that the suite need not wait; `make mutants` hunts them all.
QUICK = (
    "votes twice in a term",
    "a matching suffix is deleted",
    "an election is won by half",
    "callers are answered before the commit",
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


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_the_simulator_finds_it(name: str) -> None:
    count, said = seeds_to_catch(by_name(name))
    assert count, "the bug lives"
    assert said


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
