"""Members join, learn, lead and leave, by the real `etcdctl`, with real processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.main import main
from roost.client import Client, ClientError
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.integration.etcdctl import run_etcdctl

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3, extra_flags=["--snapshot-count=50"]) as members:
        wait_until(lambda: all(members.status_now(it) is not None for it in range(3)))
        members.leader()
        yield members


def put_many(cluster: Cluster, position: int, count: int, prefix: bytes = b"k") -> None:
    with Client([cluster.endpoints[position]]) as client:
        for number in range(count):
            client.put(prefix + b"%d" % number, b"v%d" % number)


def serves(cluster: Cluster, position: int, key: bytes, value: bytes) -> bool:
    """Whether a member answers; what it says must be right."""
    try:
        with Client([cluster.endpoints[position]], timeout_s=2) as client:
            item = client.get(key)
    except ClientError:
        return False
    # Linearizable: whoever answers at all has what was acknowledged before.
    assert item is not None
    assert item.value == value
    return True


def member_ids(cluster: Cluster, position: int) -> dict[str, str]:
    """Name to id, as `etcdctl member list` says."""
    rows = run_etcdctl(cluster.endpoints[position], "member", "list").out.splitlines()
    return {row.split(", ")[2]: row.split(", ")[0] for row in rows}


def test_a_member_is_added_joins_with_everything_and_votes(cluster: Cluster) -> None:
    put_many(cluster, 0, 300)
    newcomer = cluster.grow()
    said = run_etcdctl(
        cluster.endpoints[0], "member", "add", "m3", f"--peer-urls={cluster.peer_url(newcomer)}"
    )
    assert "added to cluster" in said.out
    cluster.start(newcomer)
    wait_until(lambda: serves(cluster, newcomer, b"k299", b"v299"))
    assert set(member_ids(cluster, 0)) == {"m0", "m1", "m2", "m3"}
    # Two of four are no majority: the newcomer's vote counts.
    put_many(cluster, newcomer, 5, b"after")
    cluster.kill(0)
    cluster.leader()
    wait_until(lambda: serves(cluster, newcomer, b"after4", b"v4"))
    put_many(cluster, newcomer, 5, b"more")
    cluster.kill(newcomer)
    cluster.start(newcomer)
    wait_until(lambda: serves(cluster, newcomer, b"more4", b"v4"))


def test_a_learner_follows_refuses_clients_and_is_promoted(
    cluster: Cluster, tmp_path: Path
) -> None:
    put_many(cluster, 0, 100)
    newcomer = cluster.grow()
    url = cluster.peer_url(newcomer)
    run_etcdctl(cluster.endpoints[0], "member", "add", "m3", f"--peer-urls={url}", "--learner")
    again = run_etcdctl(
        cluster.endpoints[0], "member", "add", "m4", "--peer-urls=http://127.0.0.1:1", "--learner"
    )
    assert "too many learner members in cluster" in again.error
    cluster.start(newcomer)
    wait_until(lambda: cluster.status_now(newcomer) is not None)
    refused = run_etcdctl(cluster.endpoints[newcomer], "get", "k1")
    assert "rpc not supported for learner" in refused.error
    local = run_etcdctl(
        cluster.endpoints[newcomer], "get", "k1", "--consistency=s", "--print-value-only"
    )
    assert local.out == "v1\n"
    status = cluster.status(newcomer)
    assert status.isLearner
    said = CliRunner().invoke(main, ["health", "--endpoints", cluster.endpoints[newcomer]])
    assert (said.exit_code, "healthy, " in said.output) == (0, True), said.output
    for command in (("put", "k", "v"), ("lease", "list"), ("alarm", "list")):
        assert (
            "rpc not supported for learner"
            in run_etcdctl(cluster.endpoints[newcomer], *command).error
        )
    copy = tmp_path / "learner.db"
    saved = run_etcdctl(cluster.endpoints[newcomer], "snapshot", "save", str(copy))
    assert copy.exists(), saved.error
    wait_until(lambda: member_ids(cluster, 0).get("m3") is not None)
    promoted = run_etcdctl(cluster.endpoints[0], "member", "promote", member_ids(cluster, 0)["m3"])
    assert "promoted in cluster" in promoted.out
    wait_until(lambda: serves(cluster, newcomer, b"k99", b"v99"))


def test_a_removed_member_ends_and_never_comes_back(cluster: Cluster) -> None:
    put_many(cluster, 0, 10)
    leader = cluster.leader()
    gone = (leader + 1) % 3
    ids = member_ids(cluster, leader)
    said = run_etcdctl(cluster.endpoints[leader], "member", "remove", ids[f"m{gone}"])
    assert "removed from cluster" in said.out
    assert cluster.process(gone).wait(timeout=PATIENCE_S) == 0
    assert "removed from the cluster" in cluster.log_end(gone)
    assert f"`roost member add m{gone} --peer-urls {cluster.peer_url(gone)}`" in cluster.log_end(
        gone
    )
    put_many(cluster, leader, 10, b"two")
    cluster.start(gone)
    # Who was told by others before it had applied that itself does not know it, and is told again.
    knows_it = cluster.process(gone).wait(timeout=PATIENCE_S)
    end = (
        "permanently removed from the cluster: remove " if knows_it else "removed from the cluster"
    )
    assert knows_it in (0, 1)
    assert end in cluster.log_end(gone)
    unknown = run_etcdctl(cluster.endpoints[leader], "member", "remove", "1234")
    assert "member not found" in unknown.error


def test_a_removed_leader_leaves_a_cluster_that_serves(cluster: Cluster) -> None:
    leader = cluster.leader()
    ids = member_ids(cluster, leader)
    run_etcdctl(cluster.endpoints[leader], "member", "remove", ids[f"m{leader}"])
    assert cluster.process(leader).wait(timeout=PATIENCE_S) == 0
    other = (leader + 1) % 3
    cluster.leader()
    put_many(cluster, other, 10)
    wait_until(lambda: serves(cluster, (leader + 2) % 3, b"k9", b"v9"))


def test_a_member_that_was_away_too_long_gets_a_snapshot(cluster: Cluster) -> None:
    leader = cluster.leader()
    away = (leader + 1) % 3
    put_many(cluster, leader, 10, b"before")
    cluster.kill(away)
    with Client([cluster.endpoints[leader]]) as client:
        for number in range(400):  # more than one segment of the journal
            client.put(b"large%d" % number, bytes(64 << 10))
    wait_until(lambda: "trimmed the journal" in cluster.log_path(leader).read_text())
    put_many(cluster, leader, 10, b"last")
    cluster.start(away)
    wait_until(lambda: serves(cluster, away, b"last9", b"v9"))
    wait_until(lambda: serves(cluster, away, b"large399", bytes(64 << 10)))
    assert "installed the snapshot" in cluster.log_path(away).read_text()
    wait_until(lambda: serves(cluster, away, b"before3", b"v3"))
    cluster.kill(away)
    put_many(cluster, leader, 5, b"again")
    cluster.start(away)
    wait_until(lambda: serves(cluster, away, b"again4", b"v4"))


def test_leadership_moves_on_request_and_when_the_leader_stops(cluster: Cluster) -> None:
    leader = cluster.leader()
    target = (leader + 1) % 3
    ids = member_ids(cluster, leader)
    wrong = run_etcdctl(cluster.endpoints[target], "move-leader", ids[f"m{target}"])
    assert wrong.code != 0
    moved = run_etcdctl(cluster.endpoints[leader], "move-leader", ids[f"m{target}"])
    assert "Leadership transferred from" in moved.out
    assert cluster.leader() == target
    assert cluster.stop(target) == 0
    assert cluster.leader() != target


def test_changes_that_would_break_the_cluster_are_refused(cluster: Cluster) -> None:
    endpoint = cluster.endpoints[0]
    taken = run_etcdctl(endpoint, "member", "add", "x", f"--peer-urls={cluster.peer_url(1)}")
    assert "Peer URLs already exists" in taken.error
    run_etcdctl(endpoint, "member", "add", "m3", "--peer-urls=http://127.0.0.1:1")
    more = run_etcdctl(endpoint, "member", "add", "m4", "--peer-urls=http://127.0.0.1:2")
    assert more.code == 0  # three of five have started
    last = run_etcdctl(endpoint, "member", "add", "m5", "--peer-urls=http://127.0.0.1:3")
    assert "not enough started members" in last.error
    voter = run_etcdctl(endpoint, "member", "promote", member_ids(cluster, 0)["m1"])
    assert "can only promote a learner member" in voter.error


def test_a_survivor_goes_on_alone_and_is_joined_by_new_members(cluster: Cluster) -> None:
    """Checklist 135: two of three are lost for good."""
    put_many(cluster, 0, 100)
    wait_until(lambda: all(serves(cluster, it, b"k99", b"v99") for it in range(3)))
    cluster.kill(0, 1, 2)
    cluster.start(0, "--force-new-cluster")
    wait_until(lambda: serves(cluster, 0, b"k99", b"v99"))
    assert set(member_ids(cluster, 0)) == {"m0"}
    put_many(cluster, 0, 10, b"alone")
    # One of the lost comes back with what it had: it is not listened to, and cannot lead.
    cluster.start(1)
    wait_until(lambda: "refuses this member" in cluster.log_path(1).read_text())
    status = cluster.status_now(1)
    assert status is None or status.leader == 0
    cluster.kill(1)
    # The flag may stay; nothing happens to a member that is alone already.
    cluster.kill(0)
    cluster.start(0, "--force-new-cluster")
    wait_until(lambda: serves(cluster, 0, b"alone9", b"v9"))
    # Without its old directory it may join as somebody new.
    shutil.rmtree(cluster.root / "m1")
    added = run_etcdctl(
        cluster.endpoints[0], "member", "add", "m1", f"--peer-urls={cluster.peer_url(1)}"
    )
    assert "added to cluster" in added.out
    cluster.start(1, "--initial-cluster-state=existing")
    wait_until(lambda: serves(cluster, 1, b"alone9", b"v9"))
    put_many(cluster, 1, 10, b"two")
    wait_until(lambda: serves(cluster, 0, b"two9", b"v9"))
