"""How the suite runs: which test is running, what each took, and in which order they go.

Tests that are new, and those that failed when they last ran here, go first; then the fastest, so
that most of what can be known is known early.  Tests that share a fixture of their module stay
together; so do all tests of such a module, in one worker.  What each took is kept in
`.test-record.json` beside the sources, which is not committed; without it the marks `slow` and
`cluster` go last.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

RECORD = Path(__file__).parent.parent / ".test-record.json"
_SHARED_SCOPES = {"module", "package", "class"}
_SHARES = re.compile(rf'scope="({"|".join(sorted(_SHARED_SCOPES))})"')
# A test that takes longer than this is named when it ends, too.
_LONG_S = 1.0


class Order:
    """Sorts what was collected, and remembers how it went."""

    def __init__(self, record: Path) -> None:
        """Read what earlier runs left; a record that cannot be read is none."""
        self._path = record
        self._took_s: dict[str, float] = {}
        self._failed: set[str] = set()
        try:
            held = json.loads(record.read_text())
            self._took_s, self._failed = dict(held["took_s"]), set(held["failed"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is a help, not a need
        self._now_s: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the tests in order, all workers in the same."""
        groups: dict[str, list[pytest.Item]] = {}
        for item in items:
            groups.setdefault(_group_of(item), []).append(item)
        items[:] = [it for group in sorted(groups.values(), key=self._rank) for it in group]

    def _rank(self, group: list[pytest.Item]) -> tuple[bool, float, int]:
        names = [it.nodeid for it in group]
        is_old = all(it in self._took_s and it not in self._failed for it in names)
        marked = max(
            2 * bool(it.get_closest_marker("cluster")) + bool(it.get_closest_marker("slow"))
            for it in group
        )
        return is_old, sum(self._took_s.get(it, 0.0) for it in names), marked

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Producer
    ) -> LoadScopeScheduling | None:
        """Keep together what shares; pytest-xdist's own groups are lost in pytest 9.2 (its 3.8)."""
        return Together(config, log) if config.getoption("dist") == "loadgroup" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how long each part of a test took, and whether it failed."""
        name = report.nodeid
        self._now_s[name] = self._now_s.get(name, 0.0) + report.duration
        if report.failed:
            self._failed.add(name)
        elif report.when == "setup":
            self._failed.discard(name)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the record; the workers' results are all here, so only the controller writes."""
        if not hasattr(session.config, "workerinput") and self._now_s:
            took_s = self._took_s | {it: round(took, 3) for it, took in self._now_s.items()}
            self._path.write_text(json.dumps({"took_s": took_s, "failed": sorted(self._failed)}))


class Together(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist says no types
    """Gives workers one test at a time, and all of a module whose tests share a fixture."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _shares(self.config.rootpath, path) else nodeid


@cache
def _shares(root: Path, path: str) -> bool:
    """Whether a module has a fixture that is made once for all of it, or its folders have one."""
    module = root / path
    conftests = [it / "conftest.py" for it in module.parents if it.is_relative_to(root)]
    files = [it for it in (module, *conftests) if it.exists()]
    return any(_SHARES.search(it.read_text()) for it in files)


class Progress:
    """Names each test when it starts; passing ones say no more, unless they were long."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        """Write where pytest writes."""
        self._terminal = terminal
        self._count = 0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test starts, here or in a worker."""
        self._count += 1
        self._terminal.write_line(f"{self._count:5} {nodeid}", flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say what was long and what went wrong at once; the summary has the details."""
        if report.failed or (report.when == "call" and report.duration >= _LONG_S):
            said = f"      {report.outcome} after {report.duration:.1f} s: {report.nodeid}"
            self._terminal.write_line(said, flush=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """Count a passed test, without a dot for it."""
        if report.passed and report.when == "call":
            return "passed", "", ""
        return None


def _group_of(item: pytest.Item) -> str:
    """The tests that must stay together: those of a module with a fixture for all of it."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = {} if info is None else info.name2fixturedefs
    shared = {
        f"{it.baseid}::{it.argname}"
        for found in definitions.values()
        for it in found
        if it.scope in _SHARED_SCOPES
    }
    return min(shared) if shared else item.nodeid
