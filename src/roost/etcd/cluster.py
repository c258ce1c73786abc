"""The Cluster service, and the move of leadership (etcd api: Cluster, Maintenance.MoveLeader)."""

from collections.abc import Callable, Sequence

import msgspec
from google.protobuf.message import Message

from roost.errors import CallerFault, RoostError
from roost.etcd import errors
from roost.etcd.ports import Call, MemberInfo, Replica
from roost.etcd.proto import rpc_pb2 as pb
from roost.etcd.requests import fail, parse
from roost.etcd.wire import Header
from roost.member import (
    AddMember,
    MemberRecord,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
    UpdateMember,
    membership,
)


class ClusterService:
    """Who is in the cluster, and who leads it."""

    def __init__(self, replica: Replica) -> None:
        """Remember whom to ask."""
        self._replica = replica
        self._header = Header(replica.cluster_id, replica.member_id)

    def list_members(self, call: Call, body: bytes) -> None:
        """MemberList; linearizable unless the caller says otherwise."""
        request = parse(call, pb.MemberListRequest, body)
        if request is None:
            return

        def done(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
                return
            rows = [_member(it) for it in self._replica.members()]
            self._reply(call, pb.MemberListResponse(members=rows))

        if request.linearizable:
            self._replica.read_nowait(done)
        else:
            done(None)

    def add(self, call: Call, body: bytes) -> None:
        """MemberAdd."""
        request = parse(call, pb.MemberAddRequest, body)
        if request is None:
            return
        asked = AddMember(peer_urls=tuple(request.peerURLs), is_learner=request.isLearner)

        self._change(call, membership.ADD, asked, _added)

    def replace(self, call: Call, body: bytes) -> None:
        """MemberReplace, Roost's own: a new member with these URLs in the place of one."""
        request = parse(call, pb.MemberUpdateRequest, body)
        if request is not None:
            asked = ReplaceMember(request.ID, tuple(request.peerURLs))
            self._change(call, membership.REPLACE, asked, _added)

    def remove(self, call: Call, body: bytes) -> None:
        """MemberRemove."""
        request = parse(call, pb.MemberRemoveRequest, body)
        if request is not None:
            asked = RemoveMember(request.ID)
            self._change(call, membership.REMOVE, asked, _answering(pb.MemberRemoveResponse))

    def update(self, call: Call, body: bytes) -> None:
        """MemberUpdate."""
        request = parse(call, pb.MemberUpdateRequest, body)
        if request is not None:
            asked = UpdateMember(request.ID, tuple(request.peerURLs))
            self._change(call, membership.UPDATE, asked, _answering(pb.MemberUpdateResponse))

    def promote(self, call: Call, body: bytes) -> None:
        """MemberPromote."""
        request = parse(call, pb.MemberPromoteRequest, body)
        if request is not None:
            asked = PromoteMember(request.ID)
            self._change(call, membership.PROMOTE, asked, _answering(pb.MemberPromoteResponse))

    def move_leader(self, call: Call, body: bytes) -> None:
        """MoveLeader: only the leader itself is asked, as with etcd."""
        request = parse(call, pb.MoveLeaderRequest, body)
        if request is None:
            return
        replica = self._replica
        if replica.leader_id != replica.member_id:
            call.fail(errors.FAILED_PRECONDITION, "etcdserver: not leader")
            return

        def done(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
            else:
                self._reply(call, pb.MoveLeaderResponse())

        if request.targetID == replica.member_id:
            done(None)
            return
        try:
            replica.transfer_leadership(request.targetID, done)
        except CallerFault:
            call.fail(errors.FAILED_PRECONDITION, "etcdserver: bad leader transferee")

    def _change(
        self,
        call: Call,
        operation: str,
        asked: msgspec.Struct,
        answer: Callable[[Sequence[MemberRecord]], Message],
    ) -> None:
        def done(result: bytes | None, error: RoostError | None) -> None:
            if error is not None or result is None:
                fail(call, error or errors.malformed_request())
                return
            self._reply(call, answer(msgspec.json.decode(result, type=list[MemberRecord])))

        self._replica.transact_nowait(operation, msgspec.json.encode(asked), done)

    def _reply(self, call: Call, message: Message) -> None:
        header = self._header.encode(0, self._replica.term)
        call.reply(header + message.SerializeToString())


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


def _member(info: MemberInfo | MemberRecord) -> pb.Member:
    return pb.Member(
        ID=info.id,
        name=info.name,
        peerURLs=info.peer_urls,
        clientURLs=info.client_urls,
        isLearner=info.is_learner,
    )
