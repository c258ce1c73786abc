"""What one of three members still does when it is alone: everything about its own files."""

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.main import main
from roost.client import Client, Credentials
from roost.member.snapshots.backup import read_backup
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.integration.etcdctl import etcdctl
from tests.integration.test_operations import page

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
# Less than the seven seconds after which a read without a leader is given up.
AT_ONCE_S = 6.0
COUNT = 50


def roost(*arguments: str | Path) -> None:
    said = CliRunner().invoke(main, [str(it) for it in arguments])
    assert said.exit_code == 0, said.output


def fill(cluster: Cluster) -> None:
    """Every member holds the same when this returns."""
    with Client(cluster.endpoints, timeout_s=20) as client:
        for number in range(COUNT):
            client.put(b"k%03d" % number, b"v")

    def is_everywhere() -> bool:
        said = [cluster.status(it) for it in range(3)]
        return len({it.raftAppliedIndex for it in said if it is not None}) == 1 and None not in said

    wait_until(is_everywhere)


def leave_alone(cluster: Cluster) -> None:
    """Only the first goes on, and knows that nobody leads."""
    cluster.kill(1, 2)

    wait_until(lambda: "RAFT NO LEADER" in page(cluster.client_ports[0], "/health")[1])


def timed(endpoint: str, *arguments: str) -> str:
    began = time.monotonic()
    said = etcdctl(endpoint, *arguments)
    assert time.monotonic() - began < AT_ONCE_S, arguments
    return said


def test_a_survivor_serves_what_is_about_its_own_store(tmp_path: Path) -> None:
    """As etcd does; without a majority this is what can be saved."""
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        fill(cluster)
        endpoint = cluster.endpoints[0]
        before = timed(endpoint, "endpoint", "hashkv")
        leave_alone(cluster)
        assert timed(endpoint, "endpoint", "hashkv") == before
        timed(endpoint, "endpoint", "status")
        timed(endpoint, "snapshot", "save", str(theirs))
        timed(endpoint, "defrag")
        roost("snapshot", "save", ours, "--endpoints", endpoint)
        roost("hashkv", "--endpoints", endpoint)
        roost("status", "--named", "--endpoints", endpoint)
    assert read_backup(theirs).index == read_backup(ours).index


def test_a_survivor_with_users_serves_root_the_same(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        fill(cluster)
        endpoint = cluster.endpoints[0]
        etcdctl(endpoint, "user", "add", "root:secret")
        etcdctl(endpoint, "user", "grant-role", "root", "root")
        etcdctl(endpoint, "auth", "enable")
        with Client(
            [endpoint], timeout_s=20, credentials=Credentials(user="root", password="secret")
        ) as client:
            before = client.hash_kv()
            leave_alone(cluster)
            began = time.monotonic()
            assert client.hash_kv() == before
            assert sum(map(len, client.snapshot())) > 0
            assert time.monotonic() - began < AT_ONCE_S


def test_health_without_a_leader_answers_at_once(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        leave_alone(cluster)
        port = cluster.client_ports[0]
        began = time.monotonic()
        assert page(port, "/health") == (503, '{"health":"false","reason":"RAFT NO LEADER"}')
        assert page(port, "/readyz")[0] == 503
        assert page(port, "/health?serializable=true")[0] == 200
        assert time.monotonic() - began < AT_ONCE_S
