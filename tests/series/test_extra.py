"""Without numpy or pcodec time series say what to install, and nothing else misses them."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys
sys.modules[{name!r}] = None
import roost, roost.aio, roost.client, roost.database, roost.server, roost.cli, roost.testing
assert "roost.series" not in sys.modules
try:
    import roost.series
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["numpy", "pcodec"])
def test_what_is_missing_is_said_with_the_next_step(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(name=name)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("SeriesUnavailable")
    assert name in ran.stdout
    ways = "pip install 'roost[series]', or in a clone of it pip install -e '.[series]'"
    assert ways in ran.stdout


@pytest.mark.parametrize("name", ["cramjam", "re2", "promql_parser"])
def test_what_prometheus_lacks_is_said_with_the_next_step(name: str) -> None:
    code = BLOCKED.replace("import roost.series\n", "import roost.series.prometheus\n")
    ran = subprocess.run(
        [sys.executable, "-c", code.format(name=name)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("SeriesUnavailable")
    assert "pip install 'roost[prometheus]'" in ran.stdout


def test_nothing_else_of_roost_imports_them() -> None:
    code = "import sys, roost, roost.aio, roost.client, roost.server, roost.cli\nprint('numpy' in sys.modules)"  # noqa: E501 - one line of a program
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
