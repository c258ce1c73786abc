"""The pytest plugin: what its fixtures start, and that nothing of it outlives a test run."""

import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

import roost
from roost.testing import plugin
from roost.testing.local import Being, LocalMember
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.plugin import MakeCluster
from roost.testing.processes import children_of, is_there

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

ROOT = Path(__file__).parents[2]
bank = roost.Operations("bank")


@bank.operation
def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
    """Add to an account; what it has."""
    accounts = txn.tree("accounts", key=str, value=int)
    accounts[name] = accounts.get(name, 0) + amount
    return accounts[name]


@pytest.fixture
def roost_operations() -> Sequence[roost.Operations]:
    return [bank]


def put_surely(client: roost.Client, value: str) -> None:
    """Whatever happens to leaders meanwhile: a put is the same when it happens twice."""
    while True:
        try:
            client.put("a", value)
        except roost.OutcomeUnknown:
            continue
        return


def value_of(client: roost.Client) -> bytes:
    item = client.get("a")
    assert item is not None
    return item.value


def test_a_server_serves_and_keeps_what_it_acknowledged(roost_server: LocalMember) -> None:
    with roost_server.client() as client:
        put_surely(client, "1")
        roost_server.kill()
        assert roost_server.being is Being.ENDED
        roost_server.restart()
        assert value_of(client) == b"1"
    assert roost_server.stop() == 0


def test_a_cluster_goes_on_without_its_leader(roost_cluster: MakeCluster) -> None:
    cluster = roost_cluster(3)
    with cluster.client() as client:
        put_surely(client, "1")
        first = cluster.leader
        cluster.kill(first)
        assert cluster.leader != first
        put_surely(client, "2")
        cluster.restart(first)
        with cluster[first].client() as there:
            assert value_of(there) == b"2"


def test_who_is_cut_off_leads_no_more_and_comes_back(roost_cluster: MakeCluster) -> None:
    cluster = roost_cluster(3)
    first = cluster.leader
    cluster.isolate(first)
    wait_until(lambda: cluster.leader != first)
    with cluster.client() as client:
        put_surely(client, "1")
        cluster.heal()
        cluster.wait_ready()
        with cluster[first].client() as there:
            assert value_of(there) == b"1"


def test_two_members_that_are_cut_have_one_leader_by_the_third(roost_cluster: MakeCluster) -> None:
    cluster = roost_cluster(3)
    cluster.cut(0, 1)
    with cluster.client() as client:
        put_surely(client, "1")
    cluster.heal()
    cluster.wait_ready()
    for pair in ((0, 0), (0, 3), (-1, 1)):
        with pytest.raises(IndexError):
            cluster.cut(*pair)


def test_a_paused_leader_is_replaced_and_goes_on(roost_cluster: MakeCluster) -> None:
    cluster = roost_cluster(3, "--max-txn-ops=7")
    first = cluster.leader
    cluster.pause(first)
    assert cluster[first].being is Being.PAUSED
    assert cluster.leader != first
    cluster.heal()
    assert cluster[first].being is Being.RUNNING
    cluster[first].wait_ready()


def test_a_database_has_the_operations_of_the_program(roost_db: roost.Database) -> None:
    assert roost_db.run(pay_in, "ada", 5) == 5
    assert dict(roost_db.tree("accounts", key=str, value=int)) == {"ada": 5}


def test_a_database_is_another_one_in_each_test(roost_db: roost.Database) -> None:
    assert dict(roost_db.tree("accounts", key=str, value=int)) == {}


def test_whoever_installs_roost_has_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # By its own name, so that `-p` and `pytest_plugins` with that name load it once.
    assert project["entry-points"]["pytest11"] == {plugin.__name__: plugin.__name__}


def test_a_test_run_that_asks_for_nothing_loads_nothing() -> None:
    script = "import sys, roost.testing.plugin; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    ours = {it for it in loaded if it.split(".")[0] == "roost"}
    assert ours == {"roost", "roost.lazy", "roost.testing", "roost.testing.plugin"}
    assert not {"lmdb", "grpc", "asyncio", "msgspec"} & set(loaded)


PAGE = ROOT / "docs" / "how-to" / "test.md"


def test_the_page_is_a_test_file_that_passes(tmp_path: Path) -> None:
    script = tmp_path / "test_page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)))
    done = subprocess.run(
        [*pytest_on(script), "-W", "error"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"{script.read_text().count('def test_')} passed" in done.stdout


STUCK = """
import threading

def test_stuck(roost_server, roost_cluster, roost_db):
    cluster = roost_cluster(2)
    cluster.pause(1)
    print("stuck", file=open({said!r}, "w"), flush=True)
    threading.Event().wait()
"""


def pytest_on(script: Path) -> list[str]:
    """A test run of one file, with nothing of this project's settings."""
    room = script.parent
    (room / "none.ini").write_text("")
    command = [sys.executable, "-m", "pytest", "-p", "roost.testing.plugin", str(script)]
    command += ["-p", "no:cacheprovider", f"--rootdir={room}", f"--basetemp={room / 'base'}"]
    return [*command, "-c", str(room / "none.ini")]


def descendants(pid: int) -> set[int]:
    found = set(children_of(pid))
    return found.union(*map(descendants, found))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_a_test_run_that_is_ended(number: int, tmp_path: Path) -> None:
    said, log = tmp_path / "said", tmp_path / "log"
    script = tmp_path / "test_stuck.py"
    script.write_text(STUCK.format(said=str(said)))
    with log.open("wb") as output:
        run = subprocess.Popen(pytest_on(script), stdout=output, stderr=output, process_group=0)
    try:
        wait_until(lambda: said.exists() or run.poll() is not None)
        assert run.poll() is None, log.read_text()
        started = descendants(run.pid)
        # The warden, three members and their keepers, the keeper of the database.
        assert len(started) >= 8
        run.send_signal(number)
        code = run.wait(PATIENCE_S)
    finally:
        run.kill()
        run.wait()
    assert code == (2 if number == signal.SIGINT else -signal.SIGKILL), log.read_text()
    wait_until(lambda: not any(map(is_there, started)))
