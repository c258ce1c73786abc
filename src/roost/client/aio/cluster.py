"""Who is in the cluster (etcd api: Cluster)."""

from collections.abc import Sequence

from roost.client.connections import Connections
from roost.client.shapes import Member
from roost.proto import rpc_pb2

_CLUSTER = "/etcdserverpb.Cluster/"
_Answer = (
    rpc_pb2.MemberListResponse
    | rpc_pb2.MemberAddResponse
    | rpc_pb2.MemberRemoveResponse
    | rpc_pb2.MemberUpdateResponse
    | rpc_pb2.MemberPromoteResponse
)


def _members(answer: _Answer) -> list[Member]:
    return [Member.of(it) for it in answer.members]


class Cluster:
    """The members of a cluster."""

    _connections: Connections

    async def members(self, *, serializable: bool = False) -> list[Member]:
        """All members, linearizably; or as one of them knows them, though nobody leads."""
        request = rpc_pb2.MemberListRequest(linearizable=not serializable)
        answer = rpc_pb2.MemberListResponse
        return _members(await self._connections.call(_CLUSTER + "MemberList", request, answer))

    async def add_member(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> tuple[Member, list[Member]]:
        """Add a member, to be started afterwards; return it, and all members."""
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        answer = rpc_pb2.MemberAddResponse
        said = await self._connections.call(_CLUSTER + "MemberAdd", request, answer)
        return Member.of(said.member), _members(said)

    async def replace_member(
        self, member_id: int, peer_urls: Sequence[str]
    ) -> tuple[Member, list[Member]]:
        """Put a new member in another's place; return it, and all members.  Roost's own."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        answer = rpc_pb2.MemberAddResponse
        said = await self._connections.call("/roost.Cluster/MemberReplace", request, answer)
        return Member.of(said.member), _members(said)

    async def remove_member(self, member_id: int) -> list[Member]:
        """Remove a member for good; return the others."""
        request = rpc_pb2.MemberRemoveRequest(ID=member_id)
        answer = rpc_pb2.MemberRemoveResponse
        return _members(await self._connections.call(_CLUSTER + "MemberRemove", request, answer))

    async def update_member(self, member_id: int, peer_urls: Sequence[str]) -> list[Member]:
        """Give a member other peer URLs; return all members."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        answer = rpc_pb2.MemberUpdateResponse
        return _members(await self._connections.call(_CLUSTER + "MemberUpdate", request, answer))

    async def promote_member(self, member_id: int) -> list[Member]:
        """Make a learner a voter; return all members."""
        request = rpc_pb2.MemberPromoteRequest(ID=member_id)
        answer = rpc_pb2.MemberPromoteResponse
        return _members(await self._connections.call(_CLUSTER + "MemberPromote", request, answer))
