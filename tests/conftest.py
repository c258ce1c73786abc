"""A bug on request: ROOST_MUTANT names one of `roost.sim.mutants`, to see which test finds it."""

import os
from collections.abc import Iterator

import pytest

from roost.sim.mutants import MUTANTS, applied


@pytest.fixture(scope="session", autouse=True)
def mutant() -> Iterator[None]:
    name = os.environ.get("ROOST_MUTANT")
    if name is None:
        yield
        return
    (wanted,) = [it for it in MUTANTS if it.name == name]
    with applied(wanted):
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Scenarios can be recorded."""
    parser.addoption("--rewrite", action="store_true", help="record scenarios as they go now")
