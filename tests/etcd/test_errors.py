"""What clients are told of errors: etcd's words, wherever the error was met."""

import pytest

from roost.call import Code
from roost.errors import (
    AnswerFailed,
    ModelRefused,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
    ShortOfMemory,
    Stopped,
)
from roost.etcd import errors as etcd_errors
from roost.etcd.errors import status_of, watch_refusal
from roost.member import errors
from roost.member.pipeline import forwarded

LEAVES = [
    it
    for it in vars(errors).values()
    if isinstance(it, type) and issubclass(it, Refused | OutcomeUnknown)
]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda it: it.__name__)
def test_every_refusal_of_a_member_has_words_of_its_own(leaf: type[RoostError]) -> None:
    assert leaf in etcd_errors._STATUSES
    code, text = status_of(leaf("why"))
    assert Code(code) is not Code.OK
    assert text


@pytest.mark.parametrize(
    "error",
    [
        *(leaf("why it is {so}") for leaf in LEAVES),
        Overloaded("many"),
        ModelRefused(11, "etcdserver: mvcc: required revision has been compacted"),
        etcd_errors.session_expired(),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_member_that_forwards_says_what_the_leader_would_have_said(error: RoostError) -> None:
    frame = b"".join([forwarded.encode_applied(1), *forwarded.encode_answer(7, error)])
    _, [(_, decoded)] = forwarded.decode_answers(frame)
    assert isinstance(decoded, RoostError)
    assert status_of(decoded) == status_of(error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Stopped("it ends"), (14, "etcdserver: server stopped")),
        (NoLeader("nobody"), (14, "etcdserver: no leader")),
        (NotLeader("another"), (14, "etcdserver: leader changed")),
        (Overloaded("full"), (8, "etcdserver: too many requests")),
        (ShortOfMemory("a limit"), (8, "etcdserver: too little memory is left: a limit")),
        (OutcomeUnknown("lost"), (14, "etcdserver: request timed out")),
        (AnswerFailed("internal error"), (13, "internal error")),
        (errors.LeadershipLost("x"), (14, "etcdserver: leader changed")),
        (errors.OperationFailed("etcd.put: internal error"), (13, "etcd.put: internal error")),
        (errors.ChangeNotTaken("not now"), (9, "etcdserver: not now")),
        (errors.SnapshotFailed("the disk is full"), (14, "the disk is full")),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_a_client_is_told_of_an_outcome(error: RoostError, status: tuple[int, str]) -> None:
    assert status_of(error) == status


def test_what_nobody_foresaw_is_a_lack_of_memory_or_a_bug() -> None:
    text = "etcdserver: too little memory is left: an allocation has failed"
    assert etcd_errors.status_of_fault(MemoryError()) == (8, text)
    assert etcd_errors.status_of_fault(ValueError("a bug")) == (13, "internal error")


def test_a_watch_is_told_a_refusal_as_go_prints_it_and_ends_with_anything_else() -> None:
    said = watch_refusal(etcd_errors.permission_denied())
    assert said == "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    assert said == etcd_errors.WATCH_DENIED
    assert watch_refusal(NoLeader("nobody")) is None
    assert Code.OK.go_name == "OK"
    assert Code.CANCELLED.go_name == "Canceled"
