"""Clients that list keys, whole or by pages, as they are now or were: each list is of one state.

A list may take many turns of a member's loop, while others write, snapshots replace the store and
members come and go.  In the end each is compared with what the history of puts says of its
revision: the keys, their order, the count, and whether more follow.  One that is linearizable is
of no revision before that of a put that was acknowledged when it was asked for.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from roost.proto import rpc_pb2
from roost.sim.members.clients import CallFailed, Clients, Endpoint, Put
from roost.sim.members.judge import Violation

_PAUSE_S_MEAN = 0.2
_LIMITS = (0, 0, 3, 40)
_PAGES_MAX = 8
_TARGETS = (
    rpc_pb2.RangeRequest.KEY,
    rpc_pb2.RangeRequest.KEY,
    rpc_pb2.RangeRequest.MOD,
    rpc_pb2.RangeRequest.VALUE,
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One list: what was asked for, what was answered, and the least revision it may be of."""

    request: rpc_pb2.RangeRequest
    answer: rpc_pb2.RangeResponse
    revision_min: int

    @property
    def revision(self) -> int:
        """Of the state that was listed."""
        return self.request.revision or self.answer.header.revision

    def check(self, history: Sequence[Put]) -> None:
        """Compare with the whole history.

        Raises:
            Violation: it is of no state that there was, or of one that is too old.

        """
        request, answer = self.request, self.answer
        if not request.revision and self.revision < self.revision_min:
            text = f"a list is of revision {self.revision}, {self.revision_min} was acknowledged"
            raise Violation(text)
        end = bisect_right(history, self.revision, key=lambda it: it.revision)
        state = {it.key: it for it in history[:end] if it.key >= request.key}
        rows = [state[key] for key in sorted(state)]
        if request.sort_target == rpc_pb2.RangeRequest.MOD:
            rows.sort(key=lambda it: it.revision, reverse=True)
        elif request.sort_target == rpc_pb2.RangeRequest.VALUE:
            rows.sort(key=lambda it: it.value, reverse=True)
        wanted = rows[: request.limit or None]
        found = [Put(it.mod_revision, it.key, it.value) for it in answer.kvs]
        if (found, answer.count, answer.more) != (wanted, len(rows), len(rows) > len(wanted)):
            raise Violation(
                f"a list of revision {self.revision} has {len(found)} of {answer.count} keys, "
                f"there were {len(rows)}, or others"
            )


class Listers:
    """All of one run."""

    def __init__(self, clients: Clients) -> None:
        """They call whom `clients` call, until these stop."""
        self._clients = clients
        self.lists: list[Listed] = []

    async def work(self, number: int) -> None:
        """One of them lists, now these and now those keys, of any member."""
        dice = self._clients.stream(f"lister {number}")
        while not self._clients.is_stopping:
            await asyncio.sleep(dice.expovariate(1 / _PAUSE_S_MEAN))
            running = self._clients.running()
            if not running:
                continue
            target = dice.choice(_TARGETS)
            request = rpc_pb2.RangeRequest(
                key=dice.choice((b"\0", b"own-1", b"shared-2")),
                range_end=b"\0",
                limit=dice.choice(_LIMITS),
                serializable=dice.random() < 0.3,
                sort_target=target,
                sort_order=(
                    rpc_pb2.RangeRequest.NONE
                    if target == rpc_pb2.RangeRequest.KEY
                    else rpc_pb2.RangeRequest.DESCEND
                ),
            )
            if self.lists and dice.random() < 0.3:
                request.revision = dice.choice(self.lists).revision
            for _ in range(_PAGES_MAX):
                listed = await self._list(dice.choice(self._clients.running() or running), request)
                if listed is None or not listed.answer.more or target != _TARGETS[0]:
                    break
                request.key = listed.answer.kvs[-1].key + b"\0"
                request.revision = listed.revision

    async def _list(self, endpoint: Endpoint, request: rpc_pb2.RangeRequest) -> Listed | None:
        """One page; None when there was no answer."""
        asked = rpc_pb2.RangeRequest()
        asked.CopyFrom(request)
        revision_min = 0 if request.serializable else self._clients.newest_revision
        body = asked.SerializeToString()
        try:
            message = await self._clients.call(endpoint, b"/etcdserverpb.KV/Range", body)
        except (CallFailed, TimeoutError):
            return None
        listed = Listed(asked, rpc_pb2.RangeResponse.FromString(message), revision_min)
        self.lists.append(listed)
        return listed
