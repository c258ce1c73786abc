"""One request's way through the members, under one id that its client has given.

A client says an id with its request, as `traceparent` (W3C Trace Context) or `X-Request-Id`. While
somebody looks, each member that the request passes notes the steps: as lines of the log at debug
level, under the name of this module, and for whoever hears of whole ways (`sinks`; OpenTelemetry).

The id travels in the request's flow, from the port through all layers and to the leader. So a
request without one costs what it always did: a look at the class of its flow.

    port      received, then at the member that was asked: forwarded, answered
    leader    queued, run, proposed, durable, committed, applied, answered

Full?  An id has ID_CHARS_MAX characters; a longer one, or one with others than letters, digits and
`-._:`, is none. There are no more ways than requests under way, and each has a few steps. Of what
a client has named TEXT_CHARS_MAX characters are shown, without control characters.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from roost.flow import Flow

logger = logging.getLogger(__name__)
# A traceparent has as many.
ID_CHARS_MAX = 55
TEXT_CHARS_MAX = 200
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,%d}" % ID_CHARS_MAX)
_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
TRACEPARENT, REQUEST_ID = b"traceparent", b"x-request-id"


class Traced(Flow):
    """The flow of a request that has an id; with others it shares turns as without."""

    trace: str

    @classmethod
    def of(cls, flow: Flow, trace: str) -> "Traced":
        """That flow, with an id."""
        made = cls(flow.owner, flow.connection)
        made.trace = trace
        return made

    def as_user(self, user: str) -> Flow:
        """The same connection and id, and a user who has said who it is."""
        return Traced.of(super().as_user(user), self.trace)


@dataclass(frozen=True, slots=True)
class Step:
    """What happened, when, by the date in nanoseconds since 1970, and what belongs to it."""

    name: str
    at_ns: int
    facts: dict[str, str | int]


# Each is itself alone, whatever it holds.
@dataclass(slots=True, eq=False)
class Way:
    """What one member did for a request."""

    trace: str
    # The operation, or the method that was asked for.
    name: str
    place: str
    steps: list[Step] = field(default_factory=list)

    def note(self, step: str, **facts: str | int) -> None:
        """The request has come so far."""
        now_ns = time.time_ns()
        begun_ns = self.steps[0].at_ns if self.steps else now_ns
        self.steps.append(Step(step, now_ns, facts))
        if logger.isEnabledFor(logging.DEBUG):
            known = "".join(f" {name}={_shown(value)}" for name, value in facts.items())
            took = f"{(now_ns - begun_ns) / 1e6:.3f} ms"
            text = "%s %s at %s: %s after %s%s"
            told = {"trace": self.trace, "step": step}
            name = _shown(self.name)
            logger.debug(text, self.trace, name, self.place, step, took, known, extra=told)

    def end(self, step: str, **facts: str | int) -> None:
        """That was all of it at this member."""
        self.note(step, **facts)
        for sink in sinks:
            sink(self)


# Who hears of ways when they end; a sink returns at once and raises nothing.
sinks: list[Callable[[Way], None]] = []


def is_on() -> bool:
    """Whether anybody looks."""
    return bool(sinks) or logger.isEnabledFor(logging.DEBUG)


def id_of(fields: Iterable[tuple[bytes, bytes]]) -> str:
    """The id that the headers of a request say; empty when there is none.

    A traceparent counts more than another id.
    """
    found = b""
    for name, value in fields:
        if name == TRACEPARENT and _PARENT.fullmatch(value):
            return value.decode()
        if name == REQUEST_ID and _ID.fullmatch(value):
            found = value
    return found.decode()


def _shown(text: str | int) -> str:
    """As it stands in a line: what clients have named breaks none, and makes none long."""
    whole = str(text)
    cut = whole[:TEXT_CHARS_MAX]
    return (cut if cut.isprintable() else ascii(cut)) + "…" * (len(whole) > TEXT_CHARS_MAX)


def traced(flow: Flow, fields: Iterable[tuple[bytes, bytes]], name: str, place: str) -> Flow:
    """The flow of a request with such headers: itself where nobody looks."""
    trace = id_of(fields) if is_on() else ""
    return received(flow, trace, name, place) if trace else flow


def received(flow: Flow, trace: str, name: str, place: str) -> Flow:
    """Note that a request with an id has come, and give the flow that carries that."""
    Way(trace, name, place).end("received")
    return Traced.of(flow, trace)


def encoded_trace(flow: Flow) -> bytes:
    """What stands behind the owner of a flow, where that travels: the id, if there is one."""
    return b"\0" + flow.trace.encode() if isinstance(flow, Traced) else b""


def decoded_flow(owner: bytes, connection: int) -> Flow:
    """A flow as it has travelled.

    Raises:
        UnicodeDecodeError: the owner is no UTF-8.

    """
    if b"\0" in owner:
        name, _, trace = owner.rpartition(b"\0")
        if _ID.fullmatch(trace):
            flow = Flow(name.decode(), connection)
            return Traced.of(flow, trace.decode()) if is_on() else flow
    return Flow(owner.decode(), connection)
