"""The same random requests to Roost's services and to real etcd: equal answers, field by field."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from roost import etcd
from roost.call import Unary
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from roost.testing.cluster import Cluster
from tests.etcd.replica import Answer, LocalReplica
from tests.integration.etcdctl import binary

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
KEYS = [b"a", b"ab", b"b", b"b\0", b"c", b"d\xff", b"e"]
REQUESTS = 3000
SORT_ORDERS = [pb.RangeRequest.NONE, pb.RangeRequest.ASCEND, pb.RangeRequest.DESCEND]
RESULTS = [pb.Compare.EQUAL, pb.Compare.GREATER, pb.Compare.LESS, pb.Compare.NOT_EQUAL]
TARGETS = [
    pb.Compare.VERSION,
    pb.Compare.CREATE,
    pb.Compare.MOD,
    pb.Compare.VALUE,
    pb.Compare.LEASE,
]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    root = tmp_path_factory.mktemp("etcd")
    with Cluster(root, 1, command=(binary("etcd"), "--log-level=error")) as cluster:
        cluster.leader()
        with grpc.insecure_channel(cluster.endpoints[0]) as channel:
            yield channel


class Generator:
    """Requests that are likely to hit something, and sometimes wrong on purpose."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.revision = 1

    def maybe(self, odds: float = 0.3) -> bool:
        return self.dice.random() < odds

    def key(self) -> bytes:
        return b"" if self.maybe(0.02) else self.dice.choice(KEYS)

    def range_end(self, odds: float = 0.5) -> bytes:
        if not self.maybe(odds):
            return b""
        return self.dice.choice([b"\0", b"c", b"z", b"b", b"e\0"])

    def some_revision(self) -> int:
        return max(0, self.revision - self.dice.randrange(12) + (2 if self.maybe(0.05) else 0))

    def range(self) -> pb.RangeRequest:
        request = pb.RangeRequest(
            key=self.key(),
            range_end=self.range_end(0.7),
            serializable=self.maybe(),
            keys_only=self.maybe(0.2),
            count_only=self.maybe(0.15),
        )
        if self.maybe():
            request.limit = self.dice.randrange(4)
        if self.maybe():
            request.revision = self.some_revision()
        if self.maybe():
            request.sort_order = self.dice.choice(SORT_ORDERS)
            # Only keys never tie, and etcd's sort is not stable; `test_etcdctl` has the others.
            request.sort_target = pb.RangeRequest.KEY
        if self.maybe(0.15):
            request.min_mod_revision = self.some_revision()
        if self.maybe(0.15):
            request.max_mod_revision = self.some_revision()
        if self.maybe(0.1):
            request.min_create_revision = self.some_revision()
        if self.maybe(0.1):
            request.max_create_revision = self.some_revision()
        return request

    def put(self) -> pb.PutRequest:
        return pb.PutRequest(
            key=self.key(),
            value=self.dice.randbytes(self.dice.randrange(6)),
            prev_kv=self.maybe(),
            ignore_value=self.maybe(0.1),
            ignore_lease=self.maybe(0.1),
            lease=77 if self.maybe(0.03) else 0,
        )

    def delete(self) -> pb.DeleteRangeRequest:
        return pb.DeleteRangeRequest(
            key=self.key(), range_end=self.range_end(0.2), prev_kv=self.maybe()
        )

    def compare(self) -> pb.Compare:
        compare = pb.Compare(key=self.key(), range_end=self.range_end(0.2))
        compare.result = self.dice.choice(RESULTS)
        compare.target = self.dice.choice(TARGETS)
        match compare.target:
            case pb.Compare.VERSION:
                compare.version = self.dice.randrange(4)
            case pb.Compare.CREATE:
                compare.create_revision = self.some_revision()
            case pb.Compare.MOD:
                compare.mod_revision = self.some_revision()
            case pb.Compare.VALUE:
                compare.value = self.dice.randbytes(self.dice.randrange(2))
            case _:
                compare.lease = self.dice.randrange(2)
        return compare

    def operation(self, depth: int) -> pb.RequestOp:
        what = self.dice.random()
        if what < 0.35:
            return pb.RequestOp(request_range=self.range())
        if what < 0.75:
            return pb.RequestOp(request_put=self.put())
        if what < 0.9 or depth == 0:
            return pb.RequestOp(request_delete_range=self.delete())
        return pb.RequestOp(request_txn=self.txn(depth - 1))

    def txn(self, depth: int = 2) -> pb.TxnRequest:
        return pb.TxnRequest(
            compare=[self.compare() for _ in range(self.dice.randrange(3))],
            success=[self.operation(depth) for _ in range(self.dice.randrange(4))],
            failure=[self.operation(depth) for _ in range(self.dice.randrange(4))],
        )

    def request(self) -> tuple[str, Any, Any]:
        what = self.dice.random()
        if what < 0.35:
            return "Range", self.range(), pb.RangeResponse
        if what < 0.6:
            return "Put", self.put(), pb.PutResponse
        if what < 0.7:
            return "DeleteRange", self.delete(), pb.DeleteRangeResponse
        if what < 0.98:
            return "Txn", self.txn(), pb.TxnResponse
        return "Compact", pb.CompactionRequest(revision=self.some_revision()), pb.CompactionResponse


def masked(message: Any) -> str:  # Any: one of four answers
    """Everything but what names the cluster, the member and the term."""
    message.header.cluster_id = message.header.member_id = message.header.raft_term = 0
    return str(message)


def ask_etcd(channel: grpc.Channel, name: str, request: Any, kind: Any) -> str:
    method: Callable[..., bytes] = channel.unary_unary(f"/etcdserverpb.KV/{name}")
    try:
        return masked(kind.FromString(method(request.SerializeToString(), timeout=10)))
    except grpc.RpcError as error:
        return f"{error.code().value[0]} {error.details()}"


def test_random_requests_are_answered_as_etcd_answers_them(oracle: grpc.Channel) -> None:
    async def story() -> None:
        replica = LocalReplica()
        services = etcd.Services(replica, replica.store)
        routes = services.routes()
        generator = Generator(20_261_121)
        try:
            for number in range(REQUESTS):
                name, request, kind = generator.request()
                expected = ask_etcd(oracle, name, request, kind)
                answer = Answer()
                route = routes[f"/etcdserverpb.KV/{name}".encode()]
                assert isinstance(route, Unary)
                route.handle(answer, request.SerializeToString())
                await until_idle()  # it may be a long read
                if answer.error is not None:
                    found = f"{answer.error[0]} {answer.error[1]}"
                else:
                    found = masked(kind.FromString(answer.message))
                assert found == expected, f"request {number}: {name}\n{request}"
                generator.revision = services.revision()
        finally:
            replica.close()
        assert generator.revision > 500

    run_virtually(story())
