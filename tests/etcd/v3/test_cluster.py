"""The Cluster service: who the members are, and whom leadership goes to."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from roost import etcd
from roost.call import Unary
from roost.errors import CallerFault
from roost.outcome import ReadDone
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import Answer, LocalReplica


class Choosy(LocalReplica):
    """Lets nobody lead but member 2."""

    def transfer_leadership(self, target: int, done: ReadDone) -> None:
        if target != 2:
            raise CallerFault("it is no other voter")
        done(None)


@pytest.fixture
def replica() -> Iterator[Choosy]:
    made = Choosy()
    yield made
    made.close()


def ask(replica: LocalReplica, path: str, request: Message) -> Answer:
    route = etcd.Services(replica, replica.store).routes()[f"/etcdserverpb.{path}".encode()]
    assert isinstance(route, Unary)
    answer = Answer()
    route.handle(answer, request.SerializeToString())
    return answer


@pytest.mark.parametrize("linearizable", [False, True])
def test_members_are_listed_with_who_answers(replica: Choosy, *, linearizable: bool) -> None:
    request = pb.MemberListRequest(linearizable=linearizable)
    said = pb.MemberListResponse.FromString(
        ask(replica, "Cluster/MemberList", request).message or b""
    )
    header = said.header
    assert (header.cluster_id, header.member_id, header.raft_term) == (2, 1, 2)
    [member] = said.members
    assert (member.ID, member.name, list(member.peerURLs)) == (1, "m", ["http://peer"])
    assert not member.isLearner


def test_leadership_goes_to_another_voter_and_the_answer_has_no_header(replica: Choosy) -> None:
    answer = ask(replica, "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=2))
    assert answer.message == b""
    assert ask(replica, "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=1)).error is None
    refused = ask(replica, "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=9)).error
    assert refused == (9, "etcdserver: bad leader transferee")


def test_only_the_leader_is_asked_to_go(replica: Choosy) -> None:
    replica.leader_id = 2
    refused = ask(replica, "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=2)).error
    assert refused == (9, "etcdserver: not leader")


def test_what_is_no_request_is_refused_in_grpcs_words(replica: Choosy) -> None:
    route = etcd.Services(replica, replica.store).routes()[b"/etcdserverpb.Cluster/MemberAdd"]
    assert isinstance(route, Unary)
    answer = Answer()
    route.handle(answer, b"\xff\xff")
    assert answer.error is not None
    assert answer.message is None
