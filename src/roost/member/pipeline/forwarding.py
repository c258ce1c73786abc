"""Requests that a follower hands to the leader, and their answers.

How both travel stands in `forwarded`.

An answer is held until this member has applied that position, too: whoever wrote through it, and
then reads here without a barrier, sees what was written, and revisions never go back (issue 12).

An answer whose id nobody waits for is dropped: its caller has been told `OutcomeUnknown`.  With
each tick it is looked whether callers are gone, and the leader is told for which requests: those
that have not begun there are dropped.

Callers of whom many are told at once, because a link broke, their time is over or what they wait
for is applied, are told so many in a turn (`slices`); an answer that comes meanwhile still counts.
When the table of waiting requests is full, a new one is refused with `Overloaded`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import NamedTuple

from roost.errors import NotExecuted, NotLeader, OutcomeUnknown, Overloaded
from roost.flow import OWN, Flow
from roost.member.errors import AnswerLate, LeaderSilent, RequestTooLarge
from roost.member.pipeline.forwarded import (
    BODY_BYTES_MAX,
    FRAME_BYTES,
    decode_answers,
    encode_gone,
    encode_request,
)
from roost.member.pipeline.traces import Traces
from roost.outcome import Done, Outcome, Waiting
from roost.slices import Slices

WAITING_COUNT_MAX = 50_000
# Of those who wait, so many are asked with a tick whether they still do.
LOOKS_A_TICK = 4096


class Sent:
    """A request that has no answer so far: who waits, and until when.

    No dataclass, because each request of a follower makes one (`batch.Request`).
    """

    __slots__ = ("deadline_tick", "done", "leader", "waiting")

    def __init__(
        self, done: Done, leader: int, deadline_tick: int, waiting: Waiting | None = None
    ) -> None:
        """It is on its way."""
        self.done = done
        self.leader = leader
        self.deadline_tick = deadline_tick
        self.waiting = waiting


class Held(NamedTuple):
    """An answer that waits until `wanted_index` is applied; those of one index in their order."""

    wanted_index: int
    order: int
    deadline_tick: int
    done: Done
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Deposed:
    """A leader that was, and until when it may answer the requests before an id."""

    deadline_tick: int
    leader: int
    before_id: int


class Forwarder:
    """Requests on their way to the leader, and who waits for them.

    `send(leader, buffers)` puts one frame on the link and says whether it was taken.  Requests
    collect until `flush`, so that one loop turn costs one frame.
    """

    def __init__(
        self,
        send: Callable[[int, list[bytes]], bool],
        *,
        applied_index: Callable[[], int],
        slices: Slices,
        timeout_ticks: int,
        grace_ticks: int,
        first_id: int = 1,
        send_gone: Callable[[int, bytes], object] = lambda _leader, _ids: None,
        traces: Traces | None = None,
    ) -> None:
        """Start with nothing on its way; `grace_ticks` is how long a deposed leader may answer.

        `applied_index()` is what this member has applied; `on_applied` follows when it grows.

        `send_gone(leader, ids)` tells the leader for whom nobody waits; it may be lost.

        `first_id` must be new with each life of a member: an answer meant for the life before
        would acknowledge what never ran (simulator, seed 1873).
        """
        self._send = send
        self._send_gone = send_gone
        self._slices = slices
        self._traces = traces or Traces()
        self._looked_at = 0
        self._applied_index = applied_index
        self._timeout_ticks = timeout_ticks
        self._grace_ticks = grace_ticks
        self._next_id = first_id
        self._waiting: dict[int, Sent] = {}  # by request id
        # Up to here they were found to be too late, and are told so.
        self._expired_id = 0
        self._held: list[Held] = []  # a heap
        self._order = count()
        self._batch: list[bytes] = []
        self._batch_ids: list[int] = []
        self._batch_bytes = 0
        self._batch_leader = 0
        self._deposed: deque[Deposed] = deque()

    def __len__(self) -> int:
        """Requests whose caller has no answer so far."""
        return len(self._waiting) + len(self._held)

    def forward(
        self,
        leader: int,
        name: str,
        body: bytes,
        done: Done,
        now_ticks: int,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        """Queue one request for `leader`; `flush` must follow in the same loop turn."""
        if type(flow) is not Flow:
            done = self._traces.forward(flow, name, leader, done)
        if len(self) >= WAITING_COUNT_MAX:
            done(Overloaded("too many requests are on their way"))
            return
        if len(body) > BODY_BYTES_MAX:
            done(RequestTooLarge(f"{len(body)} bytes are more than a frame holds"))
            return
        if leader != self._batch_leader or self._batch_bytes > FRAME_BYTES:
            self.flush()
            self._batch_leader = leader
        request_id = self._next_id
        self._next_id += 1
        self._waiting[request_id] = Sent(done, leader, now_ticks + self._timeout_ticks, waiting)
        self._batch += encode_request(request_id, name, body, flow)
        self._batch_ids.append(request_id)
        self._batch_bytes += len(body)

    def flush(self) -> None:
        """Send what has collected; what the link does not take did not run."""
        if not self._batch:
            return
        buffers, ids = self._take_batch()
        if not self._send(self._batch_leader, buffers):
            self._hand_back(ids)

    def _take_batch(self) -> tuple[list[bytes], list[int]]:
        taken = self._batch, self._batch_ids
        self._batch, self._batch_ids, self._batch_bytes = [], [], 0
        return taken

    def _hand_back(self, ids: list[int]) -> None:
        """These requests have not left, so they did not run."""
        for request_id in ids:
            sent = self._waiting.pop(request_id, None)
            if sent is not None:  # an answer to an id that a peer made up has ended it
                sent.done(NotLeader("there is no link to the leader"))

    def on_answers(self, sender: int, frame: bytes) -> None:
        """Hand the leader's answers to those who wait, or hold them until all of it is applied.

        Raises:
            MalformedForward: the frame does not follow the format; nothing was handed on.

        """
        index, records = decode_answers(frame)
        is_applied = index <= self._applied_index()
        for request_id, outcome in records:
            sent = self._waiting.get(request_id)
            if sent is None or sent.leader != sender:
                continue  # given up before, and its caller told so
            del self._waiting[request_id]
            # What did not run leaves nothing to be seen, and may be tried again at once.
            if is_applied or isinstance(outcome, NotExecuted):
                sent.done(outcome)
            else:
                held = Held(index, next(self._order), sent.deadline_tick, sent.done, outcome)
                heappush(self._held, held)

    def on_applied(self, index: int) -> None:
        """Hand on what waited until everything up to `index` is applied here."""
        if self._held and self._held[0].wanted_index <= index:
            self._slices.run(self._showing(index))

    def _showing(self, index: int) -> Iterator[None]:
        while self._held and self._held[0].wanted_index <= index:
            it = heappop(self._held)
            it.done(it.outcome)
            yield

    def on_deposed(self, leader: int, now_ticks: int) -> None:
        """Another leads now: `leader` may still say, for a while, that our requests did not run."""
        self._deposed.append(Deposed(now_ticks + self._grace_ticks, leader, self._next_id))

    def give_up(self, leader: int | None = None, before_id: int | None = None) -> None:
        """Tell those who wait that their outcome is unknown; what has not left did not run.

        `leader` limits it to the requests sent there, `before_id` to the older ones.
        """
        if before_id is None and leader in (None, self._batch_leader):
            self._hand_back(self._take_batch()[1])
        ids = [
            request_id
            for request_id, sent in self._waiting.items()
            if (leader is None or sent.leader == leader)
            and (before_id is None or request_id < before_id)
        ]
        if ids:
            self._slices.run(self._giving_up(ids, _silent))

    def _giving_up(
        self, ids: Sequence[int], error_of: Callable[[Sent], OutcomeUnknown]
    ) -> Iterator[None]:
        """Tell each that its outcome is unknown, unless it has one by now."""
        for request_id in ids:
            sent = self._waiting.pop(request_id, None)
            if sent is not None:
                sent.done(error_of(sent))
                yield

    def expire(self, now_ticks: int) -> None:
        """Give up requests whose time is over; they stand in the order of their deadlines."""
        while self._deposed and self._deposed[0].deadline_tick <= now_ticks:
            deposed = self._deposed.popleft()
            self.give_up(deposed.leader, deposed.before_id)
        self._expire_held(now_ticks)
        late: list[int] = []
        for request_id, sent in self._waiting.items():
            if sent.deadline_tick > now_ticks:
                break
            if request_id > self._expired_id:
                late.append(request_id)
        if late:
            self._expired_id = late[-1]
            self._slices.run(self._giving_up(late, _late))

    def leave_unwanted(self) -> None:
        """Look at some who wait, and tell leaders of those who do not any more.

        What of that still stands in their queues is dropped there; what became of the rest nobody
        asks.
        """
        count = len(self._waiting)
        begin, self._looked_at = self._looked_at, self._looked_at + LOOKS_A_TICK
        if self._looked_at >= count:
            self._looked_at = 0
        gone: dict[int, list[int]] = {}
        for request_id, sent in islice(self._waiting.items(), begin, begin + LOOKS_A_TICK):
            if sent.waiting is not None and sent.waiting.is_over:
                gone.setdefault(sent.leader, []).append(request_id)
        for leader, ids in gone.items():
            self._send_gone(leader, encode_gone(ids))
            self._slices.run(self._giving_up(ids, _unwanted))

    def _expire_held(self, now_ticks: int) -> None:
        """Give up answers that this member cannot show yet: it is cut off, or far behind."""
        late = [it for it in self._held if it.deadline_tick <= now_ticks]
        if late:
            self._held = [it for it in self._held if it.deadline_tick > now_ticks]
            heapify(self._held)
            self._slices.run(_telling_late(late))


def _silent(sent: Sent) -> OutcomeUnknown:
    return LeaderSilent(f"member {sent.leader:x} has not answered")


def _late(_sent: Sent) -> OutcomeUnknown:
    return AnswerLate("the leader has not answered in time")


def _unwanted(_sent: Sent) -> OutcomeUnknown:
    return AnswerLate("nobody waits for the answer any more")


def _telling_late(held: Sequence[Held]) -> Iterator[None]:
    for it in held:
        it.done(AnswerLate("this member has not applied the answer's position in time"))
        yield
