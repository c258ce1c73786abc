"""What is measured beside etcd: a table of workloads, most of them by `h2load`.

The names `put-64`, `txn-put`, `stm`, `lease-keepalive` and `watch` are of the kinds that etcd's own
`benchmark` tool has, by 64 clients; that tool is a program in Go, and is not used here.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import watches
from bench.calls import GRANT, KEEP_ALIVE, PUT, RANGE, TXN, VALUE, Load, call, h2load
from bench.conversations import Ask, Conversation, converse
from bench.pairs import KEY, KINDS, Pair, Plan, rounded
from bench.rows import RATE, Row
from roost.proto import rpc_pb2

LOADS = (Load(1, 1, 1500), Load(10, 1, 8000), Load(100, 1, 20_000), Load(100, 10, 40_000))
BY_64 = Load(64, 1, 20_000)
LEASE_TTL_S = 3600
STM_KEYS, STM_CONNECTIONS = 1000, 8
WATCHERS, HOT_WATCHERS, HOT_PUTS = 10_000, 1_000, 300


@dataclass(frozen=True, slots=True)
class Workload:
    """One request again and again; `make_request(port)` makes it for one cluster."""

    row: str
    what: str
    path: str
    make_request: Callable[[int], bytes]
    loads: tuple[Load, ...]
    members: tuple[int, ...] = (3,)
    is_tls: bool = False


def _put(value: bytes) -> Callable[[int], bytes]:
    return lambda _port: rpc_pb2.PutRequest(key=KEY, value=value).SerializeToString()


def _get(*, serializable: bool = False) -> Callable[[int], bytes]:
    request = rpc_pb2.RangeRequest(key=KEY, serializable=serializable)
    return lambda _port: request.SerializeToString()


def _txn_put(_port: int) -> bytes:
    request = rpc_pb2.PutRequest(key=KEY, value=VALUE)
    return rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=request)]).SerializeToString()


def _keep_alive(port: int) -> bytes:
    request = rpc_pb2.LeaseGrantRequest(TTL=LEASE_TTL_S).SerializeToString()
    granted = rpc_pb2.LeaseGrantResponse.FromString(call(port, GRANT, request))
    return rpc_pb2.LeaseKeepAliveRequest(ID=granted.ID).SerializeToString()


WORKLOADS = (
    Workload("put", "put", PUT, _put(VALUE), LOADS, members=(3, 1)),
    Workload("get", "get", RANGE, _get(), LOADS, members=(3, 1)),
    Workload("serializable", "serializable get", RANGE, _get(serializable=True), LOADS[-1:]),
    Workload("sustained", "put, 150,000 in a row", PUT, _put(VALUE), (Load(100, 10, 150_000),)),
    Workload("sizes", "put of 1 KiB", PUT, _put(bytes(1 << 10)), (Load(10, 1, 4000),)),
    Workload("sizes", "put of 64 KiB", PUT, _put(bytes(64 << 10)), (Load(10, 1, 600),)),
    Workload("sizes", "put of 1 MiB", PUT, _put(bytes(1 << 20)), (Load(10, 1, 60),)),
    Workload("tls", "put by TLS", PUT, _put(VALUE), LOADS[2:], is_tls=True),
    Workload("tls", "get by TLS", RANGE, _get(), LOADS[2:], is_tls=True),
    Workload("put-64", "put", PUT, _put(VALUE), (BY_64,)),
    Workload("txn-put", "txn of one put", TXN, _txn_put, (BY_64,)),
    Workload("lease-keepalive", "keep a lease alive, once a stream", KEEP_ALIVE, _keep_alive,
             (BY_64,)),
)  # fmt: skip


def run_workload(pair: Pair, workload: Workload, load: Load) -> Row:
    """Measure one workload at one load."""
    load = load.scaled(pair.plan.scale)
    with tempfile.TemporaryDirectory() as scratch:
        bodies = {kind: Path(scratch) / kind for kind in KINDS}
        for kind, body in bodies.items():
            request = workload.make_request(pair.port(kind))
            body.write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)

        def measure(kind: str) -> float:
            cluster, leader = pair.clusters[kind], pair.leaders[kind]
            return h2load(cluster, leader, workload.path, bodies[kind], load)

        return pair.rate(workload.row, workload.what, str(load), load.count, measure)


def transfer(client: int, count: int) -> Conversation:
    """One client of a software transactional memory: reads a key, and puts it if nobody has since.

    Over again where somebody has; `count` of them succeed.
    """
    done, place = 0, client
    while done < count:
        place = (place * 31 + 7) % STM_KEYS
        key = b"stm-%d" % place
        answer = yield Ask(RANGE.encode(), rpc_pb2.RangeRequest(key=key).SerializeToString())
        held = rpc_pb2.RangeResponse.FromString(answer).kvs
        unchanged = rpc_pb2.Compare(
            result=rpc_pb2.Compare.EQUAL,
            target=rpc_pb2.Compare.MOD,
            key=key,
            mod_revision=held[0].mod_revision if held else 0,
        )
        put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=VALUE))
        txn = rpc_pb2.TxnRequest(compare=[unchanged], success=[put])
        answer = yield Ask(TXN.encode(), txn.SerializeToString())
        done += rpc_pb2.TxnResponse.FromString(answer).succeeded


def run_stm(pair: Pair) -> Row:
    """Transactions a second of 64 clients."""
    each = max(1, int(BY_64.count * pair.plan.scale / BY_64.clients))
    count = each * BY_64.clients

    def measure(kind: str) -> float:
        clients = [transfer(it, each) for it in range(BY_64.clients)]
        began = time.perf_counter()
        converse(pair.port(kind), clients, connections=STM_CONNECTIONS)
        return count / (time.perf_counter() - began)

    return pair.rate("stm", "read and put if unchanged", str(BY_64), count, measure)


def run_watch(plan: Plan) -> list[Row]:
    """Events a second to watchers of a key that many watch, on one member."""
    scale = min(1.0, plan.scale)
    counts = {
        "watchers": max(1, int(WATCHERS * scale)),
        "hot": max(1, int(HOT_WATCHERS * scale)),
        "puts": max(20, int(HOT_PUTS * scale)),
    }
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(plan.rounds):
        for kind in KINDS:
            plan.say(f"watch, round {turn + 1}/{plan.rounds}: {kind}")
            found[kind].append(watches.measure(kind, **counts).events_per_s)
    load = f"{counts['hot']:,} of {counts['watchers']:,} watchers"
    return [
        Row(
            row="watch",
            what="events of one key",
            members=1,
            load=load,
            unit=RATE,
            roost=rounded(found["roost"]),
            etcd=rounded(found["etcd"]),
        )
    ]


def run_table(plan: Plan, wanted: frozenset[str], sizes: tuple[int, ...]) -> Iterator[Row]:
    """The wanted rows of the table, and of `stm`, on clusters of these sizes."""
    for size in sizes:
        for is_tls in (False, True):
            chosen = [
                it
                for it in WORKLOADS
                if it.row in wanted and size in it.members and it.is_tls is is_tls
            ]
            has_stm = "stm" in wanted and size == 3 and not is_tls
            if not chosen and not has_stm:
                continue
            with Pair(size, plan, is_tls=is_tls) as pair:
                for workload in chosen:
                    for load in workload.loads:
                        yield run_workload(pair, workload, load)
                if has_stm:
                    yield run_stm(pair)
