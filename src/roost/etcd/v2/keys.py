"""/v2/keys: reads, changes and watches of the tree (etcd: api/v2http/client.go).

A read is answered by this member, as it is here; with `quorum` it has seen everything that was
acknowledged before.  A change goes to the leader.  Whoever waits gets the head of the answer at
once, and hears a newline now and then while nothing happens.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from roost.call import Caller
from roost.database.model import View
from roost.errors import OutcomeUnknown, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge
from roost.etcd.border import Border
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v2 import changes, history, nodes
from roost.etcd.v2.changes import Change, Done
from roost.etcd.v2.faults import Fault, Reason, fault_of
from roost.etcd.v2.forms import Reading, read_request
from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.listing import listed
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.paths import child_of, is_too_long
from roost.etcd.v2.reads import Reads, Write
from roost.etcd.v2.watch_hub import WatchHub
from roost.etcd.v2.watchers import Watcher
from roost.exchange import JSON, Answer, Fields, Request, Streaming
from roost.outcome import settle_future
from roost.slices import Turns

T = TypeVar("T")
METHODS = ("HEAD", "GET", "PUT", "POST", "DELETE")
CHANGE = "etcd.v2_change"
# A client that wants none of the newlines says so with `off` in this header.
HEARTBEAT_HEADER = b"x-roost-heartbeat"
_POSTED = b"0" * 20


@dataclass(slots=True)
class ReadCounts:
    """Reads that were answered here."""

    succeeded: int = 0
    failed: int = 0


class Keys:
    """Answers requests to the tree."""

    def __init__(
        self,
        border: Border,
        trees: Trees,
        reads: Reads,
        hub: WatchHub,
        now_ns: Callable[[], int],
        *,
        request_s: float,
        heartbeat_s: float,
    ) -> None:
        """A request has so many seconds; `heartbeat_s` 0 is no newlines."""
        self._border = border
        self._trees = trees
        self._reads = reads
        self._hub = hub
        self._now_ns = now_ns
        self._request_s = request_s
        self._heartbeat_s = heartbeat_s
        # What is read of requests, and written of answers, beyond what costs nothing.
        self._turns = Turns(1)
        self.counts = ReadCounts()

    @property
    def _index(self) -> int:
        return history.now(self._trees, self._border.replica.view).index

    async def answer(self, request: Request, path: bytes) -> Answer | Streaming:
        """Answer a request to the node of a path."""
        try:
            asked = await self._taken(read_request(request, path))
            if is_too_long(child_of(path, _POSTED)):
                raise Fault(Reason.INVALID_FIELD, "the key is too long, or too deep", self._index)
            if isinstance(asked, Change):
                return await self._change(request.caller, asked)
            if asked.is_wait:
                return await self._watch(request, asked)
            return await self._read(request.caller, asked)
        except RoostError as error:
            fault = fault_of(error)
            headers = (*self._cluster(), _index_field(fault.index), JSON)
            return Answer(fault.status, fault.body, headers)

    async def _taken(self, steps: Costs[T]) -> T:
        """What steps come to, over as many turns as they cost."""
        cost = 0
        while True:
            try:
                cost += next(steps)
            except StopIteration as end:
                come_to: T = end.value
                return come_to
            if cost >= SLICE_ROWS:
                cost = 0
                await self._turns.take()

    async def _written(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Pieces, as they are made; those that are small together."""
        held, size = list[bytes](), 0
        for it in pieces:
            held.append(it)
            size += len(it)
            if size >= PIECE_BYTES:
                yield b"".join(held)
                held, size = [], 0
                await self._turns.take()
        if held:
            yield b"".join(held)

    def _cluster(self) -> Fields:
        return ((b"x-etcd-cluster-id", b"%x" % self._border.replica.cluster_id),)

    def _head(self, index: int) -> Fields:
        """What stands before an answer; `index` is the store's."""
        replica = self._border.replica
        applied_index = replica.store.held_views.glimpse().index
        return (
            *self._cluster(),
            JSON,
            _index_field(index),
            (b"x-raft-index", b"%d" % applied_index),
            (b"x-raft-term", b"%d" % replica.term),
        )

    async def _change(self, caller: Caller, asked: Change) -> Answer | Streaming:
        """Have the leader do it.

        Raises:
            RoostError: it was not done, or nobody knows.

        """
        border = self._border
        if border.replica.is_learner:
            raise errors.not_for_learner()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def settle(outcome: bytes | RoostError) -> None:
            settle_future(future, outcome)

        border.write(caller, CHANGE, changes.encode(asked), settle, settle)
        outcome = changes.decode_outcome(await self._in_time(future))
        head = self._head(outcome.index)
        if not isinstance(outcome, Done):
            fault = Fault(outcome.reason, outcome.cause, outcome.index)
            return self._said(fault.status, head[:-2], fault.pieces(), len(outcome.cause))
        status = 201 if outcome.is_new else 200
        event = history.decode(history.event_key(outcome.index), outcome.row)
        if asked.is_silent and asked.kind in changes.SILENT:
            return Answer(status, b'{"action":"%b"}\n' % history.NAMES[event.action], head)
        return self._said(status, head, event.pieces(), len(outcome.row))

    def _said(
        self, status: int, head: Fields, pieces: Iterator[bytes], size: int
    ) -> Answer | Streaming:
        """An answer; piece by piece when what it is about takes so many bytes."""
        if size <= PIECE_BYTES:
            return Answer(status, b"".join(pieces), head)
        return Streaming(head, self._written(pieces), lambda: None, status)

    async def _in_time(self, future: asyncio.Future[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._request_s):
                return await future
        except TimeoutError:
            raise OutcomeUnknown("no answer came in time") from None

    async def _admit(self, caller: Caller, *, is_quorum: bool) -> None:
        """Go on when this member may answer.

        Raises:
            RoostError: it may not, or cannot in time.

        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._border.admit(
            caller,
            Judge.need_root,
            lambda: settle_future(future, b""),
            lambda error: settle_future(future, error),
            is_local=not is_quorum,
        )
        if not future.done():
            await self._in_time(future)
        else:
            future.result()

    async def _read(self, caller: Caller, asked: Reading) -> Answer:
        """Show a node and what is below it.

        Raises:
            RoostError: there is none, or it cannot be read now.

        """
        await self._admit(caller, is_quorum=asked.is_quorum)
        seen = 0

        def read(view: View, write: Write) -> Costs[None]:
            nonlocal seen
            trees = self._trees
            seen = history.now(trees, view).index
            node = nodes.find(trees, view, asked.path, seen)
            write(b'{"action":"get","node":')
            yield from listed(
                trees,
                view,
                asked.path,
                node,
                write,
                recursive=asked.is_recursive,
                now_ns=self._now_ns(),
            )
            write(b"}\n")

        try:
            body = await self._reads.read(read)
        except RoostError:
            self.counts.failed += 1
            raise
        self.counts.succeeded += 1
        return Answer(200, body, self._head(seen))

    async def _watch(self, request: Request, asked: Reading) -> Streaming:
        """Tell of changes as they come.

        Raises:
            RoostError: what is asked for is kept no longer, or too many watch.

        """
        await self._admit(request.caller, is_quorum=False)
        head = self._head(self._index)
        watcher = self._hub.open(
            asked.path,
            asked.wait_index,
            is_recursive=asked.is_recursive,
            is_stream=asked.is_stream,
        )
        is_quiet = request.headers.get(HEARTBEAT_HEADER, b"").strip().lower() == b"off"
        heartbeat_s = None if is_quiet else self._heartbeat_s or None
        close = partial(self._hub.close, watcher)
        return Streaming(head, self._told(watcher, heartbeat_s), close)

    async def _told(self, watcher: Watcher, heartbeat_s: float | None) -> AsyncIterator[bytes]:
        """What a watcher is told, and a newline whenever that is nothing for so long."""
        while True:
            if watcher.has_pending:
                async for it in self._written(watcher.take_pieces()):
                    yield it
            elif watcher.is_over:
                if watcher.fault is not None:
                    yield watcher.fault.body
                return
            else:
                self._hub.follow(watcher)
                if not await watcher.wait(heartbeat_s):
                    yield b"\n"


def _index_field(index: int) -> tuple[bytes, bytes]:
    return (b"x-etcd-index", b"%d" % index)
