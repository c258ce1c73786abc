"""Roost's pytest plugin: members, clusters, databases and the simulator as fixtures.

It is there for whoever installed `roost` (entry point `pytest11`); `-p no:roost.testing.plugin`
turns it off.  Everything that it starts ends with the test run, also with one that is killed
(`warden`).  Nothing of Roost is loaded before a fixture is asked for.

    def test_it(roost_server):                roost_server.endpoint, .client(), .kill(), ...
    def test_it(roost_cluster):               cluster = roost_cluster(3); cluster.kill(0) ...
    def test_it(roost_db):                    a database in memory, with `roost_operations`
    def test_it(roost_sim):                   roost_sim(operations=[bank], client=..., ...)

`--roost-seeds 1..500` has `roost_sim` run these seeds, whatever a test says.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import roost
    from roost.sim import Checked
    from roost.testing.local import LocalCluster, LocalMember
    from roost.testing.warden import Warden


class MakeCluster(Protocol):
    """What `roost_cluster` is."""

    def __call__(self, size: int = 3, *flags: str) -> "LocalCluster":
        """Start a cluster that ends with the test; `flags` are those of `roost serve`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Seeds can be chosen."""
    parser.addoption("--roost-seeds", metavar="A..B", help="which seeds `roost_sim` runs")


@pytest.fixture
def roost_sim(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> "Callable[..., Checked]":
    """`roost.sim.check`: the operations of your program in the simulator."""
    from roost.sim import check

    if seeds := request.config.getoption("--roost-seeds"):
        monkeypatch.setenv("ROOST_SEEDS", seeds)
    return check


@pytest.fixture(scope="session")
def _roost_warden() -> Iterator["Warden"]:
    from roost.testing.warden import Warden

    warden = Warden()
    try:
        yield warden
    finally:
        warden.close()


@pytest.fixture
def roost_server(_roost_warden: "Warden", tmp_path: Path) -> Iterator["LocalMember"]:
    """One member in a process of its own, alone in its cluster, which serves."""
    from roost.testing.local import LocalCluster

    with LocalCluster(_roost_warden, tmp_path / "roost-server", 1) as cluster:
        cluster.wait_ready()
        yield cluster[0]


@pytest.fixture
def roost_cluster(_roost_warden: "Warden", tmp_path: Path) -> Iterator[MakeCluster]:
    """Starts clusters of members in processes of their own, `roost_cluster(3)`, which serve."""
    from roost.testing.local import LocalCluster

    made: list[LocalCluster] = []

    def make(size: int = 3, *flags: str) -> LocalCluster:
        directory = tmp_path / f"roost-cluster-{len(made)}"
        cluster = LocalCluster(_roost_warden, directory, size, flags=flags)
        made.append(cluster)
        cluster.wait_ready()
        return cluster

    try:
        yield make
    finally:
        for cluster in made:
            cluster.close()


@pytest.fixture
def roost_operations() -> "Sequence[roost.Operations]":
    """The operations of `roost_db`: override it with those of your program."""
    return ()


@pytest.fixture
def roost_db(roost_operations: "Sequence[roost.Operations]") -> "Iterator[roost.Database]":
    """A database in memory, alone, with `roost_operations`; it is gone with the test."""
    import roost

    with roost.open(None, operations=roost_operations) as database:
        yield database
