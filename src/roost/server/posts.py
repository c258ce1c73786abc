"""A request over HTTP/1.1, for those who answer some: who sent it, and its body while it comes.

Full?  All bodies together have the room that requests over gRPC have (`bodies`).
"""

from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from starlette.types import Receive, Scope

from roost.exchange import TEXT, Answer
from roost.flow import Flow, flow_of
from roost.server.bodies import Bodies
from roost.tracing import is_on, traced

TOO_LARGE = Answer(413, b"http: request body too large\n", (TEXT,))


class Sender(NamedTuple):
    """Who sent a request."""

    token: str
    address: str
    flow: Flow
    # Over HTTP/1.1 a certificate lets in, and says nothing of users.
    certificate_name: str = ""


class Post:
    """The body of a request while it comes, and until it was answered (see `bodies`)."""

    needed_bytes = 0
    is_waiting = False
    has_place = False

    def __init__(self, bodies: Bodies, address: str) -> None:
        """Nothing has come."""
        self.address = address
        self.held_bytes = 0
        self.moved_s = 0.0
        self._bodies = bodies
        self._is_late = False
        self.data = bytearray()

    @property
    def sender(self) -> "Post":
        """One connection has one request at a time."""
        return self

    def add(self, data: bytes) -> bool:
        """More of it has come; False when there is no room for it."""
        self.data += data
        return not self._is_late and self._bodies.grow(self, len(self.data), monotonic())

    def on_whole(self) -> None:
        """All of it has come."""
        self._bodies.on_whole(self)

    def on_place(self) -> None:
        """It never waits for one."""

    def refuse(self, code: int, text: str) -> None:  # noqa: ARG002 - as `bodies` calls it
        """It has not come on, and others need the room; its connection ends in time (`http1`)."""
        self._is_late = True
        self.release()

    def release(self) -> None:
        """Keep nothing of it."""
        self.data = bytearray()
        self._bodies.release(self)


def unavailable(text: str) -> Answer:
    """What is told to who may ask again later."""
    return Answer(503, text.encode() + b"\n", (TEXT,))


async def leave(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def token_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Who says to send it; empty when nobody does."""
    for name, value in headers:
        if name in (b"authorization", b"grpc-metadata-token"):
            # InfluxDB's clients say Token.
            return value.decode("latin-1").removeprefix("Bearer ").removeprefix("Token ")
    return ""


def address_of(scope: Scope) -> str:
    """Where it comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def flow_of_scope(scope: Scope) -> Flow:
    """With whom it shares work."""
    client = scope.get("client")
    return flow_of(str(client[0]), int(client[1] or 0)) if client else flow_of("", 0)


def traced_flow_of(scope: Scope) -> Flow:
    """The same of a request that is whole, with the id that it may have (`roost.tracing`)."""
    flow = flow_of_scope(scope)
    if not is_on():
        return flow
    name = f"{scope['method']} {scope['raw_path'].decode('latin-1')}"
    return traced(flow, scope["headers"], name, address_of(scope))
