"""Other people's clients, as their users use them, each in an environment of its own.

The scripts beside this file say what is used.  The clients come from PyPI and npm, and want
versions of gRPC and protobuf that no other one takes.  Where neither is reached a test is skipped
and says so; where they are, a client that cannot be installed is a failure.  With
ROOST_CLIENTS=required in the environment nothing of this is skipped.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from roost.client import series
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
HERE = Path(__file__).parent
HOMES = Path(sys.prefix) / "clients"
PYTHON_CLIENTS = {
    "etcd3": ["etcd3==0.12.0", "protobuf<4", "tenacity<7"],
    "aetcd": ["aetcd==1.0.0"],
    "etcd3_py": ["etcd3-py==0.1.6", "setuptools<81"],
    "etcetra": ["etcetra==0.1.19"],
}
# Those who speak v2, and what is used of each.
V2_PYTHON_CLIENTS = {
    "python_etcd": ["python-etcd==0.4.5"],
    "k3etcd": ["k3etcd==0.2.3"],
    "patroni": ["patroni[etcd]==4.1.5", "psycopg[binary]>=3.2,<4"],
}
V2_USES = {
    "python_etcd": ["keys", "members", "watches", "locks", "rendezvous"],
    "k3etcd": ["keys", "watches", "members", "users"],
    "patroni": ["bootstrap", "leaders", "watches", "sync"],
    "node-etcd": ["keys", "watches", "members"],
}
EVERYTHING = ["keys", "transactions", "watches", "leases", "locks", "members"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 1, extra_flags=["--enable-v2"]) as started:
        started.leader()
        yield started


# What pip and npm say when nobody answers where the packages are.
UNREACHED = (
    "Retrying (Retry", "NewConnectionError", "ConnectTimeoutError", "ProxyError",
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH",
)  # fmt: skip


def give_up(reason: str) -> NoReturn:
    """Skip the test, where that is allowed."""
    if os.environ.get("ROOST_CLIENTS") == "required":
        pytest.fail(f"it is required: {reason}")
    pytest.skip(f"nothing is known of this client here: {reason}")


def install(home: Path, *commands: list[str]) -> None:
    """Make an environment, once; give up where the packages cannot be reached."""
    if (home / "installed").exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for command in commands:
        try:
            done = subprocess.run(
                command, cwd=home, capture_output=True, text=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            give_up(f"the packages of {command[-1]} did not come")
        if done.returncode and any(it in done.stderr for it in UNREACHED):
            give_up(f"{command[-1]} is not reached: {done.stderr[-300:]}")
        assert not done.returncode, f"{command[-1]} cannot be installed: {done.stderr}"
    (home / "installed").touch()


def environment(name: str, *packages: str) -> list[list[str]]:
    """Commands that make one with packages, by our own pip: one of its own takes the longest."""
    pip = [sys.executable, "-m", "pip", "--python", f"{name}/bin/python", "install"]
    return [
        [sys.executable, "-m", "venv", "--without-pip", name],
        [*pip, "--quiet", "--disable-pip-version-check", *packages],
    ]


def check(said: subprocess.CompletedProcess[str], expected: list[str]) -> None:
    assert said.returncode == 0, f"{said.stdout}\n{said.stderr}"
    assert said.stdout.split() == expected


def test_only_a_network_that_is_not_there_excuses_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> list[str]:
        return ["sh", "-c", f"echo '{text}' >&2; exit 1"]

    monkeypatch.delenv("ROOST_CLIENTS", raising=False)
    with pytest.raises(AssertionError, match="No matching distribution"):
        install(tmp_path / "a", fail("ERROR: No matching distribution found for etcd3"))
    with pytest.raises(pytest.skip.Exception, match="nothing is known of this client"):
        install(tmp_path / "a", fail("npm error code EAI_AGAIN"))
    monkeypatch.setenv("ROOST_CLIENTS", "required")
    with pytest.raises(pytest.fail.Exception, match="it is required"):
        install(tmp_path / "a", fail("npm error code EAI_AGAIN"))


@pytest.mark.parametrize("name", [*PYTHON_CLIENTS, *V2_PYTHON_CLIENTS])
def test_a_python_client_is_served(cluster: Cluster, name: str) -> None:
    home = HOMES / name
    python = home / "venv" / "bin" / "python"
    install(home, *environment("venv", *(PYTHON_CLIENTS | V2_PYTHON_CLIENTS)[name]))
    command = [str(python), str(HERE / f"use_{name}.py"), str(cluster.client_ports[0])]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    expected = EVERYTHING[:-1] if name == "etcetra" else EVERYTHING  # it has no call for members
    check(said, V2_USES.get(name, expected))


@pytest.mark.parametrize(
    ("package", "script", "uses"),
    [
        ("etcd3@1.1.2", "use_node.js", EVERYTHING),
        ("node-etcd@7.0.0", "use_node_etcd.js", V2_USES["node-etcd"]),
    ],
)
def test_a_node_client_is_served(
    cluster: Cluster, package: str, script: str, uses: list[str]
) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        give_up("node is not installed")
    home = HOMES / Path(script).stem.removeprefix("use_")
    install(home, ["npm", "init", "-y"], ["npm", "install", "--silent", package])
    shutil.copy(HERE / script, home / script)
    said = subprocess.run(
        ["node", script, str(cluster.client_ports[0])],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    check(said, uses)


# Who writes InfluxDB's lines, what is used of each, and what is there then: `NAME.n` of a second
# each, and a series of a town.
LINE_CLIENTS = {
    "influxdb_client": (["ping", "points", "batches", "errors"], "many.n", "weather"),
    "influxdb3": (["version", "points", "errors", "batches"], "steps.n", "room"),
    "questdb": (["rows", "batches", "errors"], "walks.n", "house"),
}
LINE_PACKAGES = ["influxdb-client==1.50.0", "influxdb3-python==0.21.0", "questdb==6.0.0"]


def test_clients_of_lines_write_points(cluster: Cluster) -> None:
    """One after another: they share an environment, which is made once."""
    home = HOMES / "lines"
    install(home, *environment("env", *LINE_PACKAGES))
    (endpoint,) = cluster.endpoints
    for name, (uses, counted, place) in LINE_CLIENTS.items():
        said = subprocess.run(
            [str(home / "env" / "bin" / "python"), str(HERE / f"use_{name}.py"), endpoint],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        check(said, uses)
        heat = f'{place}.heat{{town="Brno, south"}}'
        answer = series.query(counted, heat, endpoints=endpoint).fetch()
        assert answer[0].columns["value"] == list(range(2000))
        assert answer[1].columns["value"] == [21.5]
