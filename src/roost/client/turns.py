"""Locks and elections: lines of keys, and whose turn it is.

As etcd's clients do it (client/v3/concurrency): everybody puts a key of its own, named by its
lease, under `name/`; the lowest create revision has the turn; everybody else waits for the key
just before its own to go.  All of it is state of the cluster: whoever waits goes on waiting at
another endpoint, in its place.  The server's own Lock service cannot be gone on with like that:
a member that comes back takes the keys of its broken calls out of the line.

Behind `name/` others may have keys, too, and lines of their own, as `name/other`.  A place in the
line is a key that is named by its own lease, and nothing else is looked at.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from roost.client.connections import Caller
from roost.client.errors import ClientError, Compacted, LeaseLost, LeaseNotFound, WaitedTooLong
from roost.client.scope import Scope
from roost.client.shapes import Leader, Span
from roost.client.watches import Watched, watch
from roost.proto import kv_pb2, rpc_pb2
from roost.proto.ranges import prefix_end

_TXN = "/etcdserverpb.KV/Txn"
_DESCEND = rpc_pb2.RangeRequest.DESCEND
_GONE = "has expired or was revoked"
# Keys that are looked at in one request, to find a place among them.
_LOOKED = 64


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The key just before ours, and the revision of the state it was seen in."""

    key: bytes
    revision: int


class Turns:
    """Lines of one cluster."""

    def __init__(self, caller: Caller, patience_s: float) -> None:
        """Ask and watch by this caller."""
        self._caller = caller
        self._patience_s = patience_s

    async def take(
        self, name: bytes, lease_id: int, value: bytes, *, wait_s: float, scope: Scope
    ) -> Leader:
        """Join the line of `name`, and return when it is this lease's turn.

        Raises:
            LeaseLost: the lease is gone.
            WaitedTooLong: it was not our turn in time; the key is out of the line.
            ClientError: it was refused; the key is out of the line.

        """
        key = name + b"/%x" % lease_id
        try:
            async with asyncio.timeout(wait_s), scope.holding():
                created = await self._join(key, lease_id, value)
                try:
                    while (ahead := await self._look(name, key, created, lease_id)) is not None:
                        await self._wait_gone(ahead)
                except BaseException:
                    await self.leave(key, created)
                    raise
        except TimeoutError as error:
            text = f"it was somebody else's turn for {wait_s:g} s"
            raise WaitedTooLong(text) from error
        except LeaseNotFound as error:
            raise LeaseLost(lease_id, _GONE) from error
        return Leader(name, key, created, value, lease_id)

    async def _join(self, key: bytes, lease_id: int, value: bytes) -> int:
        """Put our key, unless it is there; return its create revision.

        It is not asked twice when an answer is lost: what comes late would stay in the line.
        """
        put = rpc_pb2.PutRequest(key=key, value=value, lease=lease_id)
        joined = await self._txn(rpc_pb2.TxnRequest(
            compare=[_created_at(key, 0)],
            success=[rpc_pb2.RequestOp(request_put=put)],
            failure=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key))],
        ))  # fmt: skip
        if joined.succeeded:
            return joined.header.revision
        there = joined.responses[0].response_range.kvs[0]
        if there.value != value:
            await self.proclaim(key, there.create_revision, lease_id, value)
        return there.create_revision

    async def proclaim(self, key: bytes, created: int, lease_id: int, value: bytes) -> bool:
        """Put another value at a key of ours; say whether it was still there."""
        put = rpc_pb2.PutRequest(key=key, value=value, lease=lease_id)
        request = rpc_pb2.TxnRequest(
            compare=[_created_at(key, created)], success=[rpc_pb2.RequestOp(request_put=put)]
        )
        return (await self._txn(request, is_repeatable=True)).succeeded

    async def _look(self, name: bytes, key: bytes, created: int, lease_id: int) -> _Ahead | None:
        """What is before us; None when it is our turn."""
        below = created - 1
        while below > 0:
            before = rpc_pb2.RangeRequest(
                key=name + b"/",
                range_end=prefix_end(name + b"/"),
                max_create_revision=below,
                sort_target=rpc_pb2.RangeRequest.CREATE,
                sort_order=_DESCEND,
                limit=_LOOKED,
                keys_only=True,
            )
            ours = rpc_pb2.RangeRequest(key=key, keys_only=True)
            seen = await self._txn(rpc_pb2.TxnRequest(
                success=[rpc_pb2.RequestOp(request_range=it) for it in (before, ours)]
            ), is_repeatable=True)  # fmt: skip
            found, own = (it.response_range.kvs for it in seen.responses)
            # A turn is given where the key and what is before it are seen in one state; and what
            # was not there before, is not there with an older revision later.
            if not own or own[0].create_revision != created:
                raise LeaseLost(lease_id, _GONE)
            for it in found:
                if _is_place(name, it):
                    return _Ahead(it.key, seen.header.revision)
            below = found[-1].create_revision - 1 if len(found) == _LOOKED else 0
        return None

    async def _wait_gone(self, ahead: _Ahead) -> None:
        watched = Watched(span=Span(ahead.key, b""), since=ahead.revision + 1, insists=True)
        changes = watch(self._caller, watched, self._patience_s)
        try:
            async with aclosing(changes):
                async for events in changes:
                    if any(it.type == kv_pb2.Event.DELETE for it in events):
                        return
        except Compacted:
            return  # what was missed is seen by looking

    async def leave(self, key: bytes, created: int) -> None:
        """Take a key out of its line; its lease does it if this fails."""
        same = _created_at(key, created)
        delete = rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))
        request = rpc_pb2.TxnRequest(compare=[same], success=[delete])
        try:
            await self._txn(request, is_repeatable=True)
        except ClientError:
            return

    async def _txn(
        self, request: rpc_pb2.TxnRequest, *, is_repeatable: bool = False
    ) -> rpc_pb2.TxnResponse:
        return await self._caller.call(
            _TXN, request, rpc_pb2.TxnResponse, is_repeatable=is_repeatable
        )

    async def first(self, name: bytes) -> Leader | None:
        """Whose turn it is."""
        above = 0
        while True:
            request = rpc_pb2.RangeRequest(
                key=name + b"/",
                range_end=prefix_end(name + b"/"),
                min_create_revision=above,
                sort_target=rpc_pb2.RangeRequest.CREATE,
                sort_order=rpc_pb2.RangeRequest.ASCEND,
                limit=_LOOKED,
            )
            seen = await self._caller.call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse)
            for it in seen.kvs:
                if _is_place(name, it):
                    return _leader(name, it)
            if len(seen.kvs) < _LOOKED:
                return None
            above = seen.kvs[-1].create_revision + 1

    async def observe(self, name: bytes) -> AsyncGenerator[Leader, None]:
        """Whose turn it is, now and from now on, for ever; none is left out or said twice."""
        last: Leader | None = None
        lines = self._lines(name)
        async with aclosing(lines):
            async for line in lines:
                if not line:
                    continue
                leader = _leader(name, min(line.values(), key=lambda it: it.create_revision))
                if leader != last:
                    last = leader
                    yield leader

    async def _lines(self, name: bytes) -> AsyncGenerator[dict[bytes, kv_pb2.KeyValue], None]:
        """The keys of a line after each revision that changed them."""
        span = Span.of(name + b"/", prefix=True)
        while True:
            request = rpc_pb2.RangeRequest(key=span.key, range_end=span.range_end)
            seen = await self._caller.call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse)
            line = {it.key: it for it in seen.kvs if _is_place(name, it)}
            yield line
            watched = Watched(span=span, since=seen.header.revision + 1, insists=True)
            changes = watch(self._caller, watched, self._patience_s)
            try:
                async with aclosing(changes):
                    async for events in changes:
                        for changed in _after_each(name, line, events):
                            yield changed
            except Compacted:
                continue  # what was missed is seen by looking


def _is_place(name: bytes, kv: kv_pb2.KeyValue) -> bool:
    """Whether a key behind `name/` is a place in the line of that name."""
    return bool(kv.lease) and kv.key[len(name) + 1 :] == b"%x" % kv.lease


def _leader(name: bytes, kv: kv_pb2.KeyValue) -> Leader:
    return Leader(name, kv.key, kv.create_revision, kv.value, kv.lease)


def _created_at(key: bytes, revision: int) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.CREATE, create_revision=revision)


def _after_each(
    name: bytes, line: dict[bytes, kv_pb2.KeyValue], events: list[kv_pb2.Event]
) -> Iterator[dict[bytes, kv_pb2.KeyValue]]:
    """Change a line by events, and yield it where a revision ends."""
    for event, follower in zip(events, [*events[1:], None], strict=True):
        if event.type == kv_pb2.Event.DELETE:
            line.pop(event.kv.key, None)
        elif _is_place(name, event.kv):
            line[event.kv.key] = event.kv
        if follower is None or follower.kv.mod_revision != event.kv.mod_revision:
            yield line
