"""Bugs put in on purpose are really put in, and found."""

import pytest

from roost.sim.mutants import MUTANTS, Mutant, applied, function_of, seeds_to_catch

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
    count, said = seeds_to_catch(by_name(name), 40)
    assert count, "the bug lives"
    assert said
