"""Other people's clients, as their users use them, each in an environment of its own.

The scripts beside this file say what is used.  The clients come from PyPI and npm, and want
versions of gRPC and protobuf that no other one takes; where they cannot be had, the test says so.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.testing.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
HERE = Path(__file__).parent
HOMES = Path(sys.prefix) / "clients"
PYTHON_CLIENTS = {
    "etcd3": ["etcd3==0.12.0", "protobuf<4", "tenacity<7"],
    "aetcd": ["aetcd==1.0.0"],
    "etcd3_py": ["etcd3-py==0.1.6", "setuptools<81"],
    "etcetra": ["etcetra==0.1.19"],
}
EVERYTHING = ["keys", "transactions", "watches", "leases", "locks", "members"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 1) as started:
        started.leader()
        yield started


def install(home: Path, *commands: list[str]) -> None:
    """Make an environment, once; skip the test where that cannot be done."""
    if (home / "installed").exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for command in commands:
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            pytest.skip(f"{command[-1]} cannot be installed here: {done.stderr[-300:]}")
    (home / "installed").touch()


def check(said: subprocess.CompletedProcess[str], expected: list[str]) -> None:
    assert said.returncode == 0, f"{said.stdout}\n{said.stderr}"
    assert said.stdout.split() == expected


@pytest.mark.parametrize("name", PYTHON_CLIENTS)
def test_a_python_client_is_served(cluster: Cluster, name: str) -> None:
    home = HOMES / name
    python = home / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install(home, [sys.executable, "-m", "venv", "venv"], [*pip, *PYTHON_CLIENTS[name]])
    command = [str(python), str(HERE / f"use_{name}.py"), str(cluster.client_ports[0])]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    expected = EVERYTHING[:-1] if name == "etcetra" else EVERYTHING  # it has no call for members
    check(said, expected)


def test_the_node_client_is_served(cluster: Cluster) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node is not installed")
    home = HOMES / "node"
    install(home, ["npm", "init", "-y"], ["npm", "install", "--silent", "etcd3@1.1.2"])
    shutil.copy(HERE / "use_node.js", home / "use_node.js")
    said = subprocess.run(
        ["node", "use_node.js", str(cluster.client_ports[0])],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    check(said, EVERYTHING)
