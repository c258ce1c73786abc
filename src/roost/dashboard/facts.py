"""What a member says of itself to the others while somebody looks: two kinds of frames.

    65    asks; nothing is in it
    66    tells: `Facts` as msgpack, a map by names

A field that one of two versions does not know is left out, or has its default: members of several
versions see of each other what both know.  A member without this room drops what it is asked.
"""

import msgspec

from roost.errors import PeerFault

# For ever (`member/protocol.py`).
FRAME_ASK, FRAME_TELL = 65, 66


class MalformedFacts(PeerFault):
    """A member has told what nobody says of itself."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long one peer took to answer heartbeats, as the member that leads has seen it.

    Times are milliseconds; `failed_count` counts frames for it that were dropped.
    """

    member: str
    is_open: bool = False
    answered_count: int = 0
    failed_count: int = 0
    last_ms: float = 0.0
    mean_ms: float = 0.0
    deviation_ms: float = 0.0
    least_ms: float = 0.0
    most_ms: float = 0.0


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the store on its way to a member, of what that one lacked when it began."""

    member: str
    is_joining: bool = False
    sent_bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One member at one moment; ids are hexadecimal, indexes are positions of the log.

    What ends in `_count` or `_total_s` counts from the member's start and only grows.
    """

    role: str = ""
    leader: str = ""
    term: int = 0
    first_index: int = 0
    last_index: int = 0
    commit_index: int = 0
    applied_index: int = 0
    durable_index: int = 0
    journal_bytes: int = 0
    db_bytes: int = 0
    db_in_use_bytes: int = 0
    quota_bytes: int = 0
    disk_free_bytes: int = 0
    version: str = ""
    uptime_s: float = 0.0
    is_fenced: bool = False
    # What was counted, for graphs: a page divides what came since it looked last by the time.
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    latencies: tuple[Latency, ...] = ()
    sendings: tuple[Sending, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Facts)


def encode(facts: Facts) -> bytes:
    """As they travel."""
    return _ENCODER.encode(facts)


def decode(body: bytes) -> Facts:
    """What a member has told.

    Raises:
        MalformedFacts: these are none.

    """
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedFacts(f"facts of a member: {error}") from error
