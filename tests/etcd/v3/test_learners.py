"""A learner answers what etcd's answers, and refuses the rest in etcd's words."""

from collections.abc import Iterator

import pytest

from roost import etcd
from roost.call import Route, Unary
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import REQUESTS, WANTED, StreamAnswer, short
from tests.etcd.replica import Answer, LocalReplica

NOT_SUPPORTED = (14, "etcdserver: rpc not supported for learner")


class Learner(LocalReplica):
    @property
    def is_learner(self) -> bool:
        return True


@pytest.fixture
def routes() -> Iterator[dict[bytes, Route]]:
    replica = Learner()
    yield etcd.Services(replica, replica.store).routes()
    replica.close()


def call(routes: dict[bytes, Route], method: str, body: bytes) -> tuple[int, str] | None:
    """How a call was refused; None when it was not."""
    [route] = [it for path, it in routes.items() if short(path) == method]
    if isinstance(route, Unary):
        answer = Answer()
        route.handle(answer, body)
        return answer.error
    stream = StreamAnswer("")

    async def talk() -> None:
        handler = route.open(stream)
        handler.on_message(body)
        await until_idle()
        handler.on_cancel()
        await until_idle()

    run_virtually(talk())
    return stream.finished


@pytest.mark.parametrize("method", WANTED)
def test_a_learner_serves_its_own_state_and_refuses_the_rest(
    routes: dict[bytes, Route], method: str
) -> None:
    request = REQUESTS.get(method)
    refused = call(routes, method, request.SerializeToString() if request else b"")
    is_served = method in ("Maintenance/Status", "Maintenance/Snapshot", "Maintenance/Since")
    assert (refused != NOT_SUPPORTED) is is_served


def test_a_learner_serves_ranges_that_need_no_quorum(routes: dict[bytes, Route]) -> None:
    local = pb.RangeRequest(key=b"k", serializable=True)
    assert call(routes, "KV/Range", local.SerializeToString()) is None
    for request in (pb.RangeRequest(key=b"k"), pb.RangeRequest(key=b"k", range_end=b"l")):
        assert call(routes, "KV/Range", request.SerializeToString()) == NOT_SUPPORTED
    txn = pb.TxnRequest(success=[pb.RequestOp(request_range=local)])
    assert call(routes, "KV/Txn", txn.SerializeToString()) == NOT_SUPPORTED
