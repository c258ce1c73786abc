"""Clients that ask for much at once: what holds a member up in production holds a turn up here.

Each does one thing to a tree of some thousand keys, a few times, with whatever else the seed has
going on; that the turns stay short is for `turns` to say.  A call that fails is tried again: who
is cut off has asked for as much.
"""

import asyncio
from collections.abc import Awaitable, Callable

from google.protobuf.message import Message

from roost.call import Stream
from roost.proto import election_pb2, rpc_pb2
from roost.sim.members.clients import CallFailed, Clients, Watching, WatchLog

TIMES = 2
# An election of that name has all keys for its candidates.
_NAME, _PREFIX, _END = b"heavy", b"heavy/", b"heavy0"
_TXN_PUTS = 100
_TRIES_MAX = 200
_WATCHES = 50
# What is said to who tries again what was done, and was not told so; leases are this client's own.
_DONE_TEXTS = ("etcdserver: lease already exists", "etcdserver: requested lease not found")
_WATCH_PATH = b"/etcdserverpb.Watch/Watch"
_OBSERVERS = 50
_OBSERVE_PATH = b"/v3electionpb.Election/Observe"


class Heavy:
    """One such client."""

    def __init__(self, clients: Clients) -> None:
        """It calls whom `clients` call."""
        self._clients = clients
        self._works: dict[str, Callable[[int], Awaitable[None]]] = {
            "limit": self._limit,
            "count": self._count,
            "whole": self._whole,
            "sorted": self._sorted,
            "old": self._old,
            "delete": self._delete,
            "transaction": self._transaction,
            "lease": self._lease,
            "watch": self._watch,
            "election": self._election,
        }
        self._revision = 0

    async def work(self, kind: str, keys: int) -> None:
        """Put `keys` keys, and do something of a `kind` to all of them, or one after the other."""
        await self._fill(keys, lease=0)
        for it in kind.split():
            await self._works[it](keys)

    async def _ask(self, method: bytes, request: Message) -> bytes:
        """Ask one member after another until one answers."""
        return await self._call(b"/etcdserverpb." + method, request)

    async def _call(self, path: bytes, request: Message) -> bytes:
        body = request.SerializeToString()
        for number in range(_TRIES_MAX):
            running = self._clients.running()
            if running:
                try:
                    endpoint = running[number % len(running)]
                    return await self._clients.call(endpoint, path, body)
                except CallFailed as failure:
                    if failure.text in _DONE_TEXTS:
                        return b""
                except TimeoutError:
                    pass  # whoever was asked is gone, or has no leader
            await asyncio.sleep(0.1)
        raise TimeoutError("nobody answers the heavy client")

    async def _fill(self, keys: int, *, lease: int) -> None:
        for first in range(0, keys, _TXN_PUTS):
            rows = (
                rpc_pb2.PutRequest(key=b"%s%08d" % (_PREFIX, it), value=b"%d" % it, lease=lease)
                for it in range(first, min(keys, first + _TXN_PUTS))
            )
            request = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=it) for it in rows])
            answer = rpc_pb2.TxnResponse.FromString(await self._ask(b"KV/Txn", request))
            self._revision = self._revision or answer.header.revision

    async def _range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        request.key, request.range_end = _PREFIX, _END
        return rpc_pb2.RangeResponse.FromString(await self._ask(b"KV/Range", request))

    async def _limit(self, keys: int) -> None:
        for _ in range(TIMES):
            answer = await self._range(rpc_pb2.RangeRequest(limit=1))
            assert (answer.count, len(answer.kvs)) == (keys, 1), "all are there, one is told"

    async def _count(self, keys: int) -> None:
        for _ in range(TIMES):
            answer = await self._range(rpc_pb2.RangeRequest(count_only=True))
            assert answer.count == keys, "all are there"

    async def _whole(self, keys: int) -> None:
        for _ in range(TIMES):
            assert len((await self._range(rpc_pb2.RangeRequest())).kvs) == keys, "all are told"

    async def _sorted(self, keys: int) -> None:
        request = rpc_pb2.RangeRequest(
            limit=1,
            sort_order=rpc_pb2.RangeRequest.DESCEND,
            sort_target=rpc_pb2.RangeRequest.VALUE,
        )
        last = max(b"%d" % it for it in range(keys))
        for _ in range(TIMES):
            assert (await self._range(request)).kvs[0].value == last, "the last by its value"

    async def _old(self, keys: int) -> None:
        newest = (await self._range(rpc_pb2.RangeRequest(limit=1))).header.revision
        await self._fill(keys, lease=0)
        for _ in range(TIMES):
            answer = await self._range(rpc_pb2.RangeRequest(revision=newest, limit=10))
            assert (answer.count, len(answer.kvs)) == (keys, 10), "as it was"

    async def _delete(self, keys: int) -> None:
        for _ in range(TIMES):
            request = rpc_pb2.DeleteRangeRequest(key=_PREFIX, range_end=_END)
            await self._ask(b"KV/DeleteRange", request)
            count = (await self._range(rpc_pb2.RangeRequest(count_only=True))).count
            assert count == 0, "all are gone"
            assert not (await self._range(rpc_pb2.RangeRequest())).kvs, "and none is told"
            await self._fill(keys, lease=0)

    async def _transaction(self, keys: int) -> None:
        """A put, if all keys are there, and what all keys are before and after it."""
        are_there = rpc_pb2.Compare(
            key=_PREFIX,
            range_end=_END,
            target=rpc_pb2.Compare.VERSION,
            result=rpc_pb2.Compare.GREATER,
        )
        count = rpc_pb2.RequestOp(
            request_range=rpc_pb2.RangeRequest(key=_PREFIX, range_end=_END, count_only=True)
        )
        for number in range(TIMES):
            put = rpc_pb2.RequestOp(
                request_put=rpc_pb2.PutRequest(key=b"%s-%d" % (_PREFIX, number))
            )
            request = rpc_pb2.TxnRequest(compare=[are_there], success=[count, put, count])
            answer = rpc_pb2.TxnResponse.FromString(await self._ask(b"KV/Txn", request))
            assert answer.succeeded, "all are there"
            before, _, after = answer.responses
            found = before.response_range.count, after.response_range.count
            assert found in ((keys + number, keys + number + 1), (keys + number + 1,) * 2), found

    async def _lease(self, keys: int) -> None:
        for lease in range(1, TIMES + 1):
            await self._ask(b"Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=600))
            await self._fill(keys, lease=lease)
            await self._ask(b"Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))
            count = (await self._range(rpc_pb2.RangeRequest(count_only=True))).count
            assert count == 0, "all went with the lease"

    async def _watch(self, _keys: int) -> None:
        """Many that match nothing but the last put of all."""
        endpoint = self._clients.running()[0]
        route, life = endpoint.routes[_WATCH_PATH], endpoint.life
        assert isinstance(route, Stream), "a watch is a stream"
        logs = [WatchLog(2, 2) for _ in range(_WATCHES)]
        handlers = []
        for number, log in enumerate(logs):
            handlers.append(route.open(Watching(log)))
            create = rpc_pb2.WatchCreateRequest(
                key=b"nothing-%d" % number, start_revision=self._revision
            )
            request = rpc_pb2.WatchRequest(create_request=create)
            handlers[-1].on_message(request.SerializeToString())
        for number in range(_WATCHES):
            await self._ask(b"KV/Put", rpc_pb2.PutRequest(key=b"nothing-%d" % number))
        while not all(it.events for it in logs) and endpoint.life == life:
            await asyncio.sleep(0.1)
        if endpoint.life == life:
            for handler in handlers:
                handler.on_cancel()

    async def _election(self, keys: int) -> None:
        """Many candidates, of whom the first goes again and again, and many who observe that."""
        endpoint = self._clients.running()[0]
        route, life = endpoint.routes[_OBSERVE_PATH], endpoint.life
        assert isinstance(route, Stream), "to observe is a stream"
        request = election_pb2.LeaderRequest(name=_NAME)
        watchings = [_Observing() for _ in range(_OBSERVERS)]
        handlers = [route.open(it) for it in watchings]
        for handler in handlers:
            handler.on_message(request.SerializeToString())
        for number in range(TIMES):
            answer = await self._call(b"/v3electionpb.Election/Leader", request)
            leader = election_pb2.LeaderResponse.FromString(answer).kv.key
            assert leader == b"%s%08d" % (_PREFIX, number), "the first that is left"
            await self._ask(b"KV/DeleteRange", rpc_pb2.DeleteRangeRequest(key=leader))
        last = b"%s%08d" % (_PREFIX, TIMES)
        while not all(it.leader == last for it in watchings) and endpoint.life == life:
            await asyncio.sleep(0.1)
        if endpoint.life == life:
            for handler in handlers:
                handler.on_cancel()
        assert keys > TIMES, "somebody leads in the end"


class _Observing(Watching):
    """Hears who leads."""

    def __init__(self) -> None:
        super().__init__(WatchLog(2, 2))
        self.leader = b""

    def send(self, message: bytes) -> None:
        """Somebody else leads."""
        self.leader = election_pb2.LeaderResponse.FromString(message).kv.key
