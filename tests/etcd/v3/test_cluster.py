"""The Cluster service: who the members are, and whom leadership goes to."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from roost import etcd
from roost.call import Unary
from roost.errors import CallerFault
from roost.etcd.limits import PEER_URL_CHARS_MAX, PEER_URLS_MAX
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


@pytest.mark.parametrize("method", ["MemberAdd", "MemberUpdate", "MemberReplace"])
@pytest.mark.parametrize("kind", ["many", "long", "enough"])
def test_a_member_has_so_many_urls_and_no_more(replica: Choosy, method: str, kind: str) -> None:
    """Sixty thousand, which a request has room for, kept the leader for 0.4 s."""
    urls = {
        "many": ["http://a:1"] * (PEER_URLS_MAX + 1),
        "long": ["http://" + "a" * PEER_URL_CHARS_MAX],
        "enough": ["http://a:1"] * PEER_URLS_MAX,
    }[kind]
    made = pb.MemberAddRequest(peerURLs=urls)
    request = made if method == "MemberAdd" else pb.MemberUpdateRequest(ID=1, peerURLs=urls)
    routes = etcd.Services(replica, replica.store).routes()
    [route] = [it for path, it in routes.items() if path.endswith(f"Cluster/{method}".encode())]
    assert isinstance(route, Unary)
    answer = Answer()
    route.handle(answer, request.SerializeToString())
    code, text = answer.error or (0, "")
    is_refused_here = kind != "enough"
    assert ("a member has at most 16, of 1024 characters each" in text) is is_refused_here
    assert code == (3 if is_refused_here else 12), "a replica of one has no such operation"
