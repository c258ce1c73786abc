"""Operations on a loaded cluster: rolling restarts, leader moves, pages, limits, notes."""

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest

from roost.call import Code
from roost.proto import reflection_pb2
from roost.proto import rpc_pb2 as pb
from roost.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3) as started:
        started.leader()
        wait_until(lambda: all(serves(started, it) for it in range(3)))
        yield started


class RetryingClient(threading.Thread):
    """Puts and reads all the time by any member, as etcd's client does: what certainly was not
    done is tried again with the next one, and what may have been done only when it is harmless.
    """

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(daemon=True)
        self._endpoints = cluster.endpoints
        self._number = number
        self.stop = threading.Event()
        self.put_count = 0
        self.retry_count = 0
        self.slowest_s = 0.0
        self.failures: list[str] = []

    def run(self) -> None:
        channels = [grpc.insecure_channel(it) for it in self._endpoints]
        while not self.stop.is_set():
            key = b"c%d/%d" % (self._number, self.put_count)
            put = pb.PutRequest(key=key, value=b"v").SerializeToString()
            begin = time.monotonic()
            self._ask(channels, "Put", put)
            read = pb.RangeRequest(key=key).SerializeToString()
            found = self._ask(channels, "Range", read)
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            if not pb.RangeResponse.FromString(found).count:
                self.failures.append(f"{key!r} was put and is not there")
            self.put_count += 1
        for channel in channels:
            channel.close()

    def _ask(self, channels: list[grpc.Channel], method: str, body: bytes) -> bytes:
        deadline = time.monotonic() + 10
        position = self._number
        while True:
            channel = channels[position % len(channels)]
            try:
                said: bytes = channel.unary_unary(f"/etcdserverpb.KV/{method}")(
                    body, timeout=PATIENCE_S
                )
            except grpc.RpcError as error:
                retried = (grpc.StatusCode.UNAVAILABLE,)
                if error.code() not in retried or time.monotonic() > deadline:
                    self.failures.append(f"{method}: {error.code()} {error.details()}")
                    return b""
                self.retry_count += 1
                position += 1
            else:
                return said


@pytest.fixture
def clients(three: Cluster) -> Iterator[list[RetryingClient]]:
    made = [RetryingClient(three, it) for it in range(4)]
    for client in made:
        client.start()
    yield made
    for client in made:
        client.stop.set()
    for client in made:
        client.join(timeout=PATIENCE_S)


def wait_progress(clients: list[RetryingClient]) -> None:
    """Return when every client has got further."""
    before = [it.put_count for it in clients]
    wait_until(
        lambda: all(it.put_count > count + 3 for it, count in zip(clients, before, strict=True))
    )


def serves(cluster: Cluster, position: int) -> bool:
    """Whether a member is there and knows a leader."""
    said = cluster.status_now(position)
    return said is not None and said.leader != 0


def finish(clients: list[RetryingClient]) -> None:
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join(timeout=PATIENCE_S)
        assert not client.failures
        assert client.slowest_s < 5


def test_a_rolling_restart_fails_no_request_of_a_retrying_client(
    three: Cluster, clients: list[RetryingClient]
) -> None:
    for position in range(3):
        wait_progress(clients)
        assert three.stop(position) == 0
        wait_progress(clients)
        three.start(position)
        wait_until(partial(serves, three, position))
    wait_progress(clients)
    finish(clients)


def test_leader_moves_under_load_fail_no_request(
    three: Cluster, clients: list[RetryingClient]
) -> None:
    for _ in range(5):
        wait_progress(clients)
        leader = three.leader()
        target = three.status((leader + 1) % 3)
        request = pb.MoveLeaderRequest(targetID=target.header.member_id)
        with grpc.insecure_channel(three.endpoints[leader]) as channel:
            move = channel.unary_unary("/etcdserverpb.Maintenance/MoveLeader")
            move(request.SerializeToString(), timeout=PATIENCE_S)
    wait_progress(clients)
    finish(clients)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection, without waiting."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def page(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_pages_say_how_a_member_is(three: Cluster) -> None:
    port = three.client_ports[0]
    assert page(port, "/livez") == (200, "ok\n")
    assert page(port, "/readyz?verbose") == (
        200,
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n",
    )
    assert page(port, "/readyz/linearizable_read") == (200, "ok\n")
    variables = json.loads(page(port, "/debug/vars")[1])
    assert variables["etcd_server_has_leader"] == 1
    three.kill(1, 2)
    wait_until(lambda: page(port, "/health")[0] == 503)
    assert page(port, "/livez") == (200, "ok\n")
    status, said = page(port, "/readyz")
    assert status == 503
    assert "[-]linearizable_read failed: " in said
    assert page(port, "/health?serializable=true")[0] == 200


def test_an_alarm_makes_a_member_unhealthy_unless_it_is_excluded(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        port = cluster.client_ports[0]
        alarm = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, alarm=pb.NOSPACE, memberID=7)
        with grpc.insecure_channel(cluster.endpoints[0]) as channel:
            raise_it = channel.unary_unary("/etcdserverpb.Maintenance/Alarm")
            raise_it(alarm.SerializeToString(), timeout=PATIENCE_S)
        assert page(port, "/health") == (503, '{"health":"false","reason":"ALARM NOSPACE"}')
        assert page(port, "/health?exclude=NOSPACE")[0] == 200


def test_hosts_metrics_and_notes_are_as_the_flags_say(tmp_path: Path) -> None:
    [metrics] = free_ports(1)
    flags = [
        "--host-whitelist=localhost,127.0.0.1",
        f"--listen-metrics-urls=http://127.0.0.1:{metrics}",
        "--max-wals=7",
        "--logger=zap",
        "--cors=http://good.example",
        "--max-txn-ops=2",
        "--max-connections=4",
        "--auto-compaction-mode=revision",
        "--auto-compaction-retention=5",
    ]
    with Cluster(tmp_path, 1, extra_flags=flags) as cluster:
        cluster.leader()
        port = cluster.client_ports[0]
        assert page(port, "/version", {"Host": "evil.example"})[0] == 421
        assert page(port, "/version")[0] == 200
        for origin, allowed in (("http://good.example", True), ("http://evil.example", False)):
            asked = urllib.request.Request(
                f"http://127.0.0.1:{port}/version", headers={"Origin": origin}
            )
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                shown = answer.headers.get("Access-Control-Allow-Origin")
            assert shown == (origin if allowed else None)
        figures = page(metrics, "/metrics")[1]
        for name in (
            'grpc_server_handled_total{grpc_code="OK",grpc_method="Status"',
            "etcd_disk_wal_fsync_duration_seconds_bucket",
            "etcd_disk_backend_commit_duration_seconds_bucket",
            "process_resident_memory_bytes",
            "etcd_server_leader_changes_seen_total 1",
            "etcd_network_client_grpc_sent_bytes_total",
        ):
            assert name in figures, name
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        try:
            # One more than the bound is closed at once; the others wait for their first bytes.
            wait_until(lambda: sum(is_closed(it) for it in idle) >= 4)
            assert sum(is_closed(it) for it in idle) < 8
        finally:
            for it in idle:
                it.close()
        assert page(metrics, "/v3/kv/range")[0] == 404
        assert "--max-wals=7 changes nothing" in cluster.log_path(0).read_text()
        puts = [pb.RequestOp(request_put=pb.PutRequest(key=b"%d" % it)) for it in range(3)]
        with grpc.insecure_channel(cluster.endpoints[0]) as channel:
            txn = channel.unary_unary("/etcdserverpb.KV/Txn")
            txn(pb.TxnRequest(success=puts[:2]).SerializeToString(), timeout=PATIENCE_S)
            with pytest.raises(grpc.RpcError) as caught:
                txn(pb.TxnRequest(success=puts).SerializeToString(), timeout=PATIENCE_S)
        assert caught.value.details() == "etcdserver: too many operations in txn request"


def test_health_and_reflection_are_served(tmp_path: Path) -> None:
    asked = reflection_pb2.ServerReflectionRequest
    answered = reflection_pb2.ServerReflectionResponse
    with (
        Cluster(tmp_path, 1) as cluster,
        grpc.insecure_channel(cluster.endpoints[0]) as channel,
    ):
        cluster.leader()
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in ("", "etcdserverpb.KV"):
            request = HealthCheckRequest(service=service).SerializeToString()
            said = HealthCheckResponse.FromString(check(request, timeout=PATIENCE_S))
            assert said.status == HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            check(HealthCheckRequest(service="none").SerializeToString(), timeout=PATIENCE_S)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        questions = [
            asked(list_services="*"),
            asked(file_containing_symbol="etcdserverpb.KV.Put"),
            asked(file_by_filename="roost/proto/kv.proto"),
            asked(file_containing_symbol="nobody.knows"),
        ]
        bodies = iter([it.SerializeToString() for it in questions])
        told = [answered.FromString(it) for it in reflect(bodies, timeout=PATIENCE_S)]
        names = [it.name for it in told[0].list_services_response.service]
        assert {"etcdserverpb.KV", "v3lockpb.Lock", "grpc.health.v1.Health"} <= set(names)
        assert told[1].file_descriptor_response.file_descriptor_proto
        assert told[2].file_descriptor_response.file_descriptor_proto
        assert told[3].error_response.error_code == Code.NOT_FOUND


def test_a_lease_that_is_renewed_outlives_leaders(three: Cluster) -> None:
    """P10 with real processes: kills and SIGSTOP of leaders; then it ends by itself."""
    from roost.client import Client, ClientError

    with Client(three.endpoints, timeout_s=PATIENCE_S) as client:
        granted = client.leases.grant(4)
        client.put(b"leased", b"1", lease=granted.lease_id)
    over, renewed = threading.Event(), threading.Event()

    def renew() -> None:
        position = 0
        while not over.wait(0.3):
            with Client([three.endpoints[position % 3]], timeout_s=1) as one:
                try:
                    assert one.leases.renew(granted.lease_id) in (0, granted.ttl_s)
                    renewed.set()
                except ClientError:
                    position += 1

    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    for how in ("kill", "stop", "kill"):
        leader = three.leader()
        if how == "kill":
            three.kill(leader)
            wait_leader(three, leader)
            three.start(leader)
        else:
            process = three.process(leader)
            process.send_signal(signal.SIGSTOP)
            wait_leader(three, leader)
            process.send_signal(signal.SIGCONT)
        renewed.clear()
        assert renewed.wait(20)
        wait_until(partial(serves, three, leader))
        assert holds(three, b"leased")
    over.set()
    renewing.join(timeout=PATIENCE_S)
    wait_until(lambda: not holds(three, b"leased"))
    with Client(three.endpoints, timeout_s=PATIENCE_S) as client:
        assert client.leases.all() == []


def wait_leader(cluster: Cluster, old: int) -> None:
    """Return when another member than `old` leads."""

    def is_there() -> bool:
        for position in range(3):
            said = None if position == old else cluster.status_now(position)
            if said is not None and said.leader == said.header.member_id:
                return True
        return False

    wait_until(is_there)


def holds(cluster: Cluster, key: bytes) -> bool:
    from roost.client import Client

    with Client(cluster.endpoints, timeout_s=PATIENCE_S) as client:
        return client.get(key) is not None


def test_a_greedy_client_does_not_starve_a_modest_one(tmp_path: Path) -> None:
    """What waits is merged into the next batches, so nobody waits for a queue of one's own."""
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        body = pb.PutRequest(key=b"greedy", value=b"v" * 100).SerializeToString()
        with (
            grpc.insecure_channel(cluster.endpoints[0]) as greedy,
            grpc.insecure_channel(
                cluster.endpoints[0], [("grpc.use_local_subchannel_pool", 1)]
            ) as modest,
        ):
            put = greedy.unary_unary("/etcdserverpb.KV/Put")
            asked = [put.future(body, timeout=PATIENCE_S) for _ in range(3000)]
            slowest_s = 0.0
            mine = modest.unary_unary("/etcdserverpb.KV/Put")
            count = 0
            while not all(it.done() for it in asked[-100:]):
                begin = time.monotonic()
                mine(pb.PutRequest(key=b"modest").SerializeToString(), timeout=PATIENCE_S)
                slowest_s = max(slowest_s, time.monotonic() - begin)
                count += 1
            assert count
            assert slowest_s < 3
            for it in asked:
                it.result()
