"""The Maintenance service: what a member says of itself, and hashes that say who differs."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from roost import etcd
from roost.call import Unary
from roost.database.events import AlarmCleared, AlarmRaised
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.replica import Answer, LocalReplica


class Desk:
    """The services of a replica of one."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.routes = etcd.Services(self.replica, self.replica.store).routes()

    def ask(self, path: str, request: Message) -> Answer:
        route = self.routes[f"/etcdserverpb.{path}".encode()]
        assert isinstance(route, Unary)
        answer = Answer()

        async def main() -> None:
            route.handle(answer, request.SerializeToString())
            await until_idle()

        run_virtually(main())
        return answer

    def put(self, key: bytes, value: bytes) -> None:
        assert self.ask("KV/Put", pb.PutRequest(key=key, value=value)).error is None

    def hash_kv(self, revision: int = 0) -> pb.HashKVResponse:
        answer = self.ask("Maintenance/HashKV", pb.HashKVRequest(revision=revision))
        assert answer.error is None, answer.error
        return pb.HashKVResponse.FromString(answer.message or b"")

    def status(self) -> pb.StatusResponse:
        answer = self.ask("Maintenance/Status", pb.StatusRequest())
        return pb.StatusResponse.FromString(answer.message or b"")


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.replica.close()


def test_a_member_says_whom_it_follows_how_far_it_is_and_what_is_wrong(desk: Desk) -> None:
    said = desk.status()
    assert (said.leader, said.raftTerm, said.raftIndex, said.raftAppliedIndex) == (1, 2, 3, 3)
    assert (said.dbSize, said.dbSizeInUse, list(said.errors)) == (4, 4, [])
    raised = pb.AlarmRequest(action="ACTIVATE", memberID=1, alarm="NOSPACE")
    assert desk.ask("Maintenance/Alarm", raised).error is None
    assert list(desk.status().errors) == ["memberID:1 alarm:NOSPACE "]
    ended = pb.AlarmRequest(action="DEACTIVATE", memberID=1, alarm="NOSPACE")
    assert desk.ask("Maintenance/Alarm", ended).error is None
    assert desk.replica.told == [AlarmRaised(1, "NOSPACE"), AlarmCleared(1, "NOSPACE")]


def test_equal_keys_have_equal_hashes_and_others_have_not(desk: Desk) -> None:
    other = Desk()
    for it in (desk, other):
        it.put(b"a", b"1")
    assert desk.hash_kv().hash == other.hash_kv().hash
    other.put(b"a", b"2")
    assert desk.hash_kv().hash != other.hash_kv().hash
    assert desk.hash_kv(2).hash == other.hash_kv(2).hash, "as of the same revision"
    other.replica.close()


def test_a_hash_of_what_is_compacted_or_not_yet_there_is_refused(desk: Desk) -> None:
    for value in (b"1", b"2", b"3"):
        desk.put(b"a", value)
    assert desk.ask("KV/Compact", pb.CompactionRequest(revision=3)).error is None
    assert desk.hash_kv().compact_revision == 3
    for revision, words in ((3, "compacted"), (9, "future revision")):
        refused = desk.ask("Maintenance/HashKV", pb.HashKVRequest(revision=revision)).error
        assert refused is not None
        assert words in refused[1]


def test_a_hash_is_of_the_state_and_not_of_when_it_was_made(desk: Desk) -> None:
    answers = [desk.ask("Maintenance/Hash", pb.HashRequest()).message for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_defragmentation_is_answered(desk: Desk) -> None:
    assert desk.ask("Maintenance/Defragment", pb.DefragmentRequest()).error is None
