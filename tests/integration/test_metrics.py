"""Metrics that etcd's dashboards, mixin and alerts look at: all there, and all moved by something.

The names are those of etcd's contrib/mixin (alerts and dashboard), of its documentation's
example dashboard, and of the rules that come with Kubernetes' monitoring.
"""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.etcd import figures as of_etcd
from roost.member import figures as of_member
from roost.proto import rpc_pb2 as pb
from roost.server.figures import PORT_FIGURES
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.integration.etcdctl import binary
from tests.integration.twins import Side, connect

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
# All but `etcd_network_peer_sent_failures_total`, which etcd has only once something was lost.
LOOKED_AT = [
    *("etcd_server_has_leader", "etcd_server_is_leader", "etcd_server_id"),
    *("etcd_server_version", "etcd_cluster_version", "etcd_server_leader_changes_seen_total"),
    *("etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total"),
    *("etcd_server_proposals_pending", "etcd_server_proposals_failed_total"),
    *("etcd_server_read_indexes_failed_total", "etcd_server_quota_backend_bytes"),
    *("etcd_server_health_success", "etcd_server_health_failures"),
    *("etcd_network_peer_round_trip_time_seconds_bucket", "etcd_network_active_peers"),
    *("etcd_network_peer_sent_bytes_total", "etcd_network_peer_received_bytes_total"),
    *("etcd_network_client_grpc_sent_bytes_total",),
    *("etcd_network_client_grpc_received_bytes_total",),
    *("etcd_disk_wal_fsync_duration_seconds_bucket",),
    *("etcd_disk_backend_commit_duration_seconds_bucket",),
    *("etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes"),
    *("etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_range_total"),
    *("etcd_mvcc_txn_total", "etcd_debugging_mvcc_keys_total"),
    *("etcd_debugging_mvcc_watcher_total", "etcd_debugging_mvcc_slow_watcher_total"),
    *("etcd_debugging_mvcc_db_compaction_keys_total", "etcd_debugging_mvcc_events_total"),
    *("etcd_debugging_lease_granted_total", "etcd_debugging_lease_revoked_total"),
    *("grpc_server_started_total", "grpc_server_handled_total"),
    *("grpc_server_handling_seconds_bucket",),
    *("process_resident_memory_bytes", "process_open_fds", "process_max_fds"),
    *("process_cpu_seconds_total", "process_start_time_seconds", "os_fd_used", "os_fd_limit"),
]
Samples = dict[str, float]


def read(endpoint: str) -> Samples:
    """Sums of all samples of a name."""
    with urllib.request.urlopen(f"http://{endpoint}/metrics", timeout=PATIENCE_S) as response:
        text = response.read().decode()
    found: Samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = line.split(" ")[0].partition("{")[0]
            found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3) as made:
        made.leader()
        wait_until(lambda: all(made.status(it) is not None for it in range(3)))
        yield made


def test_etcd_has_these_names_too(tmp_path: Path) -> None:
    command = (binary("etcd"), "--log-level=error", "--metrics=extensive")
    with Cluster(tmp_path, 3, command=command) as etcd:
        leader = etcd.leader()
        with connect("etcd", etcd.endpoints[leader]) as side:
            side.ask("KV/Put", pb.PutRequest(key=b"a"))
            # Its peers are timed every few seconds.
            wait_until(lambda: not set(LOOKED_AT) - set(read(side.endpoint)))


# Counters and histograms, and by how much at least `work` moves them.
BY_WORK = {
    "etcd_mvcc_put_total": 13,
    "etcd_mvcc_delete_total": 3,
    "etcd_mvcc_range_total": 3,
    "etcd_mvcc_txn_total": 3,
    "etcd_server_health_success": 1,
    "etcd_network_peer_round_trip_time_seconds_count": 1,
    "etcd_network_peer_sent_bytes_total": 1000,
    "etcd_network_peer_received_bytes_total": 100,
    "etcd_network_client_grpc_sent_bytes_total": 100,
    "etcd_network_client_grpc_received_bytes_total": 100,
    "etcd_disk_wal_fsync_duration_seconds_count": 1,
    "etcd_disk_backend_commit_duration_seconds_count": 1,
    "etcd_debugging_mvcc_events_total": 10,
    "etcd_debugging_mvcc_db_compaction_keys_total": 1,
    "etcd_debugging_lease_granted_total": 2,
    "etcd_debugging_lease_revoked_total": 2,
    "etcd_debugging_lease_renewed_total": 1,
    "etcd_debugging_server_lease_expired_total": 1,
    "grpc_server_started_total": 25,
    "grpc_server_handled_total": 25,
    "grpc_server_handling_seconds_count": 25,
}
# What comes a moment later than the answer.
LATER = {
    *("etcd_debugging_mvcc_db_compaction_keys_total", "etcd_debugging_server_lease_expired_total"),
    *("etcd_disk_backend_commit_duration_seconds_count", "etcd_debugging_lease_revoked_total"),
    *("grpc_server_handled_total", "grpc_server_handling_seconds_count"),  # of streams given up
}
BY_CHANGES = {"etcd_server_leader_changes_seen_total"}
BY_FAILURES = {
    *("etcd_server_proposals_failed_total", "etcd_server_read_indexes_failed_total"),
    *("etcd_server_health_failures", "etcd_network_peer_sent_failures_total"),
}


def test_every_counter_of_etcds_is_moved_by_somebody() -> None:
    """What goes up and down is in `tests/server/test_figures.py`."""
    shown = {it.removesuffix("_count") for it in (*BY_WORK, *BY_CHANGES, *BY_FAILURES)}
    there = [
        *(it.name for it in of_member.FIGURES if it.kind != "gauge"),
        *(it.name for it in of_etcd.FIGURES if it.kind != "gauge"),
        *(it.name for it in PORT_FIGURES if it.kind != "gauge"),
    ]
    assert shown == {it for it in there if it.startswith(("etcd_", "grpc_"))}


def work(side: Side) -> None:
    """A little of everything."""
    for number in range(10):
        side.ask("KV/Put", pb.PutRequest(key=b"k%d" % number, value=b"v"))
    for number in range(3):
        side.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k%d" % number))
        side.ask("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l"))
        put = pb.RequestOp(request_put=pb.PutRequest(key=b"t"))
        side.ask("KV/Txn", pb.TxnRequest(success=[put]))
    side.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=7))
    side.talk("Lease/LeaseKeepAlive", [pb.LeaseKeepAliveRequest(ID=7)], 1)
    side.ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=7))
    side.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=1, ID=8))
    watch = pb.WatchCreateRequest(key=b"k", range_end=b"l", start_revision=2)
    side.talk("Watch/Watch", [pb.WatchRequest(create_request=watch)], 2)
    side.ask("KV/Compact", pb.CompactionRequest(revision=15))


def test_what_is_done_moves_what_counts_it(cluster: Cluster) -> None:
    leader = cluster.leader()
    with connect("roost", cluster.endpoints[leader]) as side:
        # Peers are timed from the first heartbeat on.
        wait_until(lambda: not set(LOOKED_AT) - set(read(side.endpoint)))
        before = read(side.endpoint)
        work(side)
        side.post("/health", None, method="GET")

        def has_come() -> bool:
            now = read(side.endpoint)
            return all(now[it] - before[it] >= BY_WORK[it] for it in LATER)

        wait_until(has_come)
        after = read(side.endpoint)

    def moved(name: str) -> float:
        return after[name] - before[name]

    assert [moved(f"etcd_mvcc_{it}_total") for it in ("put", "delete", "range", "txn")] == [
        *(13, 3, 3, 3),
    ]
    assert after["etcd_debugging_mvcc_keys_total"] == 8
    for place in ("committed", "applied"):
        assert moved(f"etcd_server_proposals_{place}_total") >= 10
    for name, least in BY_WORK.items():
        assert moved(name) >= least, name
    # Sums over labels: there is one leader, one version, and links to two members.
    for name, expected in {
        "etcd_server_has_leader": 1,
        "etcd_server_is_leader": 1,
        "etcd_network_active_peers": 2,
        "etcd_server_id": 1,
        "etcd_server_version": 1,
        "etcd_cluster_version": 1,
    }.items():
        assert after[name] == expected, name
    assert 0 < after["os_fd_used"] < after["os_fd_limit"] == after["process_max_fds"]
    followers = [read(cluster.endpoints[it]) for it in range(3) if it != leader]
    assert [it["etcd_debugging_mvcc_keys_total"] for it in followers] == [8, 8]


def test_every_member_counts_a_change_of_leaders(cluster: Cluster) -> None:
    before = [read(it) for it in cluster.endpoints]
    leader = cluster.leader()
    with connect("roost", cluster.endpoints[leader]) as side:
        target = cluster.status(leader - 1).header.member_id
        moved = side.ask("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=target))
        assert not isinstance(moved, str), moved
    for name in BY_CHANGES:
        for endpoint, then in zip(cluster.endpoints, before, strict=True):
            wait_until(lambda: read(endpoint)[name] > then[name])  # noqa: B023 - called at once


def test_what_fails_is_counted(cluster: Cluster) -> None:
    leader = cluster.leader()
    endpoint = cluster.endpoints[leader]
    others = [it for it in range(3) if it != leader]
    with connect("roost", endpoint) as side:
        before = read(endpoint)
        cluster.kill(*others)
        wait_until(lambda: read(endpoint).get("etcd_network_peer_sent_failures_total", 0) > 0)
        wait_until(lambda: read(endpoint)["etcd_server_has_leader"] == 0)
        side.ask("KV/Put", pb.PutRequest(key=b"a"), timeout_s=60)
        side.ask("KV/Range", pb.RangeRequest(key=b"a"), timeout_s=60)
        side.post("/health", None, method="GET")
        after = read(endpoint)
    for name in BY_FAILURES:
        assert after[name] > before.get(name, 0), name
    assert after["etcd_network_active_peers"] == 0
