"""What a call is, whoever carries it: a request, who sent it, and how it is answered.

Services are written against this and nothing else.  gRPC (`server.calls`) and the JSON gateway
(`server.gateway`) carry calls today; tests and the simulator carry them by hand.  A route says
which of two kinds a method is:

    Unary     one request, one answer: the handler answers through its `Call`, now or later
    Stream    any number of messages both ways: the opener gets a `StreamCall`, and gives back
              the `StreamHandler` that hears what the client sends

What a handler raises ends its call, and no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from roost.flow import Flow


class Code(IntEnum):
    """How a call ended (grpc: doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def go_name(self) -> str:
        """As Go's gRPC writes it: in the texts of etcd's errors, and in its metrics."""
        return _GO_NAMES.get(self.name) or self.name.title().replace("_", "")


_GO_NAMES = {"OK": "OK", "CANCELLED": "Canceled"}


class Status(NamedTuple):
    """How a call ended, and why; the text is empty when all is well."""

    code: int
    text: str


class Caller(Protocol):
    """Who sent a request, and from where; empty texts when that is not said.

    With others it shares work as `flow` says, as long as nobody has to be somebody.
    """

    @property
    def token(self) -> str: ...
    @property
    def certificate_name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def flow(self) -> Flow: ...


class Sending(Protocol):
    """An answer that leaves in parts, because it is long; when all of it was sent, the call ends.

    Whoever sends looks at `pending_bytes`, stops when it is much, and goes on when `on_drain` is
    called.  That is called as well when nobody waits for the answer any more.
    """

    on_drain: Callable[[], None] | None

    def send(self, part: bytes) -> None:
        """Send the next bytes of the message."""

    @property
    def pending_bytes(self) -> int:
        """What was sent and has not left yet."""


class Call(Caller, Protocol):
    """A unary call; answered once, now or later."""

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or nobody waits for an answer any more."""

    def reply(self, message: bytes) -> None:
        """Answer with a message."""

    def reply_in_parts(self, size: int) -> Sending:
        """Answer with a message of `size` bytes that follow; `fail` may yet end it early."""

    def fail(self, code: int, text: str) -> None:
        """Answer with a status (`Code`)."""


class StreamCall(Caller, Protocol):
    """A bidirectional stream as its server sees it."""

    on_drain: Callable[[], None] | None

    def send(self, message: bytes) -> None:
        """Queue one message."""

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Queue messages, in order."""

    def finish(self, code: int, text: str) -> None:
        """End the stream with a status (`Code`)."""

    @property
    def pending_bytes(self) -> int:
        """What was sent and has not left yet."""


class StreamHandler(Protocol):
    """What a stream's server does with what comes in."""

    def on_message(self, message: bytes) -> None:
        """The client sent a message."""

    def on_half_close(self) -> None:
        """The client will send no more."""

    def on_cancel(self) -> None:
        """The stream is gone; nothing may be sent."""


class Gathered:
    """An answer in parts for whoever carries it whole."""

    on_drain: Callable[[], None] | None = None
    pending_bytes = 0

    def __init__(self, size: int, reply: Callable[[bytes], None]) -> None:
        """Call `reply` with the whole message."""
        self._left = size
        self._reply = reply
        self._parts: list[bytes] = []

    def send(self, part: bytes) -> None:
        """Gather."""
        self._parts.append(part)
        self._left -= len(part)
        assert self._left >= 0, "no more is sent than was said"
        if not self._left:
            self._reply(b"".join(self._parts))


UnaryHandler = Callable[[Call, bytes], None]
OpenStream = Callable[[StreamCall], StreamHandler]


@dataclass(frozen=True, slots=True)
class Unary:
    """A method with one request and one answer."""

    handle: UnaryHandler


@dataclass(frozen=True, slots=True)
class Stream:
    """A method whose client and server both send any number of messages."""

    open: OpenStream


Route = Unary | Stream
