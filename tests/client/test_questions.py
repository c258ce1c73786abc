"""What may be asked twice: what changes nothing, or nothing more; and nothing else."""

import pytest
from google.protobuf.message import Message

from roost.client.questions import is_question
from roost.proto import rpc_pb2 as pb

READ = pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))
WRITE = pb.RequestOp(request_put=pb.PutRequest(key=b"k"))
DELETE = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"k"))
TXN = "/etcdserverpb.KV/Txn"
ALARM = "/etcdserverpb.Maintenance/Alarm"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pb.TxnRequest(), True),
        (pb.TxnRequest(success=[READ], failure=[READ]), True),
        (pb.TxnRequest(success=[READ, WRITE]), False),
        (pb.TxnRequest(failure=[DELETE]), False),
        (pb.TxnRequest(success=[pb.RequestOp(request_txn=pb.TxnRequest())]), False),
    ],
)
def test_a_transaction_is_a_question_when_neither_branch_writes(
    request_: pb.TxnRequest, *, expected: bool
) -> None:
    """One within another is not looked into, and taken for a change."""
    assert is_question(TXN, request_) is expected


@pytest.mark.parametrize("action", pb.AlarmRequest.AlarmAction.values())
def test_alarms_are_asked_for_or_changed(action: int) -> None:
    request = pb.AlarmRequest(action=action)  # type: ignore[arg-type]  # one that there is
    assert is_question(ALARM, request) == (action == pb.AlarmRequest.GET)


CHANGES: list[tuple[str, Message]] = [
    ("KV/Put", pb.PutRequest()),
    ("KV/DeleteRange", pb.DeleteRangeRequest()),
    ("KV/Compact", pb.CompactionRequest()),
    ("Lease/LeaseGrant", pb.LeaseGrantRequest()),
    ("Lease/LeaseRevoke", pb.LeaseRevokeRequest()),
    ("Cluster/MemberAdd", pb.MemberAddRequest()),
    ("Cluster/MemberRemove", pb.MemberRemoveRequest()),
    ("Auth/UserAdd", pb.AuthUserAddRequest()),
    ("Auth/AuthEnable", pb.AuthEnableRequest()),
    ("Maintenance/MoveLeader", pb.MoveLeaderRequest()),
    ("Maintenance/Defragment", pb.DefragmentRequest()),
]


@pytest.mark.parametrize(("name", "request_"), CHANGES, ids=[it for it, _ in CHANGES])
def test_what_changes_something_is_no_question(name: str, request_: Message) -> None:
    assert not is_question(f"/etcdserverpb.{name}", request_)


def test_a_range_is_a_question_and_what_nobody_knows_is_none() -> None:
    assert is_question("/etcdserverpb.KV/Range", pb.RangeRequest())
    assert not is_question("/etcdserverpb.KV/Invented", pb.RangeRequest())
