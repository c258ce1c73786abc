"""Three real members and two clients: who asks for much delays no other by all that it asks."""

import statistics
from collections.abc import Iterator
from threading import Event, Lock

import grpc
import pytest

from roost.proto import rpc_pb2 as pb
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
RANGE, TXN = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"
OUTSTANDING, ASKED = 200, 15
# A range of so many takes a few turns of the loop by itself.
KEYS, OPERATIONS = 1500, 100
ALL_KEYS = pb.RangeRequest(key=b"k", range_end=b"l", keys_only=True).SerializeToString()


class Greedy:
    """Has OUTSTANDING ranges under way on one connection, another as soon as one is answered."""

    def __init__(self, endpoint: str) -> None:
        self.channel = own_connection(endpoint)
        self._range = self.channel.unary_unary(RANGE)
        self._lock = Lock()
        self._is_over = False
        self.answered = self._under_way = 0
        self.errors: list[str] = []
        self.is_busy, self.has_ended = Event(), Event()
        for _ in range(OUTSTANDING):
            self._ask()

    def _ask(self) -> None:
        with self._lock:
            if self._is_over:
                if not self._under_way:
                    self.has_ended.set()
                return
            self._under_way += 1
        self._range.future(ALL_KEYS, timeout=PATIENCE_S).add_done_callback(self._on_answer)

    def _on_answer(self, call: grpc.Future) -> None:
        if call.code() is not grpc.StatusCode.OK:
            self.errors.append(call.details())
        with self._lock:
            self.answered += 1
            self._under_way -= 1
        if self.answered >= OUTSTANDING // 4:
            self.is_busy.set()
        self._ask()

    def stop(self) -> None:
        """Ask no more, and wait for what is under way."""
        with self._lock:
            self._is_over = True
        assert self.has_ended.wait(PATIENCE_S)
        self.channel.close()


def own_connection(endpoint: str) -> grpc.Channel:
    """One that is shared with nobody."""
    return grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with KEYS keys."""
    with Cluster(tmp_path_factory.mktemp("fairness"), 3) as made:
        with own_connection(made.endpoints[made.leader()]) as channel:
            write = channel.unary_unary(TXN)
            for begin in range(0, KEYS, OPERATIONS):
                puts = [
                    pb.RequestOp(request_put=pb.PutRequest(key=b"k%05d" % number))
                    for number in range(begin, begin + OPERATIONS)
                ]
                write(pb.TxnRequest(success=puts).SerializeToString(), timeout=PATIENCE_S)
        yield made


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_who_asks_for_one_thing_at_a_time_does_not_wait_for_all_that_another_has_asked(
    cluster: Cluster, where: str
) -> None:
    """In the order of coming it would wait for OUTSTANDING answers of the other, each time."""
    position = (cluster.leader() + (where == "follower")) % 3
    greedy = Greedy(cluster.endpoints[position])
    with own_connection(cluster.endpoints[position]) as channel:
        read = channel.unary_unary(RANGE)
        assert greedy.is_busy.wait(PATIENCE_S)
        waited: list[int] = []
        for _ in range(ASKED):
            before = greedy.answered
            found = pb.RangeResponse.FromString(read(ALL_KEYS, timeout=PATIENCE_S))
            waited.append(greedy.answered - before)
            assert len(found.kvs) == KEYS
    greedy.stop()
    assert greedy.errors == []
    assert statistics.median(waited) < OUTSTANDING // 4, waited
