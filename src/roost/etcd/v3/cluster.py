"""The Cluster service, and the move of leadership (etcd api: Cluster, Maintenance.MoveLeader)."""

from collections.abc import Callable, Sequence

from google.protobuf.message import Message

from roost.call import Call
from roost.database.cluster import (
    AddMember,
    MemberChange,
    MemberRecord,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
    UpdateMember,
    decode_members,
    encode_change,
    operation_of,
)
from roost.errors import CallerFault, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import somebody
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import emptily, fail, parse
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb


class ClusterService:
    """Who is in the cluster, and who leads it."""

    def __init__(self, desk: Desk) -> None:
        """Remember whom to ask."""
        self._desk = desk
        self._replica = desk.replica
        self._header = desk.header

    def list_members(self, call: Call, body: bytes) -> None:
        """MemberList; linearizable unless the caller says otherwise."""
        request = parse(call, pb.MemberListRequest, body)
        if request is None:
            return

        def answer() -> bytes:
            rows = [_member(it) for it in self._replica.members()]
            return self._headed(pb.MemberListResponse(members=rows))

        self._desk.read(call, answer, somebody, is_local=not request.linearizable)

    def add(self, call: Call, body: bytes) -> None:
        """MemberAdd."""
        request = parse(call, pb.MemberAddRequest, body)
        if request is None:
            return
        asked = AddMember(peer_urls=tuple(request.peerURLs), is_learner=request.isLearner)

        self._change(call, asked, _added)

    def replace(self, call: Call, body: bytes) -> None:
        """MemberReplace, Roost's own: a new member with these URLs in the place of one."""
        request = parse(call, pb.MemberUpdateRequest, body)
        if request is not None:
            asked = ReplaceMember(request.ID, tuple(request.peerURLs))
            self._change(call, asked, _added)

    def remove(self, call: Call, body: bytes) -> None:
        """MemberRemove."""
        request = parse(call, pb.MemberRemoveRequest, body)
        if request is not None:
            asked = RemoveMember(request.ID)
            self._change(call, asked, _answering(pb.MemberRemoveResponse))

    def update(self, call: Call, body: bytes) -> None:
        """MemberUpdate."""
        request = parse(call, pb.MemberUpdateRequest, body)
        if request is not None:
            asked = UpdateMember(request.ID, tuple(request.peerURLs))
            self._change(call, asked, _answering(pb.MemberUpdateResponse))

    def promote(self, call: Call, body: bytes) -> None:
        """MemberPromote."""
        request = parse(call, pb.MemberPromoteRequest, body)
        if request is not None:
            asked = PromoteMember(request.ID)
            self._change(call, asked, _answering(pb.MemberPromoteResponse))

    def move_leader(self, call: Call, body: bytes) -> None:
        """MoveLeader: only the leader itself is asked, as with etcd."""
        request = parse(call, pb.MoveLeaderRequest, body)
        if request is None:
            return
        if self._replica.leader_id != self._replica.member_id:
            fail(call, errors.not_leader())
            return
        self._admit(call, lambda: self._move_leader(call, request.targetID))

    def _move_leader(self, call: Call, target: int) -> None:
        done = emptily(call)
        if target == self._replica.member_id:
            done(None)
            return
        try:
            self._replica.transfer_leadership(target, done)
        except CallerFault:
            fail(call, errors.bad_transferee())

    def _admit(self, call: Call, allowed: Callable[[], None]) -> None:
        """Only root changes the cluster while authentication is on."""
        self._desk.admit_root(call, allowed)

    def _change(
        self,
        call: Call,
        change: MemberChange,
        answer: Callable[[Sequence[MemberRecord]], Message],
    ) -> None:
        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                fail(call, outcome)
                return
            call.reply(self._headed(answer(decode_members(outcome))))

        name, body = operation_of(change), encode_change(change)
        transact, flow = self._replica.transact_nowait, call.flow
        self._admit(call, lambda: transact(name, body, done, flow, call))

    def _headed(self, message: Message) -> bytes:
        return self._header.encode(0, self._replica.term) + message.SerializeToString()


def _added(records: Sequence[MemberRecord]) -> Message:
    """The new member, and all of them."""
    rows = [_member(it) for it in sorted(records, key=lambda it: it.id)]
    return pb.MemberAddResponse(member=_member(records[0]), members=rows)


def _answering(
    kind: type[pb.MemberRemoveResponse | pb.MemberUpdateResponse | pb.MemberPromoteResponse],
) -> Callable[[Sequence[MemberRecord]], Message]:
    def answer(records: Sequence[MemberRecord]) -> Message:
        return kind(members=[_member(it) for it in records])

    return answer


def _member(info: MemberRecord) -> pb.Member:
    return pb.Member(
        ID=info.id,
        name=info.name,
        peerURLs=info.peer_urls,
        clientURLs=info.client_urls,
        isLearner=info.is_learner,
    )
