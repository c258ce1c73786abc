"""Requests that a follower hands to the leader, and their answers.

Two frame kinds on the peer link, integers big-endian.  A frame holds any number of records, so
one loop turn's requests travel together; a frame of answers begins with the log position (u64)
that the leader had applied when it answered:

    request   u64 id, u8 name length, u32 body length, u16 connection, u8 owner length,
              name (ASCII), owner (UTF-8), body
    answer    u64 id, u8 outcome,     u32 body length, body

    owner and connection say whose request it is (`roost.flow`): the leader gives turns to clients,
    wherever they came in

    outcome 0 done     body is the operation's result
            1 refused  body is u8 gRPC code and its text in UTF-8, as a data model refused, or
                       u8 0 and a name with its text, as a member did
            2 astray   it did not run: the member asked does not lead (any more)
            3 unknown  it may have taken effect; body is a name with its text
            4 full     it did not run: the leader has too many requests, or too little memory;
                       body is a name with its text, or a text of an older version

A name is that of a leaf in `member/errors.py`, u8 0 behind it: the member that forwards raises the
same leaf as the leader, so its client is told the same.  A name that is not known here stands for
its family.

No frame is larger than a link takes: requests and answers are spread over frames of about
FRAME_BYTES, a request above BODY_BYTES_MAX is refused, and an answer above it is an outcome that
cannot be told.

An answer is held until this member has applied that position, too: whoever wrote through it, and
then reads here without a barrier, sees what was written, and revisions never go back (issue 12).

An answer whose id nobody waits for is dropped: its caller has been told `OutcomeUnknown`.
When the table of waiting requests is full, a new one is refused with `Overloaded`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from struct import Struct
from struct import error as StructError
from typing import NamedTuple, TypeVar

from roost.errors import (
    ModelRefused,
    NotExecuted,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
    ShortOfMemory,
)
from roost.flow import OWN, Flow
from roost.member import errors
from roost.member.errors import (
    AnswerLate,
    AnswerTooLarge,
    LeaderSilent,
    MalformedForward,
    RequestTooLarge,
)
from roost.outcome import Done, Outcome
from roost.raft.types import COUNT_MAX

_HEAD = Struct(">QBI")
_REQUEST_HEAD = Struct(">QBIHB")
_APPLIED = Struct(">Q")
WAITING_COUNT_MAX = 50_000
CODE_MAX = 16  # the last of gRPC's
FRAME_BYTES = 4 << 20
BODY_BYTES_MAX = 64 << 20
Kind = TypeVar("Kind", bound=RoostError)


class Ending(IntEnum):
    """How a forwarded operation ended."""

    DONE = 0
    REFUSED = 1
    ASTRAY = 2
    UNKNOWN = 3
    FULL = 4


class Forwarded(NamedTuple):
    """One request as a follower handed it over; `id` is the follower's own."""

    id: int
    name: str
    body: bytes
    flow: Flow


def encode_request(request_id: int, name: str, body: bytes, flow: Flow = OWN) -> list[bytes]:
    """Build one request record; the body is not copied."""
    label, owner = name.encode("ascii"), flow.owner.encode(errors="backslashreplace")
    head = _REQUEST_HEAD.pack(request_id, len(label), len(body), flow.connection, len(owner))
    return [head + label + owner, body]


def decode_requests(frame: bytes) -> list[Forwarded]:
    """Split a frame into the requests it holds.

    Raises:
        MalformedForward: the frame ends early, a name is not ASCII or an owner no UTF-8.

    """
    records: list[Forwarded] = []
    offset = 0
    try:
        while offset < len(frame):
            head = _REQUEST_HEAD.unpack_from(frame, offset)
            request_id, name_bytes, body_bytes, connection, owner_bytes = head
            begin = offset + _REQUEST_HEAD.size
            owner_begin = begin + name_bytes
            body_begin = owner_begin + owner_bytes
            offset = body_begin + body_bytes
            if offset > len(frame):
                raise MalformedForward("a forwarded request ends early")
            name = frame[begin:owner_begin].decode("ascii")
            flow = Flow(frame[owner_begin:body_begin].decode(), connection)
            records.append(Forwarded(request_id, name, frame[body_begin:offset], flow))
    except (StructError, UnicodeDecodeError) as error:
        raise MalformedForward(str(error)) from error
    return records


def encode_answer(request_id: int, outcome: Outcome) -> list[bytes]:
    """Build one answer record from what `Done` was called with."""
    if isinstance(outcome, bytes) and len(outcome) > BODY_BYTES_MAX:
        outcome = AnswerTooLarge(f"{len(outcome)} bytes")
    match outcome:
        case bytes():
            ending, body = Ending.DONE, outcome
        case ModelRefused():
            ending, body = Ending.REFUSED, bytes([outcome.code]) + outcome.text.encode()
        case Refused():
            ending, body = Ending.REFUSED, bytes(1) + _named(outcome)
        case Overloaded():
            ending, body = Ending.FULL, _named(outcome)
        case NotExecuted():
            ending, body = Ending.ASTRAY, str(outcome).encode()
        case _:
            ending, body = Ending.UNKNOWN, _named(outcome)
    return [_HEAD.pack(request_id, ending, len(body)), body]


def encode_applied(index: int) -> bytes:
    """Begin a frame of answers: what the leader has applied."""
    return _APPLIED.pack(index)


def decode_answers(frame: bytes) -> tuple[int, list[tuple[int, Outcome]]]:
    """Split a frame into the position the leader had applied, and (id, outcome) each.

    Raises:
        MalformedForward: the frame ends early or holds an unknown outcome.

    """
    records: list[tuple[int, Outcome]] = []
    try:
        (index,) = _APPLIED.unpack_from(frame)
        if index > COUNT_MAX:
            raise MalformedForward(f"nobody has applied position {index}")
        offset = _APPLIED.size
        while offset < len(frame):
            request_id, ending, body_bytes = _HEAD.unpack_from(frame, offset)
            offset += _HEAD.size + body_bytes
            if offset > len(frame):
                raise MalformedForward("a forwarded answer ends early")
            body = frame[offset - body_bytes : offset]
            records.append((request_id, _answer(ending, body)))
    except (StructError, UnicodeDecodeError) as error:
        raise MalformedForward(str(error)) from error
    return index, records


def _answer(ending: int, body: bytes) -> Outcome:
    match ending:
        case Ending.DONE:
            return body
        case Ending.REFUSED if body and not body[0]:
            return _by_name(body[1:], _REFUSALS, Refused)
        case Ending.REFUSED if body and body[0] <= CODE_MAX:
            return ModelRefused(body[0], body[1:].decode())
        case Ending.ASTRAY:
            return NotLeader(body.decode())
        case Ending.FULL:
            return _by_name(body, _FULL, Overloaded)
        case Ending.UNKNOWN:
            return _by_name(body, _UNKNOWNS, OutcomeUnknown)
        case _:
            raise MalformedForward(f"outcome {ending} of {len(body)} bytes is none")


def _named(error: RoostError) -> bytes:
    """The name and the text of an error; a text may quote what is no Unicode."""
    return f"{type(error).__name__}\0{error}".encode(errors="backslashreplace")


def _by_name(body: bytes, kinds: Mapping[str, type[Kind]], family: type[Kind]) -> Kind:
    """What `_named` was given."""
    name, _, text = body.decode().partition("\0")
    return kinds.get(name, family)(text)


def _leaves(family: type[Kind]) -> Mapping[str, type[Kind]]:
    """The leaves of a family in `member/errors.py`, by name."""
    found = vars(errors).items()
    return {name: it for name, it in found if isinstance(it, type) and issubclass(it, family)}


_FULL: Mapping[str, type[Overloaded]] = {"ShortOfMemory": ShortOfMemory}
_REFUSALS, _UNKNOWNS = _leaves(Refused), _leaves(OutcomeUnknown)


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A request that has no answer so far: who waits, and until when."""

    done: Done
    leader: int
    deadline_tick: int


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
        timeout_ticks: int,
        grace_ticks: int,
        first_id: int = 1,
    ) -> None:
        """Start with nothing on its way; `grace_ticks` is how long a deposed leader may answer.

        `applied_index()` is what this member has applied; `on_applied` follows when it grows.

        `first_id` must be new with each life of a member: an answer meant for the life before
        would acknowledge what never ran (simulator, seed 1873).
        """
        self._send = send
        self._applied_index = applied_index
        self._timeout_ticks = timeout_ticks
        self._grace_ticks = grace_ticks
        self._next_id = first_id
        self._waiting: dict[int, Sent] = {}  # by request id
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
    ) -> None:
        """Queue one request for `leader`; `flush` must follow in the same loop turn."""
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
        self._waiting[request_id] = Sent(done, leader, now_ticks + self._timeout_ticks)
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
        held = self._held
        while held and held[0].wanted_index <= index:
            it = heappop(held)
            it.done(it.outcome)

    def on_deposed(self, leader: int, now_ticks: int) -> None:
        """Another leads now: `leader` may still say, for a while, that our requests did not run."""
        self._deposed.append(Deposed(now_ticks + self._grace_ticks, leader, self._next_id))

    def give_up(self, leader: int | None = None, before_id: int | None = None) -> None:
        """Tell those who wait that their outcome is unknown; what has not left did not run.

        `leader` limits it to the requests sent there, `before_id` to the older ones.
        """
        if before_id is None and leader in (None, self._batch_leader):
            self._hand_back(self._take_batch()[1])
        for request_id, sent in list(self._waiting.items()):
            if before_id is not None and request_id >= before_id:
                return
            if leader is None or sent.leader == leader:
                self._waiting.pop(request_id, None)
                sent.done(LeaderSilent(f"member {sent.leader:x} has not answered"))

    def expire(self, now_ticks: int) -> None:
        """Give up requests whose time is over; they stand in the order of their deadlines."""
        while self._deposed and self._deposed[0].deadline_tick <= now_ticks:
            deposed = self._deposed.popleft()
            self.give_up(deposed.leader, deposed.before_id)
        self._expire_held(now_ticks)
        for request_id, sent in list(self._waiting.items()):
            if sent.deadline_tick > now_ticks:
                return
            self._waiting.pop(request_id, None)
            sent.done(AnswerLate("the leader has not answered in time"))

    def _expire_held(self, now_ticks: int) -> None:
        """Give up answers that this member cannot show yet: it is cut off, or far behind."""
        late = [it for it in self._held if it.deadline_tick <= now_ticks]
        if late:
            self._held = [it for it in self._held if it.deadline_tick > now_ticks]
            heapify(self._held)
        for it in late:
            it.done(AnswerLate("this member has not applied the answer's position in time"))
