"""What is answered to a request that writes has a bound, however it is asked for."""

from collections.abc import Iterator

import pytest

from roost.errors import ModelRefused
from roost.etcd.model import kv
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.costs import INLINE_ROWS_MAX, SLICE_ROWS
from roost.etcd.model.kv import KvOperations
from roost.etcd.model.mvcc import Mvcc
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb
from roost.store import Long
from tests.etcd.replica import LocalReplica
from tests.steps import slices_of

BYTES_MAX = 400_000
ALL = pb.RangeRequest(key=b"k", range_end=b"l")
BY_VALUE = pb.RangeRequest(
    key=b"k", range_end=b"l", sort_target=pb.RangeRequest.VALUE, sort_order=pb.RangeRequest.DESCEND
)
PUT = pb.RequestOp(request_put=pb.PutRequest(key=b"x"))
KEYS = pb.DeleteRangeRequest(key=b"k", range_end=b"l", prev_kv=True)


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    it = LocalReplica()
    operations = KvOperations(Mvcc(it.store), Alarms(it.store), answer_bytes_max=BYTES_MAX)
    it.register("put", operations.put)
    it.register("txn", operations.txn)
    it.register("delete", operations.delete_range)
    yield it
    it.close()


def fill(replica: LocalReplica, count: int, value_bytes: int) -> None:
    for number in range(count):
        put = pb.PutRequest(key=b"k%05d" % number, value=bytes(value_bytes))
        ask(replica, "put", put)


def ask(
    replica: LocalReplica, name: str, request: pb.PutRequest | pb.TxnRequest | pb.DeleteRangeRequest
) -> Outcome:
    heard: list[Outcome] = []
    replica.transact_nowait(name, request.SerializeToString(), heard.append)
    (outcome,) = heard
    return outcome


def nested(step: pb.RequestOp, depth: int) -> pb.RequestOp:
    for _ in range(depth):
        step = pb.RequestOp(request_txn=pb.TxnRequest(success=[step]))
    return step


@pytest.mark.parametrize("count", [20, INLINE_ROWS_MAX + 1])
@pytest.mark.parametrize("asked", [ALL, BY_VALUE])
def test_a_transaction_that_reads_more_than_can_be_answered_does_nothing(
    replica: LocalReplica, count: int, asked: pb.RangeRequest
) -> None:
    """A megabyte of requests could ask for a terabyte: the leader's memory grew until it ended."""
    fill(replica, count, BYTES_MAX // count // 3)
    mvcc = Mvcc(replica.store)
    before = mvcc.revision(replica.view)
    step = pb.RequestOp(request_range=asked)
    small = ask(replica, "txn", pb.TxnRequest(success=[nested(step, 30)]))
    assert isinstance(small, bytes)
    outcome = ask(replica, "txn", pb.TxnRequest(success=[PUT, nested(step, 2), step, step, step]))
    assert isinstance(outcome, ModelRefused)
    assert "the answer is too large" in outcome.text
    assert mvcc.revision(replica.view) == before
    assert not replica.view.has(mvcc.kv, b"x")


@pytest.mark.parametrize("count", [20, INLINE_ROWS_MAX + 1])
@pytest.mark.parametrize("is_alone", [True, False])
def test_so_does_one_that_deletes_more_than_can_be_told(
    replica: LocalReplica, count: int, *, is_alone: bool
) -> None:
    fill(replica, count, 2 * BYTES_MAX // count)
    delete = pb.RequestOp(request_delete_range=KEYS)
    if is_alone:
        outcome = ask(replica, "delete", KEYS)
    else:
        outcome = ask(replica, "txn", pb.TxnRequest(success=[PUT, delete]))
    assert isinstance(outcome, ModelRefused)
    assert replica.view.count(Mvcc(replica.store).kv) == count
    silent = pb.DeleteRangeRequest(key=b"k", range_end=b"l")
    assert isinstance(ask(replica, "delete", silent), bytes)


def test_few_rows_of_many_bytes_take_many_turns(replica: LocalReplica) -> None:
    """Two hundred values of a megabyte were one step."""
    fill(replica, 3, 200 << 10)
    step = pb.RequestOp(request_range=ALL)
    body = pb.TxnRequest(success=[PUT, step]).SerializeToString()
    assert not isinstance(replica._operations["txn"](replica.store.begin(), body), bytes)
    counted = pb.RequestOp(request_range=pb.RangeRequest(key=b"k", range_end=b"l", count_only=True))
    body = pb.TxnRequest(success=[PUT, counted]).SerializeToString()
    assert isinstance(replica._operations["txn"](replica.store.begin(), body), bytes)


def test_what_is_read_at_once_is_noted_for_who_runs_it(replica: LocalReplica) -> None:
    fill(replica, 100, 8 << 10)
    txn = replica.store.begin()
    asked = pb.RangeRequest(key=b"k", range_end=b"k00020")
    body = pb.TxnRequest(success=[PUT, pb.RequestOp(request_range=asked)])
    assert isinstance(replica._operations["txn"](txn, body.SerializeToString()), bytes)
    assert txn.cost > 40


def test_a_transaction_that_looks_at_too_much_is_given_up_and_does_nothing(
    replica: LocalReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a megabyte of comparisons with all keys took hours, in which nobody could write."""
    fill(replica, 300, 1)
    compare = pb.Compare(key=b"k", range_end=b"l", target=pb.Compare.VERSION, version=1)
    asked = pb.TxnRequest(compare=[compare] * 3, success=[PUT])
    monkeypatch.setattr(kv, "TXN_COST_MAX", 3000)
    outcome = ask(replica, "txn", asked)
    assert isinstance(outcome, ModelRefused)
    assert "looks at too many keys" in outcome.text
    assert not replica.view.has(Mvcc(replica.store).kv, b"x")
    monkeypatch.setattr(kv, "TXN_COST_MAX", 5000)
    assert isinstance(ask(replica, "txn", asked), bytes)
    assert replica.view.has(Mvcc(replica.store).kv, b"x")


def test_no_step_of_a_transaction_of_many_operations_is_long(replica: LocalReplica) -> None:
    """Issue 14: what thousands of operations need was looked up in one step, before the first."""
    ask(replica, "put", pb.PutRequest(key=b"k", value=b"v"))
    puts = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"k%d" % it, prev_kv=True)) for it in range(3000)
    ]
    puts += [pb.RequestOp(request_put=pb.PutRequest(key=b"k", ignore_value=True))] * 2000
    inner = pb.TxnRequest(success=puts)
    body = pb.TxnRequest(success=[nested(pb.RequestOp(request_txn=inner), 40)]).SerializeToString()
    operations = KvOperations(Mvcc(replica.store), Alarms(replica.store))
    long = operations.txn(replica.store.begin(), body)
    assert isinstance(long, Long)
    counts, answer = slices_of(long.run(replica.store.begin()))
    assert len(counts) > 2 * 5000 // SLICE_ROWS
    assert max(counts) < 100 * SLICE_ROWS
    assert len(answer) > 5000
