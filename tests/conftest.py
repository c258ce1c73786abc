"""What all tests share: their order and progress (`tests.order`), and a bug on request.

ROOST_MUTANT names one of `roost.sim.mutants`, to see which test finds it.  ROOST_TREE=compiled says
that the hot modules have to be compiled here, as `make test-compiled` has them.
"""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from roost import compiled
from roost.sim.mutants import MUTANTS, applied
from tests import steps
from tests.order import RECORD, Order, Progress
from tests.samples import SAMPLES

NAME_BYTES_MAX = 24
SOURCES = Path(__file__).parent.parent / "src" / "roost"

# On a busy machine everything takes longer, also to make an example: that is no fault.
# Other ones in every run, so some of them each time are many in the end.
settings.register_profile(
    "roost",
    deadline=None,
    max_examples=60 * SAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
)
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has printed can be told to another process, whatever names it has played with."""
    report = yield
    report.sections = [
        (name, said.encode("utf-8", "backslashreplace").decode()) for name, said in report.sections
    ]
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Scenarios can be recorded."""
    parser.addoption("--rewrite", action="store_true", help="record scenarios as they go now")


def pytest_report_header() -> str:
    """Which of the two trees it is."""
    return f"roost: {compiled.description()}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: to look for garbage in it is for nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot be where modules are compiled, and say why."""
    if not compiled.compiled_modules():
        return
    for item in items:
        mark = item.get_closest_marker("pure")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"runs pure: {mark.args[0]}"))
        elif isinstance(item, pytest.Function) and steps.counts(item.function):
            item.add_marker(pytest.mark.skip(reason=steps.REASON))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Order the tests; say which runs, but for the workers, whose controller says it."""
    if (wrong := compiled.fault()) is not None:
        pytest.exit(f"{wrong}: `make fast` or `make slow`", 1)
    if os.environ.get("ROOST_TREE") == "compiled":
        if not compiled.compiled_modules():
            pytest.exit("the modules are not compiled, and ROOST_TREE says that they are", 1)
        # What fails then, as a call of what is not there yet, looks like a fault of the compiler.
        if compiled.source_digest() != compiled.source_digest(SOURCES):
            pytest.exit(f"{compiled.PACKAGE} was made of other sources than those of the tests", 1)
    # Whoever runs us in the background of a shell has us ignore interrupts, and so would the
    # processes that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Order(RECORD), "order")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(terminal), "progress")
