"""What is forwarded, as it travels: requests of a follower, and the leader's answers.

Two frame kinds on the peer link, integers big-endian.  A frame holds any number of records, so
one loop turn's requests travel together; a frame of answers begins with the log position (u64)
that the leader had applied when it answered:

    request   u64 id, u8 name length, u32 body length, u16 connection, u8 owner length,
              name (ASCII), owner (UTF-8), body
    answer    u64 id, u8 outcome,     u32 body length, body

    owner and connection say whose request it is (`roost.flow`): the leader gives turns to clients,
    wherever they came in.  Of a request with an id (`roost.tracing`) u8 0 and that stand behind the
    owner; a version that knows no ids takes all of it for the owner, which does no harm

    outcome 0 done     body is the operation's result
            1 refused  body is u8 gRPC code and its text in UTF-8, as a data model refused, or
                       u8 0 and a name with its text, as a member did
            2 astray   it did not run: the member asked does not lead (any more)
            3 unknown  it may have taken effect; body is a name with its text
            4 full     it did not run: the leader has too many requests, or too little memory;
                       body is a name with its text

A third kind of frame has u64 ids alone: of requests for which nobody waits any more at the member
that handed them on.  It is advice, so it stands among the kinds that a member may drop.

A name is that of a leaf in `member/errors.py`, u8 0 behind it: the member that forwards raises the
same leaf as the leader, so its client is told the same.  A name that is not known here stands for
its family.

No frame is larger than a link takes: requests and answers are spread over frames of about
FRAME_BYTES, a request above BODY_BYTES_MAX is refused, and an answer above it is an outcome that
cannot be told.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple, TypeVar

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
from roost.member.errors import AnswerTooLarge, MalformedForward
from roost.outcome import Outcome
from roost.raft.types import COUNT_MAX
from roost.tracing import decoded_flow, encoded_trace

_HEAD: Final = Struct(">QBI")
_ID_BYTES: Final = 8
_REQUEST_HEAD: Final = Struct(">QBIHB")
_APPLIED: Final = Struct(">Q")
CODE_MAX: Final = 16  # the last of gRPC's
FRAME_BYTES: Final = 4 << 20
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
    if type(flow) is not Flow:
        owner += encoded_trace(flow)
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
            flow = decoded_flow(frame[owner_begin:body_begin], connection)
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


def encode_gone(ids: Sequence[int]) -> bytes:
    """Build a frame that says for which requests nobody waits any more."""
    return b"".join([it.to_bytes(_ID_BYTES, "big") for it in ids])


def decode_gone(frame: bytes) -> list[int]:
    """Split it.

    Raises:
        MalformedForward: the frame ends early.

    """
    if len(frame) % _ID_BYTES:
        raise MalformedForward("a frame of ids ends early")
    places = range(0, len(frame), _ID_BYTES)
    return [int.from_bytes(frame[it : it + _ID_BYTES], "big") for it in places]


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
