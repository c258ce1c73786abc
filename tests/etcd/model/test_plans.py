"""What a transaction is going to do is decided by the state before it, at every depth."""

from collections.abc import Iterator

import pytest

from roost.errors import ModelRefused
from roost.etcd.errors import status_of
from roost.etcd.model.costs import at_once
from roost.etcd.model.plans import Plan, check_revisions, operations_of, plan_of
from roost.proto import rpc_pb2 as pb
from tests.etcd.v3.test_watch import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.replica.close()


def put(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key))


def is_there(key: bytes) -> pb.Compare:
    return pb.Compare(key=key, target=pb.Compare.VERSION, result=pb.Compare.GREATER, version=0)


def within(*compares: pb.Compare, success: bytes, failure: bytes) -> pb.RequestOp:
    inner = pb.TxnRequest(compare=compares, success=[put(success)], failure=[put(failure)])
    return pb.RequestOp(request_txn=inner)


def plan(world: World, request: pb.TxnRequest) -> Plan:
    desk = world.services.watches.desk
    return at_once(plan_of(desk.mvcc, desk.replica.view, request))


def keys(made: Plan) -> list[bytes]:
    return [it.request_put.key for it in operations_of(made)]


def test_a_nested_comparison_never_sees_what_its_transaction_writes(world: World) -> None:
    """etcd: compareToPath; else who reads first would depend on the order of the steps."""
    request = pb.TxnRequest(
        success=[put(b"new"), within(is_there(b"new"), success=b"yes", failure=b"no")]
    )
    assert keys(plan(world, request)) == [b"new", b"no"]
    world.put(b"new")
    assert keys(plan(world, request)) == [b"new", b"yes"]


def test_only_the_branch_that_is_taken_is_looked_at(world: World) -> None:
    request = pb.TxnRequest(
        compare=[is_there(b"k")],
        success=[put(b"a")],
        failure=[within(success=b"b", failure=b"c"), put(b"d")],
    )
    made = plan(world, request)
    assert (made.succeeded, keys(made)) == (False, [b"b", b"d"])
    inner = made.steps[0]
    assert isinstance(inner, Plan)
    assert inner.succeeded, "who compares nothing succeeds"


def test_operations_come_in_order_from_every_depth(world: World) -> None:
    step = put(b"0")
    for depth in range(1, 5):
        inner = pb.TxnRequest(success=[put(b"before-%d" % depth), step, put(b"after-%d" % depth)])
        step = pb.RequestOp(request_txn=inner)
    found = keys(plan(world, step.request_txn))
    before = [b"before-%d" % it for it in (4, 3, 2, 1)]
    assert found == [*before, b"0", *(b"after-%d" % it for it in (1, 2, 3, 4))]


def test_ranges_at_revisions_that_are_gone_or_yet_to_come_are_refused(world: World) -> None:
    for _ in range(5):
        world.put(b"k")
    world.compact(4)
    desk = world.services.watches.desk

    def said(*revisions: int) -> str:
        ranges = [pb.RangeRequest(key=b"k", revision=it) for it in revisions]
        operations = [pb.RequestOp(request_range=it) for it in ranges]
        try:
            at_once(check_revisions(desk.mvcc, desk.replica.view, [put(b"k"), *operations]))
        except ModelRefused as refusal:
            return status_of(refusal).text
        return ""

    assert said() == said(0) == said(4) == said(6) == ""
    assert said(3) == "etcdserver: mvcc: required revision has been compacted"
    assert said(7) == "etcdserver: mvcc: required revision is a future revision"
    assert said(6, 7) != "", "one is enough"
