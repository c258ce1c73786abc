"""/v2/keys: reads, changes and watches of the tree (etcd: api/v2http/client.go).

A read is answered by this member, as it is here; with `quorum` it has seen everything that was
acknowledged before.  A change goes to the leader.  Who may is asked of the `gate`.  Whoever waits
gets the head of the answer at once, and hears a newline now and then while nothing happens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from roost.database.model import View
from roost.errors import CallerGone, OutcomeUnknown, RoostError
from roost.etcd import errors
from roost.etcd.border import Border
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v2 import changes, history, nodes
from roost.etcd.v2.changes import CHANGE
from roost.etcd.v2.faults import Fault, Reason, fault_of
from roost.etcd.v2.forms import Reading, is_short, read_long_request, read_request
from roost.etcd.v2.gate import Gate, asked_key, is_slashed
from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.leading import Leading
from roost.etcd.v2.listing import listed
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.paths import child_of, is_too_long
from roost.etcd.v2.patience import Patience
from roost.etcd.v2.piecewise import written
from roost.etcd.v2.reads import Reads, Write
from roost.etcd.v2.telling import Telling
from roost.etcd.v2.users import Wanted
from roost.etcd.v2.values import Change, Done, Failed, decode_outcome, encode
from roost.etcd.v2.watch_hub import WatchHub
from roost.exchange import JSON, Answer, Fields, Reply, Request, Streaming
from roost.outcome import told_read
from roost.slices import Turns
from roost.tasks import Tasks

T = TypeVar("T")

METHODS = ("HEAD", "GET", "PUT", "POST", "DELETE")
# A client that wants none of the newlines says so with `off` in this header.
HEARTBEAT_HEADER: Final = b"x-roost-heartbeat"
_POSTED: Final = b"0" * 20


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
        gate: Gate,
        leading: Leading,
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
        self._cluster = (b"x-etcd-cluster-id", b"%x" % border.replica.cluster_id)
        self._gate = gate
        self._leading = leading
        self._trees = trees
        self._reads = reads
        self._hub = hub
        self._now_ns = now_ns
        self._patience = Patience(request_s)
        self._heartbeat_s = heartbeat_s
        self._beats = Patience(heartbeat_s)
        # What is read of requests, and written of answers, beyond what costs nothing.
        self._turns = Turns(1)
        # Requests and reads that take more than a turn.
        self._tasks = Tasks()
        self.counts = ReadCounts()

    @property
    def _index(self) -> int:
        return history.now(self._trees, self._border.replica.view).index

    def begin(self, request: Request, path: bytes, reply: Reply) -> None:
        """Answer a request to the node of a path, now or later."""
        if not is_short(request):
            self._begin_slowly(request, path, reply)
            return
        try:
            asked = read_request(request, path)
        except RoostError as error:
            reply(self._refused(error))
        else:
            self._do(request, path, asked, reply)

    def _begin_slowly(self, request: Request, path: bytes, reply: Reply) -> None:
        """The same, for what may take more than a turn to read."""
        steps, cost = read_long_request(request, path), 0
        try:
            while cost < SLICE_ROWS:
                cost += next(steps)
        except StopIteration as end:
            self._do(request, path, end.value, reply)
        except RoostError as error:
            reply(self._refused(error))
        else:
            self._tasks.start(self._begin_long(request, path, steps, reply))

    async def _begin_long(
        self, request: Request, path: bytes, steps: Costs[Reading | Change], reply: Reply
    ) -> None:
        """The same, for what does."""
        await self._turns.take()
        try:
            asked = await self._taken(steps)
        except RoostError as error:
            reply(self._refused(error))
        else:
            self._do(request, path, asked, reply)

    def _do(self, request: Request, path: bytes, asked: Reading | Change, reply: Reply) -> None:
        """Do what is asked, now or later."""
        try:
            if is_too_long(child_of(path, _POSTED)):
                raise Fault(Reason.INVALID_FIELD, "the key is too long, or too deep", self._index)
            if isinstance(asked, Change) or asked.is_consistent:
                elsewhere = self._leading.elsewhere(request)
                if elsewhere is not None:
                    reply(elsewhere)
                    return
            if isinstance(asked, Change):
                self._change(request, asked, reply)
            elif asked.is_wait and self._gate.asks_nobody:
                self._watch(request, asked, reply)
            elif asked.is_wait:
                self._admit(request, asked, partial(self._watch, request, asked, reply), reply)
            else:
                self._admit(request, asked, partial(self._show, asked, reply), reply)
        except RoostError as error:
            reply(self._refused(error))

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

    def _refused(self, error: RoostError) -> Answer:
        fault = fault_of(error)
        headers = (self._cluster, _index_field(fault.index), JSON)
        return Answer(fault.status, fault.body, headers)

    def _head(self, index: int) -> Fields:
        """What stands before an answer; `index` is the store's."""
        replica = self._border.replica
        applied_index = replica.store.held_views.newest_index()
        return (
            self._cluster,
            JSON,
            _index_field(index),
            (b"x-raft-index", b"%d" % applied_index),
            (b"x-raft-term", b"%d" % replica.term),
        )

    def _change(self, request: Request, asked: Change, reply: Reply) -> None:
        """Have the leader do it.

        Raises:
            RoostError: it cannot be asked.

        """
        border = self._border
        if border.replica.is_learner:
            raise errors.not_for_learner()

        def told(outcome: bytes | RoostError) -> None:
            if not wait.end():
                return  # it was said already that nobody knows
            if isinstance(outcome, RoostError):
                reply(self._refused(outcome))
                return
            reply(self._told_of(asked, decode_outcome(outcome)))

        wait = self._patience.begin(lambda: reply(self._refused(_late())))
        self._gate.write(
            request.caller,
            CHANGE,
            encode(asked),
            told,
            told,
            request.waiting,
            is_slashed=is_slashed(request),
        )

    def _told_of(self, asked: Change, outcome: Done | Failed) -> Answer | Streaming:
        """What a client is told of what came of its change."""
        head = self._head(outcome.index)
        if not isinstance(outcome, Done):
            fault = Fault(outcome.reason, outcome.cause, outcome.index)
            return self._said(fault.status, head[:-2], fault.pieces(), len(outcome.cause))
        status = 201 if outcome.is_new else 200
        is_silent = asked.is_silent and asked.kind in changes.SILENT
        told = None if is_silent else self._hub.told(outcome.index)
        if told is not None:
            return Answer(status, told.text, head)
        event = history.decode(history.event_key(outcome.index), outcome.row)
        if is_silent:
            return Answer(status, b'{"action":"%b"}\n' % history.NAMES[event.action], head)
        if len(outcome.row) <= PIECE_BYTES:
            return Answer(status, history.text_of(event), head)
        return self._said(status, head, history.pieces_of(event), len(outcome.row))

    def _said(
        self, status: int, head: Fields, pieces: Iterator[bytes], size: int
    ) -> Answer | Streaming:
        """An answer; piece by piece when what it is about takes so many bytes."""
        if size <= PIECE_BYTES:
            return Answer(status, b"".join(pieces), head)
        return Streaming(head, written(pieces, self._turns), lambda: None, status)

    def _admit(
        self,
        request: Request,
        asked: Reading,
        allowed: Callable[[], None],
        reply: Reply,
    ) -> None:
        """Go on when this member may answer; what `allowed` raises is the answer."""
        wait = self._patience.begin(lambda: reply(self._refused(_late())))

        def go_on() -> None:
            if wait.end():
                try:
                    allowed()
                except RoostError as error:
                    reply(self._refused(error))

        def refused(error: RoostError) -> None:
            if wait.end():
                reply(self._refused(error))

        key = asked_key(asked.path, is_slashed=is_slashed(request))
        self._gate.admit(
            request.caller,
            Wanted(key, writes=False, is_recursive=asked.is_recursive),
            go_on,
            refused,
            is_local=asked.is_wait or not asked.is_quorum,
            waiting=request.waiting,
        )

    def _show(self, asked: Reading, reply: Reply) -> None:
        """Show a node and what is below it, when a turn has time for that."""

        def begin(error: RoostError | None) -> None:
            try:
                if error is not None:
                    raise error
                self._show_now(asked, reply)
            except RoostError as refused:
                reply(self._refused(refused))

        self._reads.when_turn(partial(told_read(begin), None))

    def _show_now(self, asked: Reading, reply: Reply) -> None:
        """Show it, now or when it was read.

        Raises:
            RoostError: there is none.

        """
        reading = _Showing(self._trees, asked, self._now_ns())
        try:
            body = self._reads.read_now(reading.read)
        except RoostError:
            self.counts.failed += 1
            raise
        if body is None:
            self._tasks.start(self._show_long(reading, reply))
        else:
            self.counts.succeeded += 1
            reply(Answer(200, body, self._head(reading.index)))

    async def _show_long(self, reading: "_Showing", reply: Reply) -> None:
        try:
            body = await self._reads.read_pieces(reading.read)
        except RoostError as error:
            self.counts.failed += 1
            reply(self._refused(error))
        else:
            self.counts.succeeded += 1
            pieces = written(body, self._turns)
            reply(Streaming(self._head(reading.index), pieces, lambda: None, is_made=True))

    def _watch(self, request: Request, asked: Reading, reply: Reply) -> None:
        """Tell of changes as they come.

        Raises:
            RoostError: what is asked for is kept no longer, or too many watch.

        """
        if request.waiting is not None and request.waiting.is_over:
            raise CallerGone("nobody waits for it any more")
        head = self._head(self._index)
        watcher = self._hub.open(
            asked.path,
            asked.wait_index,
            is_recursive=asked.is_recursive,
            is_stream=asked.is_stream,
        )
        is_quiet = request.headers.get(HEARTBEAT_HEADER, b"").strip().lower() == b"off"
        beats = None if is_quiet or not self._heartbeat_s else self._beats
        telling = Telling(self._hub, watcher, beats, self._turns)
        reply(Streaming(head, telling, telling.close, quick=telling))

    def stop(self) -> None:
        """Nobody is late any more."""
        self._patience.stop()
        self._beats.stop()

    async def close(self) -> None:
        """Read no more."""
        await self._tasks.close()


class _Showing:
    """A node that is read, and the index of the state that it was read in."""

    __slots__ = ("_asked", "_now_ns", "_trees", "index")

    def __init__(self, trees: Trees, asked: Reading, now_ns: int) -> None:
        self._trees = trees
        self._asked = asked
        self._now_ns = now_ns
        self.index = 0

    def read(self, view: View, write: Write) -> Costs[None]:
        trees, asked = self._trees, self._asked
        self.index = history.now(trees, view).index
        try:
            node = nodes.find(trees, view, asked.path, self.index)
        except Fault:  # to say where the way ends, all of it may have been looked at
            yield asked.path.count(b"/")
            raise
        write(b'{"action":"get","node":')
        yield from listed(
            trees,
            view,
            asked.path,
            node,
            write,
            recursive=asked.is_recursive,
            now_ns=self._now_ns,
        )
        write(b"}\n")


def _late() -> OutcomeUnknown:
    return OutcomeUnknown("no answer came in time")


def _index_field(index: int) -> tuple[bytes, bytes]:
    return (b"x-etcd-index", b"%d" % index)
