"""What all tests share: their order and progress (`tests.order`), and a bug on request.

ROOST_MUTANT names one of `roost.sim.mutants`, to see which test finds it.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from roost.sim.mutants import MUTANTS, applied
from tests.order import RECORD, Order, Progress

NAME_BYTES_MAX = 24

# On a busy machine everything takes longer, also to make an example: that is no fault.
settings.register_profile("roost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roost")


@pytest.fixture(scope="session", autouse=True)
def mutant() -> Iterator[None]:
    name = os.environ.get("ROOST_MUTANT")
    if name is None:
        yield
        return
    (wanted,) = [it for it in MUTANTS if it.name == name]
    with applied(wanted):
        yield


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A long value is no name: it may hold the time, and then no two workers agree on it."""
    return argname if isinstance(val, bytes) and len(val) > NAME_BYTES_MAX else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Scenarios can be recorded."""
    parser.addoption("--rewrite", action="store_true", help="record scenarios as they go now")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Order the tests; say which runs, but for the workers, whose controller says it."""
    # Whoever runs us in the background of a shell has us ignore interrupts, and so would the
    # processes that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Order(RECORD), "order")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(terminal), "progress")
