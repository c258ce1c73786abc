"""Locks and elections: lines of keys, and whose turn it is.

As etcd's clients do it (client/v3/concurrency): everybody puts a key of its own, named by its
lease, under `name/`; the lowest create revision has the turn; everybody else waits for the key
just before its own to go.  All of it is state of the cluster: whoever waits goes on waiting at
another endpoint, in its place.  The server's own Lock service cannot be gone on with like that:
a member that comes back takes the keys of its broken calls out of the line.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from roost.client.connections import Connections
from roost.client.errors import ClientError, Compacted, LeaseLost
from roost.client.scope import Scope
from roost.client.watches import Watched, watch
from roost.proto import kv_pb2, rpc_pb2
from roost.proto.ranges import prefix_end

_TXN = "/etcdserverpb.KV/Txn"
_DESCEND = rpc_pb2.RangeRequest.DESCEND


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads an election: the key that says so, its create revision and value."""

    name: bytes
    key: bytes
    create_revision: int
    value: bytes
    lease: int


class Turns:
    """Lines of one cluster."""

    def __init__(self, connections: Connections, patience_s: float) -> None:
        """Ask and watch by these connections."""
        self._connections = connections
        self._patience_s = patience_s

    def take(
        self, name: bytes, lease_id: int, value: bytes, *, wait_s: float, scope: Scope | None
    ) -> Leader:
        """Join the line of `name`, and return when it is this lease's turn.

        Raises:
            LeaseLost: the lease is gone.
            ClientError: it was refused, or not our turn in time; the key is out of the line.

        """
        scope = scope or Scope()
        key = name + b"/%x" % lease_id
        with _ending_after(wait_s, scope, f"it was somebody else's turn for {wait_s:g} s"):
            created = self._join(key, lease_id, value)
            try:
                while (found := self._look(name, key, created, lease_id)) is not None:
                    self._wait_gone(*found, scope)
            except BaseException:
                self.leave(key, created)
                raise
        return Leader(name, key, created, value, lease_id)

    def _join(self, key: bytes, lease_id: int, value: bytes) -> int:
        """Put our key, unless it is there; return its create revision.

        It is not asked twice when an answer is lost: what comes late would stay in the line.
        """
        is_new = _created_at(key, 0)
        put = rpc_pb2.PutRequest(key=key, value=value, lease=lease_id)
        joined = self._txn(rpc_pb2.TxnRequest(
            compare=[is_new],
            success=[rpc_pb2.RequestOp(request_put=put)],
            failure=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key))],
        ))  # fmt: skip
        if joined.succeeded:
            return joined.header.revision
        there = joined.responses[0].response_range.kvs[0]
        if there.value != value:
            same = _created_at(key, there.create_revision)
            put_again = rpc_pb2.RequestOp(request_put=put)
            self._txn(rpc_pb2.TxnRequest(compare=[same], success=[put_again]))
        return there.create_revision

    def _look(
        self, name: bytes, key: bytes, created: int, lease_id: int
    ) -> tuple[bytes, int] | None:
        """The key before ours and the revision of what was seen; None when it is our turn."""
        before = rpc_pb2.RangeRequest(
            key=name + b"/",
            range_end=prefix_end(name + b"/"),
            max_create_revision=created - 1,
            sort_target=rpc_pb2.RangeRequest.CREATE,
            sort_order=_DESCEND,
            limit=1,
            keys_only=True,
        )
        ours = rpc_pb2.RangeRequest(key=key, keys_only=True)
        seen = self._txn(rpc_pb2.TxnRequest(
            success=[rpc_pb2.RequestOp(request_range=it) for it in (before, ours)]
        ), is_repeatable=True)  # fmt: skip
        ahead, own = (it.response_range.kvs for it in seen.responses)
        # A turn is given where the key and what is before it are seen in one state.
        if not own or own[0].create_revision != created:
            raise LeaseLost(lease_id, "has expired or was revoked")
        return (ahead[0].key, seen.header.revision) if ahead else None

    def _wait_gone(self, key: bytes, revision: int, scope: Scope) -> None:
        watched = Watched(key=key, start_revision=revision + 1)
        try:
            for events in watch(self._connections, watched, self._patience_s, scope):
                if any(it.type == kv_pb2.Event.DELETE for it in events):
                    return
        except Compacted:
            return  # what was missed is seen by looking

    def leave(self, key: bytes, created: int) -> None:
        """Take a key out of its line; its lease does it if this fails."""
        same = _created_at(key, created)
        delete = rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))
        request = rpc_pb2.TxnRequest(compare=[same], success=[delete])
        try:
            self._txn(request, is_repeatable=True)
        except ClientError:
            return

    def _txn(
        self, request: rpc_pb2.TxnRequest, *, is_repeatable: bool = False
    ) -> rpc_pb2.TxnResponse:
        return self._connections.call(
            _TXN, request, rpc_pb2.TxnResponse, is_repeatable=is_repeatable
        )

    def observe(self, name: bytes) -> Iterator[Leader]:
        """Whose turn it is, now and from now on, for ever; none is left out or said twice."""
        last: Leader | None = None
        for line in self._lines(name + b"/"):
            if not line:
                continue
            first = min(line.values(), key=lambda it: it.create_revision)
            leader = Leader(name, first.key, first.create_revision, first.value, first.lease)
            if leader != last:
                last = leader
                yield leader

    def _lines(self, prefix: bytes) -> Iterator[dict[bytes, Any]]:
        """The keys of a line after each revision that changed them."""
        stop = prefix_end(prefix)
        while True:
            request = rpc_pb2.RangeRequest(key=prefix, range_end=stop)
            seen = self._connections.call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse)
            line = {it.key: it for it in seen.kvs}
            yield line
            watched = Watched(key=prefix, range_end=stop, start_revision=seen.header.revision + 1)
            try:
                for events in watch(self._connections, watched, self._patience_s):
                    yield from _after_each(line, events)
            except Compacted:
                continue  # what was missed is seen by looking


def _created_at(key: bytes, revision: int) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.CREATE, create_revision=revision)


def _after_each(line: dict[bytes, Any], events: list[Any]) -> Iterator[dict[bytes, Any]]:
    """Change a line by events, and yield it where a revision ends."""
    for event, follower in zip(events, [*events[1:], None], strict=True):
        if event.type == kv_pb2.Event.DELETE:
            line.pop(event.kv.key, None)
        else:
            line[event.kv.key] = event.kv
        if follower is None or follower.kv.mod_revision != event.kv.mod_revision:
            yield line


@contextmanager
def _ending_after(seconds: float, scope: Scope, text: str) -> Iterator[None]:
    error = ClientError("DEADLINE_EXCEEDED", text)
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), scope.end, [error])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
