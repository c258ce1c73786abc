"""Alarms: what is refused while one is raised, and who raises and takes back which."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from roost.call import Gathered, Sending, Unary
from roost.etcd import Services
from roost.etcd.model import alarms
from roost.etcd.model.alarms import CORRUPT, LOST_ENTRIES, NOSPACE
from roost.flow import OWN, Flow
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import LocalReplica


@dataclass
class Answer:
    message: bytes = b""
    code: int = 0
    text: str = ""
    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN

    @property
    def is_over(self) -> bool:
        return bool(self.message or self.code)

    def reply_in_parts(self, size: int) -> Sending:
        return Gathered(size, self.reply)

    def reply(self, message: bytes) -> None:
        self.message = message

    def fail(self, code: int, text: str) -> None:
        self.code, self.text = code, text


class Server:
    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.services = Services(self.replica, self.replica.store)
        self.routes = self.services.routes()

    def call(self, path: str, request: object) -> Answer:
        route = self.routes[b"/etcdserverpb." + path.encode()]
        assert isinstance(route, Unary)
        answer = Answer()
        route.handle(answer, request.SerializeToString())  # type: ignore[attr-defined]  # any of pb
        for work in self.replica.deferred:
            work()
        self.replica.deferred.clear()
        return answer

    def change(self, action: int, kind: int, member_id: int = 1) -> Answer:
        request = pb.AlarmRequest(action=action, memberID=member_id, alarm=kind)  # type: ignore[arg-type]  # numbers
        return self.call("Maintenance/Alarm", request)

    def listed(self, kind: int = 0) -> list[tuple[int, int]]:
        request = pb.AlarmRequest(action=pb.AlarmRequest.GET, alarm=kind)  # type: ignore[arg-type]  # numbers
        answer = self.call("Maintenance/Alarm", request)
        rows = pb.AlarmResponse.FromString(answer.message).alarms
        return [(it.memberID, it.alarm) for it in rows]


PUT = pb.PutRequest(key=b"a", value=b"1")
GET = pb.RangeRequest(key=b"a")
NESTED = pb.TxnRequest(
    success=[pb.RequestOp(request_txn=pb.TxnRequest(failure=[pb.RequestOp(request_put=PUT)]))]
)
READING = pb.TxnRequest(success=[pb.RequestOp(request_range=GET)])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    assert made.call("KV/Put", PUT).code == 0
    yield made
    made.replica.close()


def test_without_space_nothing_that_takes_space_is_written(server: Server) -> None:
    raised = server.change(pb.AlarmRequest.ACTIVATE, NOSPACE)
    assert [it.alarm for it in pb.AlarmResponse.FromString(raised.message).alarms] == [NOSPACE]
    for path, request in (("KV/Put", PUT), ("KV/Txn", NESTED)):
        refused = server.call(path, request)
        assert (refused.code, refused.text) == (8, "etcdserver: mvcc: database space exceeded")
    for path, allowed in (
        ("KV/Range", GET),
        ("KV/Txn", READING),
        ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a")),
        ("KV/Compact", pb.CompactionRequest(revision=2)),
    ):
        assert server.call(path, allowed).code == 0, path
    assert server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE).code == 0
    assert server.call("KV/Put", PUT).code == 0


def test_while_members_differ_no_key_is_read_or_written(server: Server) -> None:
    server.change(pb.AlarmRequest.ACTIVATE, CORRUPT, member_id=7)
    for path, request in (
        ("KV/Put", PUT),
        ("KV/Range", GET),
        ("KV/Txn", READING),
        ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a")),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=10)),
        ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=99)),
    ):
        refused = server.call(path, request)
        assert (refused.code, refused.text) == (15, "etcdserver: corrupt cluster"), path
    status = pb.StatusResponse.FromString(server.call("Maintenance/Status", GET).message)
    assert list(status.errors) == ["memberID:7 alarm:CORRUPT "]


def test_alarms_are_listed_by_type_and_disarmed_one_by_one(server: Server) -> None:
    server.change(pb.AlarmRequest.ACTIVATE, NOSPACE, 1)
    server.change(pb.AlarmRequest.ACTIVATE, NOSPACE, 2)
    server.change(pb.AlarmRequest.ACTIVATE, CORRUPT, 2)
    assert server.listed() == [(1, NOSPACE), (2, NOSPACE), (2, CORRUPT)]
    assert server.listed(CORRUPT) == [(2, CORRUPT)]
    server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE, 1)
    server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE, 1)
    assert server.listed() == [(2, NOSPACE), (2, CORRUPT)]
    assert server.change(9, NOSPACE).code == 3
    assert server.change(pb.AlarmRequest.ACTIVATE, 9).code == 3
    assert server.change(pb.AlarmRequest.ACTIVATE, pb.NONE).code == 0
    assert server.listed() == [(2, NOSPACE), (2, CORRUPT)]
    assert server.listed(9) == []


def test_a_client_raises_so_many_and_a_member_whatever_it_sees(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change reads all again: of a hundred thousand, each held every member for long."""
    monkeypatch.setattr(alarms, "ALARMS_MAX", 3)
    for member_id in range(1, 4):
        assert server.change(pb.AlarmRequest.ACTIVATE, LOST_ENTRIES, member_id).code == 0
    refused = server.change(pb.AlarmRequest.ACTIVATE, LOST_ENTRIES, 4)
    assert (refused.code, refused.text) == (9, "etcdserver: too many alarms: there may be 3")
    assert server.change(pb.AlarmRequest.ACTIVATE, LOST_ENTRIES, 3).code == 0
    seen = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=9, alarm=NOSPACE)
    server.replica.transact_nowait(
        alarms.ALARM_OPERATION, seen.SerializeToString(), lambda _outcome: None
    )
    assert (9, NOSPACE) in server.listed()
    server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE, 9)
    server.change(pb.AlarmRequest.DEACTIVATE, LOST_ENTRIES, 1)
    assert server.change(pb.AlarmRequest.ACTIVATE, LOST_ENTRIES, 4).code == 0
