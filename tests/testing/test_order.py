"""How the suite is divided among its workers: what is shared is made once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The run that we are in is none of its business.
OUTSIDE = {name: it for name, it in os.environ.items() if not name.startswith("PYTEST_")}
CONFTEST = """
from pathlib import Path
from tests.order import Order

def pytest_configure(config):
    config.pluginmanager.register(Order(Path(__file__).parent / "record.json"), "order")
"""
TESTS = """
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def shared():
    with (Path(__file__).parent / "made").open("a") as file:
        file.write("once ")

@pytest.mark.parametrize("number", range(8))
def test_one(shared, number):
    pass

def test_alone():
    pass
"""


@pytest.mark.slow
def test_tests_that_share_what_a_module_makes_are_in_one_worker(tmp_path: Path) -> None:
    """pytest-xdist's groups are lost in pytest 9.2: each worker made it for itself."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_shared.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"],
        cwd=tmp_path,
        env=OUTSIDE | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "made").read_text() == "once "
    # What each took is kept by its own name, whatever group it was in.
    names = {f"test_shared.py::test_one[{number}]" for number in range(8)}
    took = json.loads((tmp_path / "record.json").read_text())["took_s"]
    assert set(took) == names | {"test_shared.py::test_alone"}
