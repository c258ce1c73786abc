"""A real member under a limit of memory: floods are refused, nothing dies, nothing is lost."""

import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from roost.proto import rpc_pb2 as pb
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal
from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
MIB = 1 << 20
VALUE_BYTES = 1_400_000
# An address space has room for LMDB's map, which is a gigabyte, and for little more.
ADDRESSES = 1420 * MIB
PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
LARGE = [("grpc.max_receive_message_length", -1)]


@contextmanager
def member(root: Path, *limits: str, flags: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """A cluster of one, with limits as `prlimit` takes them."""
    command = ("prlimit", *limits, *ROOST) if limits else ROOST
    with Cluster(root, 1, command=command, extra_flags=flags) as cluster:
        cluster.leader()
        yield cluster


def figures(cluster: Cluster) -> dict[str, float]:
    """The metrics of memory, by name and labels."""
    with urllib.request.urlopen(f"http://{cluster.endpoints[0]}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    found = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in found}


def is_alive(cluster: Cluster) -> bool:
    return cluster.process(0).poll() is None


class Flood:
    """Puts that are under way together; what was acknowledged must be there."""

    def __init__(self, cluster: Cluster) -> None:
        self.acknowledged: list[bytes] = []
        self.refusals: set[tuple[grpc.StatusCode, str]] = set()
        self.channel = grpc.insecure_channel(cluster.endpoints[0], options=LARGE)
        self._put = self.channel.unary_unary(PUT)

    def pour(self, count: int) -> None:
        """Put `count` values at once, and wait for what becomes of them."""
        calls: list[tuple[bytes, grpc.Future]] = []
        for _ in range(count):
            key = b"%06d" % (len(self.acknowledged) + len(calls))
            body = pb.PutRequest(key=key, value=key * (VALUE_BYTES // 6)).SerializeToString()
            calls.append((key, self._put.future(body, timeout=60)))
        for key, call in calls:
            try:
                call.result()
            except grpc.RpcError as error:
                self.refusals.add((error.code(), error.details()))
            else:
                self.acknowledged.append(key)

    def check(self) -> None:
        """All that was acknowledged can be read."""
        read = self.channel.unary_unary(RANGE)
        for key in self.acknowledged:
            body = pb.RangeRequest(key=key).SerializeToString()
            [found] = pb.RangeResponse.FromString(read(body, timeout=60)).kvs
            assert found.value == key * (VALUE_BYTES // 6)


def hold(cluster: Cluster, count: int) -> list[socket.socket]:
    """Ask for a large value often, on connections that never read."""
    head = b"".join(
        encode_literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":path", RANGE.encode()),
            (b"content-type", b"application/grpc"),
        )
    )
    request = pb.RangeRequest(key=b"large").SerializeToString()
    message = b"\0" + len(request).to_bytes(4, "big") + request
    asked = b"".join(
        f.frame(f.HEADERS, f.END_HEADERS, stream, head)
        + f.frame(f.DATA, f.END_STREAM, stream, message)
        for stream in range(1, 40, 2)
    )
    made = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", cluster.client_ports[0]))
        sock.sendall(PREFACE + f.settings({}) + asked)
        made.append(sock)
    return made


def test_under_ulimit_v_a_flood_of_large_puts_is_refused_and_none_is_lost(tmp_path: Path) -> None:
    with member(tmp_path, f"--as={ADDRESSES}") as cluster:
        assert "(ulimit -v)" in cluster.log_path(0).read_text()
        assert figures(cluster)["roost_memory_limit_bytes"] == ADDRESSES
        flood = Flood(cluster)
        for _ in range(2):
            flood.pour(120)
            assert is_alive(cluster), cluster.log_end(0)
        assert flood.acknowledged
        assert {code for code, _ in flood.refusals} <= {grpc.StatusCode.RESOURCE_EXHAUSTED}
        wait_until(lambda: not figures(cluster)["roost_memory_is_short"])
        flood.refusals.clear()
        flood.pour(1)
        assert not flood.refusals, "it takes work again"
        flood.check()
        cluster.kill(0)
        cluster.start(0)
        cluster.leader()
        flood.check()
        flood.channel.close()


@pytest.mark.skipif(
    not os.environ.get("ROOST_TEST_CGROUP"),
    reason="ROOST_TEST_CGROUP names no memory cgroup that tests may make groups in",
)
def test_in_a_cgroup_a_flood_is_refused_and_nobody_is_killed(tmp_path: Path) -> None:
    group = Path(os.environ["ROOST_TEST_CGROUP"]) / f"roost-{os.getpid()}"
    group.mkdir()
    try:
        names = ("memory.max", "memory.limit_in_bytes")
        [limit] = [group / it for it in names if (group / it).exists()]
        limit.write_text(str(160 * MIB))
        enter = ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh")
        with Cluster(tmp_path, 1, command=(*enter, *ROOST)) as cluster:
            cluster.leader()
            assert f"(cgroup {limit.name})" in cluster.log_path(0).read_text()
            flood = Flood(cluster)
            for _ in range(3):
                flood.pour(150)
                assert is_alive(cluster), cluster.log_end(0)
            assert {code for code, _ in flood.refusals} <= {grpc.StatusCode.RESOURCE_EXHAUSTED}
            flood.check()
            flood.channel.close()
    finally:
        group.rmdir()


def test_answers_that_nobody_reads_end_before_the_member_does(tmp_path: Path) -> None:
    limit = 130 * MIB
    with (
        member(tmp_path, flags=(f"--max-memory-bytes={limit}",)) as cluster,
        grpc.insecure_channel(cluster.endpoints[0], options=LARGE) as channel,
    ):
        put = channel.unary_unary(PUT)
        body = pb.PutRequest(key=b"large", value=bytes(VALUE_BYTES)).SerializeToString()
        put(body, timeout=60)
        silent = hold(cluster, 20)  # 560 MB of answers
        wait_until(lambda: figures(cluster)["roost_unread_given_up_total"] > 0)
        assert is_alive(cluster), cluster.log_end(0)
        assert figures(cluster)["roost_memory_used_bytes"] < limit
        for sock in silent:
            sock.close()
        wait_until(lambda: not figures(cluster)['roost_memory_pool_bytes{pool="unread_answers"}'])
        wait_until(lambda: not figures(cluster)["roost_memory_is_short"])
        put(body, timeout=60)


def test_watches_are_refused_while_memory_is_short_and_those_before_go_on(tmp_path: Path) -> None:
    """Many watchers of long keys, until there is no room for one more."""
    limit = 100 * MIB
    with (
        member(tmp_path, flags=(f"--max-memory-bytes={limit}",)) as cluster,
        grpc.insecure_channel(cluster.endpoints[0], options=LARGE) as channel,
    ):
        watch = channel.stream_stream("/etcdserverpb.Watch/Watch")
        put = channel.unary_unary(PUT)
        streams: list[grpc.Call] = []

        def refused_watch() -> str:
            """Open streams of twenty watchers until one is refused; say with what words."""
            while True:
                key = b"%06d" % len(streams)
                wanted = pb.WatchCreateRequest(key=key.ljust(20_000))
                request = pb.WatchRequest(create_request=wanted).SerializeToString()
                stream = watch(iter([request] * 20), timeout=120)
                streams.append(stream)
                assert len(streams) < 1000, "it takes any number"
                try:
                    for _ in range(20):
                        said = pb.WatchResponse.FromString(next(stream))
                        if said.canceled:
                            return str(said.cancel_reason)
                except grpc.RpcError as error:
                    return str(error.details())

        def put_code() -> grpc.StatusCode:
            try:
                put(pb.PutRequest(key=b"k", value=b"v").SerializeToString(), timeout=PATIENCE_S)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        # What a refused stream had is given back, and there may be room again for a moment.
        code = grpc.StatusCode.OK
        while code is grpc.StatusCode.OK:
            assert "too little memory is left: --max-memory-bytes" in refused_watch()
            assert is_alive(cluster), cluster.log_end(0)
            code = put_code()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        status = channel.unary_unary("/etcdserverpb.Maintenance/Status")
        assert status(b"", timeout=30), "it still says how it is"
        for stream in streams:
            stream.cancel()

        wait_until(lambda: not figures(cluster)["roost_memory_is_short"])
        put(pb.PutRequest(key=b"k", value=b"v").SerializeToString(), timeout=30)
