"""A blocking client for Roost and etcd, on gRPC.

    with Client(["127.0.0.1:2379"]) as client:
        client.put(b"greeting", b"hello")
        assert client.get(b"greeting").value == b"hello"

Every call has a deadline.  A read is asked of the next endpoint when one is slow or gone, a write
when it certainly was not sent; a watch goes on where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from roost.client.connections import Connections
from roost.client.credentials import Credentials
from roost.client.errors import ClientError
from roost.client.leases import Leases
from roost.client.patience import Patience
from roost.client.scope import Scope
from roost.client.users import Users
from roost.client.watches import Watched, watch
from roost.proto import kv_pb2, rpc_pb2

# A member that sends a file says something at least so often.
_SILENCE_S = 30.0
_NONE, _DESCEND = rpc_pb2.RangeRequest.NONE, rpc_pb2.RangeRequest.DESCEND


@dataclass(frozen=True, slots=True)
class Item:
    """One key with its value and revisions."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def of(cls, kv: kv_pb2.KeyValue) -> "Item":
        """What a message says."""
        return cls(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; `before` is what was there, when it was asked for."""

    is_delete: bool
    item: Item
    before: Item | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the cluster knows it; without a name it has not started yet."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool


def _member(said: rpc_pb2.Member) -> Member:
    return Member(said.ID, said.name, tuple(said.peerURLs), tuple(said.clientURLs), said.isLearner)


class Client:
    """One connection to a cluster, by any of its endpoints; safe to use from several threads."""

    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        timeout_s: float = 5.0,
        patience_s: float = 300.0,
        credentials: Credentials | None = None,
    ) -> None:
        """Connect lazily; `endpoints` are host:port or URLs, one text or several.

        A call ends within `timeout_s`.  A stream that has begun, as a watch, goes on at any
        endpoint, and ends when none has answered for `patience_s`.

        Raises:
            BadEndpoint: an endpoint is missing or malformed.
            OSError: a file of the credentials cannot be read.

        """
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._credentials = credentials or Credentials()
        self._connections = Connections(endpoints, self._credentials, timeout_s)
        self._call = self._connections.call
        self.users = Users(self._call)
        self.leases = Leases(self._connections, patience_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, as they were given."""
        return [it.name for it in self._connections.endpoints]

    def each(self) -> Iterator[tuple[str, "Client"]]:
        """Every endpoint, with a client that asks nobody else."""
        for name in self.endpoints:
            how = {"timeout_s": self._timeout_s, "patience_s": self._patience_s}
            with Client(name, credentials=self._credentials, **how) as client:
                yield name, client

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def put(
        self,
        key: bytes,
        value: bytes,
        *,
        lease: int = 0,
        keeps_value: bool = False,
        keeps_lease: bool = False,
    ) -> int:
        """Set a key; return the revision.

        With `keeps_value` or `keeps_lease` the key must be there, and keeps what it has.

        Raises:
            ClientError: with the server's words.

        """
        request = rpc_pb2.PutRequest(
            key=key, value=value, lease=lease, ignore_value=keeps_value, ignore_lease=keeps_lease
        )
        answer = self._call("/etcdserverpb.KV/Put", request, rpc_pb2.PutResponse)
        return answer.header.revision

    def compact(self, revision: int) -> None:
        """Forget the history before a revision."""
        request = rpc_pb2.CompactionRequest(revision=revision)
        self._call("/etcdserverpb.KV/Compact", request, rpc_pb2.CompactionResponse)

    def count(self, key: bytes, range_end: bytes = b"") -> int:
        """How many keys are in a range."""
        request = rpc_pb2.RangeRequest(key=key, range_end=range_end, count_only=True)
        return self._call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse).count

    def get(self, key: bytes) -> Item | None:
        """The current value of a key, linearizably; None when there is none."""
        rows = self.range(key)
        return rows[0] if rows else None

    def range(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        sort_by: str = "key",
        descending: bool = False,
    ) -> list[Item]:
        """The keys of a range; `sort_by` is key, version, create, mod or value."""
        answer = self.ask_range(
            key,
            range_end,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            sort_by=sort_by,
            descending=descending,
        )
        return [Item.of(kv) for kv in answer.kvs]

    def ask_range(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        sort_by: str = "key",
        descending: bool = False,
    ) -> rpc_pb2.RangeResponse:
        """The keys of a range in etcd's own form: with the revision, and whether there are more.

        Raises:
            Compacted: the revision is forgotten.
            ClientError: with the server's words.

        """
        request = rpc_pb2.RangeRequest(
            key=key,
            range_end=range_end,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            count_only=count_only,
            sort_target=sort_by.upper(),
            sort_order=_DESCEND if descending else _NONE,
        )
        return self._call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse)

    def delete(self, key: bytes, range_end: bytes = b"") -> int:
        """Delete a key or range; return how many were there."""
        request = rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end)
        answer = self._call("/etcdserverpb.KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)
        return answer.deleted

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """Run a transaction in etcd's own form."""
        return self._call("/etcdserverpb.KV/Txn", request, rpc_pb2.TxnResponse)

    def status(self) -> list[tuple[int, rpc_pb2.StatusResponse | ClientError]]:
        """Ask every endpoint for its status; (position of the endpoint, answer or error)."""
        path, request = "/etcdserverpb.Maintenance/Status", rpc_pb2.StatusRequest()
        rows: list[tuple[int, rpc_pb2.StatusResponse | ClientError]] = []
        for position in range(len(self.endpoints)):
            try:
                said = self._connections.call_at(position, path, request, rpc_pb2.StatusResponse)
                rows.append((position, said))
            except ClientError as error:
                rows.append((position, error))
        return rows

    def alarms(self) -> list[tuple[int, str]]:
        """Every alarm raised: (member id, NOSPACE or CORRUPT)."""
        request = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET)
        answer = self._call("/etcdserverpb.Maintenance/Alarm", request, rpc_pb2.AlarmResponse)
        return [(it.memberID, rpc_pb2.AlarmType.Name(it.alarm)) for it in answer.alarms]

    def disarm(self, member_id: int, kind: str) -> None:
        """Take an alarm back."""
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.DEACTIVATE,
            memberID=member_id,
            alarm=kind,
        )
        self._call("/etcdserverpb.Maintenance/Alarm", request, rpc_pb2.AlarmResponse)

    def defragment(self) -> None:
        """Have one endpoint's member rewrite its store's file."""
        path = "/etcdserverpb.Maintenance/Defragment"
        self._call(path, rpc_pb2.DefragmentRequest(), rpc_pb2.DefragmentResponse)

    def hash_kv(self, revision: int = 0) -> tuple[int, int, int]:
        """The hash of all keys up to a revision: (hash, current revision, compacted revision)."""
        path = "/etcdserverpb.Maintenance/HashKV"
        request = rpc_pb2.HashKVRequest(revision=revision)
        answer = self._call(path, request, rpc_pb2.HashKVResponse)
        return answer.hash, answer.header.revision, answer.compact_revision

    def snapshot(self) -> Iterator[bytes]:
        """One endpoint's store, in pieces, with its SHA-256 as the last 32 bytes.

        Raises:
            ClientError: with the server's words; what came before it is of no use, and when it
                broke, asking again asks the next endpoint.

        """
        path = "/etcdserverpb.Maintenance/Snapshot"
        for said in self._follow(path, rpc_pb2.SnapshotRequest(), rpc_pb2.SnapshotResponse):
            yield said.blob

    def since(self, index: int, term: int) -> Iterator[bytes]:
        """What was written behind a log position, in pages; Roost's own.

        Raises:
            ClientError: the journal does not reach back that far.

        """
        request = rpc_pb2.SinceRequest(index=index, term=term)
        for said in self._follow("/roost.Maintenance/Since", request, rpc_pb2.SinceResponse):
            yield said.blob

    def _follow(self, path: str, request: Any, answer: Any) -> Iterator[Any]:  # Any: messages
        """Yield one endpoint's answers; another is asked as long as nothing has come."""
        patience = Patience(self._connections, 0.0, Scope())
        has_begun = False
        while True:
            stream = self._connections.stream(path, request, answer, silence_s=_SILENCE_S)
            try:
                for said in stream:
                    has_begun = True
                    yield said
            except ClientError as error:
                if has_begun:
                    raise
                patience.failed(error)
            else:
                return

    def members(self) -> list[Member]:
        """All members, linearizably."""
        request = rpc_pb2.MemberListRequest(linearizable=True)
        path = "/etcdserverpb.Cluster/MemberList"
        return _members(self._call(path, request, rpc_pb2.MemberListResponse))

    def add_member(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> tuple[Member, list[Member]]:
        """Add a member, to be started afterwards; return it, and all members."""
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        path = "/etcdserverpb.Cluster/MemberAdd"
        answer = self._call(path, request, rpc_pb2.MemberAddResponse)
        return _member(answer.member), _members(answer)

    def replace_member(
        self, member_id: int, peer_urls: Sequence[str]
    ) -> tuple[Member, list[Member]]:
        """Put a new member in another's place; return it, and all members.  Roost's own."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        answer = self._call("/roost.Cluster/MemberReplace", request, rpc_pb2.MemberAddResponse)
        return _member(answer.member), _members(answer)

    def remove_member(self, member_id: int) -> list[Member]:
        """Remove a member for good; return the others."""
        request = rpc_pb2.MemberRemoveRequest(ID=member_id)
        path = "/etcdserverpb.Cluster/MemberRemove"
        return _members(self._call(path, request, rpc_pb2.MemberRemoveResponse))

    def update_member(self, member_id: int, peer_urls: Sequence[str]) -> list[Member]:
        """Give a member other peer URLs; return all members."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        path = "/etcdserverpb.Cluster/MemberUpdate"
        return _members(self._call(path, request, rpc_pb2.MemberUpdateResponse))

    def promote_member(self, member_id: int) -> list[Member]:
        """Make a learner a voter; return all members."""
        request = rpc_pb2.MemberPromoteRequest(ID=member_id)
        path = "/etcdserverpb.Cluster/MemberPromote"
        return _members(self._call(path, request, rpc_pb2.MemberPromoteResponse))

    def move_leader(self, member_id: int) -> None:
        """Let a member lead; one of the endpoints must be the leader's.

        Raises:
            ClientError: none is; or with the server's words.

        """
        path, request = "/etcdserverpb.Maintenance/MoveLeader", rpc_pb2.MoveLeaderRequest
        for position, said in self.status():
            if not isinstance(said, ClientError) and said.leader == said.header.member_id:
                asked = request(targetID=member_id)
                self._connections.call_at(position, path, asked, rpc_pb2.MoveLeaderResponse)
                return
        raise ClientError("FAILED_PRECONDITION", "none of the endpoints is the leader's")

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
    ) -> Iterator[Change]:
        """Yield every change of a key or range, for ever.

        It goes on at another endpoint when its own is gone, without a gap or a duplicate.

        Raises:
            Compacted: the revisions asked for, or missed meanwhile, are forgotten.
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        watched = Watched(
            key=key, range_end=range_end, start_revision=start_revision, prev_kv=prev_kv
        )
        for events in watch(self._connections, watched, self._patience_s):
            for event in events:
                before = Item.of(event.prev_kv) if event.HasField("prev_kv") else None
                yield Change(event.type == kv_pb2.Event.DELETE, Item.of(event.kv), before)


def _members(
    answer: rpc_pb2.MemberListResponse
    | rpc_pb2.MemberAddResponse
    | rpc_pb2.MemberRemoveResponse
    | rpc_pb2.MemberUpdateResponse
    | rpc_pb2.MemberPromoteResponse,
) -> list[Member]:
    return [_member(it) for it in answer.members]
