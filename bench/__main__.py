"""`python -m bench`: h2load against Roost and real etcd, turn and turn about, in one run.

For three members and for one, at 1, 10, 100 and 100 x 10 concurrent requests: puts of 100-byte
values and linearizable reads of one key, to the leader.  Each round measures Roost and etcd one
right after the other; what counts is the ratio of a round, and the median of those.  h2load is in
Debian's package nghttp2-client.  All runs are bounded by a count of requests.

Beside it, the replicated dictionary of PySyncObj with its two settings of batching, three members.
"""

import argparse
import json
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from bench.servers import Cluster, PySyncObjCluster
from roost.proto import rpc_pb2

LOADS = ((1, 1, 1500), (10, 1, 8000), (100, 1, 20_000), (100, 10, 40_000))
WAIT_S = 30.0
PYSYNCOBJ_WAVES = 20
H2LOAD_TIMEOUT_S = 120.0
_FINISHED = re.compile(r"finished in .*?, ([0-9.]+) req/s")
_SUCCEEDED = re.compile(r"(\d+) succeeded")
_STATUS = re.compile(r"status codes: (\d+) 2xx")


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: requests a second and processor microseconds a request, by round."""

    members: int
    operation: str
    clients: int
    streams: int
    roost: list[float]
    etcd: list[float]
    ratio: float
    roost_cpu_us: float
    etcd_cpu_us: float


def frame(message: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + struct.pack(">I", len(message)) + message


def call(port: int, path: str, request: bytes) -> bytes:
    """One unary call."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Callable[..., bytes] = channel.unary_unary(path)
        return method(request, timeout=WAIT_S, wait_for_ready=True)


def find_leader(cluster: Cluster) -> int:
    """The leader's client port, once every member serves."""
    for port in cluster.ports:
        body = rpc_pb2.PutRequest(key=b"key", value=b"v" * 100).SerializeToString()
        for _ in range(5):
            try:
                call(port, "/etcdserverpb.KV/Put", body)
                break
            except grpc.RpcError as error:
                last = error
        else:
            raise last
    for port in cluster.ports:
        answer = rpc_pb2.StatusResponse.FromString(
            call(port, "/etcdserverpb.Maintenance/Status", b"")
        )
        if answer.leader == answer.header.member_id:
            return port
    raise RuntimeError("no member leads")


def h2load(port: int, path: str, body: Path, clients: int, streams: int, count: int) -> float:
    """Requests a second; every request must succeed."""
    command = [
        "h2load", "-n", str(count), "-c", str(clients), "-m", str(streams), "-t", "1",
        "-H", "content-type: application/grpc", "-H", "te: trailers",
        "-d", str(body), f"http://127.0.0.1:{port}{path}",
    ]  # fmt: skip
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=H2LOAD_TIMEOUT_S
    ).stdout
    finished, succeeded, status = (
        pattern.search(said) for pattern in (_FINISHED, _SUCCEEDED, _STATUS)
    )
    if not finished or not succeeded or not status or int(status[1]) != count:
        raise RuntimeError(f"h2load failed:\n{said}")
    return float(finished[1])


@dataclass(slots=True)
class Bench:
    """One cluster of each kind, the same size, measured turn and turn about."""

    clusters: dict[str, Cluster]
    leaders: dict[str, int]
    rounds: int
    scale: float
    say: Callable[[str], None]

    def workload(
        self, operation: str, path: str, body: Path, clients: int, streams: int, count: int
    ) -> Row:
        """Measure one workload, round after round."""
        rate: dict[str, list[float]] = {kind: [] for kind in self.clusters}
        cpu = dict.fromkeys(self.clusters, 0.0)
        count = max(clients * streams, int(count * self.scale))
        size = self.clusters["roost"].size
        for turn in range(self.rounds):
            for kind, cluster in self.clusters.items():
                where = f"{size} members, {operation}, {clients}x{streams}"
                self.say(f"{where}, round {turn + 1}/{self.rounds}: {kind}")
                before = cluster.cpu_seconds()
                port = self.leaders[kind]
                rate[kind].append(h2load(port, path, body, clients, streams, count))
                cpu[kind] += cluster.cpu_seconds() - before
        pairs = zip(rate["roost"], rate["etcd"], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        micros = {kind: 1e6 * spent / (self.rounds * count) for kind, spent in cpu.items()}
        return Row(
            members=size,
            operation=operation,
            clients=clients,
            streams=streams,
            roost=rate["roost"],
            etcd=rate["etcd"],
            ratio=ratio,
            roost_cpu_us=micros["roost"],
            etcd_cpu_us=micros["etcd"],
        )


def measure(size: int, rounds: int, scale: float, say: Callable[[str], None]) -> list[Row]:
    """Measure all workloads on `size` members of each kind."""
    clusters = {kind: Cluster(kind, size) for kind in ("roost", "etcd")}
    value = b"v" * 100
    bodies = {
        "put": ("/etcdserverpb.KV/Put", rpc_pb2.PutRequest(key=b"key", value=value)),
        "read": ("/etcdserverpb.KV/Range", rpc_pb2.RangeRequest(key=b"key")),
    }
    rows: list[Row] = []
    try:
        for cluster in clusters.values():
            cluster.start()
        leaders = {kind: find_leader(cluster) for kind, cluster in clusters.items()}
        bench = Bench(clusters, leaders, rounds, scale, say)
        with tempfile.TemporaryDirectory() as scratch:
            for operation, (path, request) in bodies.items():
                body = Path(scratch) / operation
                body.write_bytes(frame(request.SerializeToString()))
                rows += [bench.workload(operation, path, body, *load) for load in LOADS]
    finally:
        for cluster in clusters.values():
            cluster.stop()
    return rows


@dataclass(frozen=True, slots=True)
class DictionaryRow:
    """Puts a second into three members, by round."""

    clients: int
    streams: int
    roost: list[float]
    batched: list[float]
    single: list[float]
    ratio: float


def measure_dictionary(
    rounds: int, scale: float, say: Callable[[str], None]
) -> list[DictionaryRow]:
    """Measure Roost beside PySyncObj's dictionary; the ratio is to its better setting."""
    roost = Cluster("roost", 3)
    others = {mode: PySyncObjCluster(mode=mode) for mode in ("batched", "single")}
    rows: list[DictionaryRow] = []
    try:
        for cluster in (roost, *others.values()):
            cluster.start()
        port = find_leader(roost)
        leaders = {mode: cluster.find_leader() for mode, cluster in others.items()}
        with tempfile.TemporaryDirectory() as scratch:
            body = Path(scratch) / "put"
            request = rpc_pb2.PutRequest(key=b"key", value=b"v" * 100)
            body.write_bytes(frame(request.SerializeToString()))
            for clients, streams, full_count in LOADS:
                callers = clients * streams
                count = max(callers, int(full_count * scale))
                counts = {"batched": callers * PYSYNCOBJ_WAVES, "single": max(callers, count // 5)}
                rate: dict[str, list[float]] = {"roost": [], "batched": [], "single": []}
                for turn in range(rounds):
                    say(f"dictionary, {clients}x{streams}, round {turn + 1}/{rounds}")
                    path = "/etcdserverpb.KV/Put"
                    rate["roost"].append(h2load(port, path, body, clients, streams, count))
                    for mode, cluster in others.items():
                        line = f"put {callers} {counts[mode]}"
                        rate[mode].append(float(cluster.ask(leaders[mode], line)))
                ratios = [ours / max(theirs) for ours, *theirs in zip(*rate.values(), strict=True)]
                rows.append(
                    DictionaryRow(clients, streams, **rate, ratio=statistics.median(ratios))
                )
    finally:
        for cluster in (roost, *others.values()):
            cluster.stop()
    return rows


def main() -> None:
    """Measure and print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="*", default=[3, 1])
    parser.add_argument("--scale", type=float, default=1.0, help="times the requests a run")
    parser.add_argument("--no-dictionary", action="store_true", help="without PySyncObj")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("bench needs h2load: install the package nghttp2-client")

    def say(text: str) -> None:
        print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)

    rounds, scale = options.rounds, options.scale
    rows = [row for size in options.members for row in measure(size, rounds, scale, say)]
    dictionary = [] if options.no_dictionary else measure_dictionary(rounds, scale, say)
    say("")
    print(file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(row) for row in (*rows, *dictionary)]))
        return
    print_table(
        "members | operation | clients | Roost/s | etcd/s | ratio | CPU us Roost | CPU us etcd",
        [
            f"{row.members} | {row.operation} | {callers(row)} "
            f"| {statistics.median(row.roost):,.0f} "
            f"| {statistics.median(row.etcd):,.0f} | {row.ratio:.2f} "
            f"| {row.roost_cpu_us:.0f} | {row.etcd_cpu_us:.0f}"
            for row in rows
        ],
    )
    if dictionary:
        print()
        print_table(
            "clients | Roost/s | PySyncObj batched/s | PySyncObj single/s | ratio to the better",
            [
                f"{callers(row)} | {statistics.median(row.roost):,.0f} "
                f"| {statistics.median(row.batched):,.0f} "
                f"| {statistics.median(row.single):,.0f} | {row.ratio:.2f}"
                for row in dictionary
            ],
        )


def callers(row: Row | DictionaryRow) -> str:
    """The load as people write it."""
    return str(row.clients) if row.streams == 1 else f"{row.clients} x {row.streams}"


def print_table(head: str, lines: list[str]) -> None:
    """Print a Markdown table."""
    print(f"| {head} |")
    print("|" + "---|" * (head.count("|") + 1))
    for line in lines:
        print(f"| {line} |")


if __name__ == "__main__":
    main()
