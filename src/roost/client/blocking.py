"""A blocking client for Roost and etcd, on gRPC.

    with Client(["127.0.0.1:2379"]) as client:
        client.put(b"greeting", b"hello")
        assert client.get(b"greeting").value == b"hello"

Every call has a deadline.  When an endpoint cannot be reached the next one is tried for reads;
a write is tried again only when it certainly was not sent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from roost.client.credentials import Credentials
from roost.client.errors import ClientError, Unreachable
from roost.client.leases import Leases
from roost.client.users import Users
from roost.proto import kv_pb2, rpc_pb2

Answer = TypeVar("Answer")
MESSAGE_BYTES_MAX = 64 << 20
# A token that these are said of is got anew.
_STALE = ("invalid auth token", "revision of auth store is old")
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


def _item(kv: kv_pb2.KeyValue) -> Item:
    return Item(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def prefix_end(prefix: bytes) -> bytes:
    """The range_end that makes a range of all keys with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"


class Client:
    """One connection to a cluster, by any of its endpoints; safe to use from several threads."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        timeout_s: float = 5.0,
        credentials: Credentials | None = None,
    ) -> None:
        """Connect lazily; `endpoints` are host:port or URLs, tried in order."""
        self._timeout_s = timeout_s
        self._credentials = credentials or Credentials()
        self._token = ""
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.enable_retries", 0),
        ]
        self._channels = [self._credentials.channel(it, options) for it in endpoints]
        self.users = Users(self._call)
        self.leases = Leases(self._call, self._follow, self._talk)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()

    def _call(self, path: str, request: Any, answer: type[Answer]) -> Answer:
        # Any: grpcio's methods are not typed, and messages share no useful base.
        try:
            return self._try(path, request, answer, self._metadata())
        except ClientError as error:
            if not self._credentials.user or not error.text.endswith(_STALE):
                raise
            self._token = ""  # it has run out, or users have changed since
        return self._try(path, request, answer, self._metadata())

    def _metadata(self) -> list[tuple[str, str]] | None:
        """Who we are, as every call says; a token is got when there is none."""
        user = self._credentials.user
        if user and not self._token:
            request = rpc_pb2.AuthenticateRequest(name=user, password=self._credentials.password)
            path = "/etcdserverpb.Auth/Authenticate"
            try:
                self._token = self._try(path, request, rpc_pb2.AuthenticateResponse, None).token
            except ClientError as error:
                if not error.text.endswith("authentication is not enabled"):
                    raise
        return [("token", self._token)] if self._token else None

    def _try(
        self,
        path: str,
        request: Any,
        answer: type[Answer],
        metadata: list[tuple[str, str]] | None,
    ) -> Answer:
        last: grpc.RpcError | None = None
        for channel in self._channels:
            method: Callable[..., Answer] = channel.unary_unary(
                path,
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString,  # type: ignore[attr-defined]
            )
            try:
                return method(request, timeout=self._timeout_s, metadata=metadata)
            except grpc.RpcError as error:
                last = error
                if not _was_not_sent(error):
                    break
        assert last is not None, "there is an endpoint"
        raise _client_error(last) from last

    def _follow(self, path: str, request: Any, answer: Any) -> Iterator[Any]:  # Any: messages
        """Yield the answers of a method that takes one request and has many."""
        method = self._channels[0].unary_stream(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            yield from method(request, metadata=self._metadata())
        except grpc.RpcError as error:
            raise _client_error(error) from error

    def _talk(self, path: str, request: Any, answer: Any) -> Iterator[Any]:  # Any: messages
        """Send one request on a stream that stays open both ways, and yield what comes."""
        method = self._channels[0].stream_stream(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        requests = _OneRequest(request)
        call = method(requests, metadata=self._metadata())
        try:
            yield from call
        except grpc.RpcError as error:
            raise _client_error(error) from error
        finally:
            call.cancel()
            requests.end()

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
        request = rpc_pb2.RangeRequest(
            key=key,
            range_end=range_end,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            sort_target=sort_by.upper(),
            sort_order=_DESCEND if descending else _NONE,
        )
        answer = self._call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse)
        return [_item(kv) for kv in answer.kvs]

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
        rows: list[tuple[int, rpc_pb2.StatusResponse | ClientError]] = []
        for position, channel in enumerate(self._channels):
            method = channel.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=rpc_pb2.StatusRequest.SerializeToString,
                response_deserializer=rpc_pb2.StatusResponse.FromString,
            )
            try:
                answer = method(
                    rpc_pb2.StatusRequest(), timeout=self._timeout_s, metadata=self._metadata()
                )
                rows.append((position, answer))
            except grpc.RpcError as error:
                rows.append((position, _client_error(error)))
        return rows

    # --- looking after a member -----------------------------------------------------------------

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
        """Have the first endpoint's member rewrite its store's file."""
        path = "/etcdserverpb.Maintenance/Defragment"
        self._call(path, rpc_pb2.DefragmentRequest(), rpc_pb2.DefragmentResponse)

    def hash_kv(self, revision: int = 0) -> tuple[int, int, int]:
        """The hash of all keys up to a revision: (hash, current revision, compacted revision)."""
        path = "/etcdserverpb.Maintenance/HashKV"
        request = rpc_pb2.HashKVRequest(revision=revision)
        answer = self._call(path, request, rpc_pb2.HashKVResponse)
        return answer.hash, answer.header.revision, answer.compact_revision

    def snapshot(self) -> Iterator[bytes]:
        """The first endpoint's store, in pieces, with its SHA-256 as the last 32 bytes.

        Raises:
            ClientError: with the server's words; what came before it is of no use.

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

    # --- who is in the cluster ------------------------------------------------------------------

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
        """Let a member lead; the first endpoint must be the leader's."""
        request = rpc_pb2.MoveLeaderRequest(targetID=member_id)
        self._call("/etcdserverpb.Maintenance/MoveLeader", request, rpc_pb2.MoveLeaderResponse)

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
    ) -> Iterator[Change]:
        """Yield every change of a key or range, for ever.

        Raises:
            ClientError: the stream broke, or the revisions asked for are compacted.

        """
        create = rpc_pb2.WatchCreateRequest(
            key=key, range_end=range_end, start_revision=start_revision, prev_kv=prev_kv
        )
        request = rpc_pb2.WatchRequest(create_request=create)
        path = "/etcdserverpb.Watch/Watch"
        for answer in self._talk(path, request, rpc_pb2.WatchResponse):
            if answer.canceled:
                text = answer.cancel_reason or f"compacted at {answer.compact_revision}"
                raise ClientError("CANCELLED", text)
            for event in answer.events:
                before = _item(event.prev_kv) if event.HasField("prev_kv") else None
                yield Change(event.type == kv_pb2.Event.DELETE, _item(event.kv), before)


class _OneRequest:
    """Sends one request and then keeps the stream open until it is ended."""

    def __init__(self, request: Any) -> None:  # Any: a message
        import threading

        self._requests = [request]
        self._ended = threading.Event()

    def __iter__(self) -> "_OneRequest":
        return self

    def __next__(self) -> Any:
        if self._requests:
            return self._requests.pop()
        self._ended.wait()
        raise StopIteration

    def end(self) -> None:
        """Let grpc's sending thread go."""
        self._ended.set()


def _members(
    answer: rpc_pb2.MemberListResponse
    | rpc_pb2.MemberAddResponse
    | rpc_pb2.MemberRemoveResponse
    | rpc_pb2.MemberUpdateResponse
    | rpc_pb2.MemberPromoteResponse,
) -> list[Member]:
    return [_member(it) for it in answer.members]


def _was_not_sent(error: grpc.RpcError) -> bool:
    return (
        error.code() is grpc.StatusCode.UNAVAILABLE
        and "failed to connect" in (error.details() or "").lower()
    )


def _client_error(error: grpc.RpcError) -> ClientError:
    code, text = error.code().name, error.details() or ""
    kind = Unreachable if code == "UNAVAILABLE" and "connect" in text.lower() else ClientError
    return kind(code, text)
