"""gRPC over our HTTP/2 (grpc: doc/PROTOCOL-HTTP2.md): calls, streams, deadlines, errors.

A request costs a dictionary look-up, one object and one call of its handler; there is no task
and no future for a unary call.  Answers collect in the connection and leave in one write at the
end of the loop turn.

Full?  A message is at most `message_bytes_max` (etcd's limit and its answer); a connection whose
client does not read is not read from either until it does; what was answered before is bounded by
`unread`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Protocol, cast
from urllib.parse import quote

from roost.histogram import CALL_BOUNDS_S, Histogram
from roost.server.compression import ENCODINGS, BadCompression, TooLarge, inflate
from roost.server.h2 import (
    STREAMS_MAX,
    Answer,
    Connection,
    ConnectionBroken,
    ErrorCode,
    Stream,
    Unfinished,
)
from roost.server.h2.hpack import HEADER_LIST_BYTES_MAX, encode_literal
from roost.server.unread import Unread
from roost.tls import common_name

logger = logging.getLogger(__name__)

OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED = 0, 1, 2, 4
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14
_PREFIX_BYTES = 5
_NOT_HERE, _OVER = -1, -2
# gRPC clients send the first, the JSON gateway's the second (etcd: rpctypes/metadatafields.go).
_TOKEN_FIELDS = (b"token", b"authorization")
SERVER_STOPPED = (UNAVAILABLE, "etcdserver: server stopped")
NO_LEADER = (UNAVAILABLE, "etcdserver: no leader")
_STATUS_200 = b"\x88"  # static table, entry 8
_CONTENT_TYPE = encode_literal(b"content-type", b"application/grpc")
_HEADERS = _STATUS_200 + _CONTENT_TYPE
_ANSWER = Answer(_HEADERS, encode_literal(b"grpc-status", b"0"))
TIMEOUT_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS_MAX = 8
LEADERLESS_S = 3.0


class StreamHandler(Protocol):
    """What a stream's server does with what comes in."""

    def on_message(self, message: bytes) -> None:
        """The client sent a message."""

    def on_half_close(self) -> None:
        """The client will send no more."""

    def on_cancel(self) -> None:
        """The stream is gone."""


UnaryHandler = Callable[["UnaryCall", bytes], None]
StreamOpener = Callable[["StreamingCall"], StreamHandler]


class Route(Protocol):
    """A method: it has `handle` for unary calls, or `open` for streams."""


class MethodFigures:
    """How often a method was called, how the calls ended (by gRPC status), how long they took."""

    __slots__ = ("ended", "handling", "started_count")

    def __init__(self) -> None:
        """Nobody has called."""
        self.started_count = 0
        self.ended: dict[int, int] = {OK: 0}
        self.handling = Histogram(CALL_BOUNDS_S)


class Head:
    """What the headers of a request say; one object for all equal requests."""

    __slots__ = (
        "figures",
        "http_status",
        "is_compressed",
        "needs_leader",
        "opener",
        "refusal",
        "timeout_s",
        "token",
        "unary",
    )

    def __init__(self) -> None:
        """Nothing is known."""
        self.unary: UnaryHandler | None = None
        self.opener: StreamOpener | None = None
        self.refusal: tuple[int, str] | None = None
        self.http_status = 0
        self.timeout_s: float | None = None
        self.token = ""
        self.needs_leader = False
        self.is_compressed = False
        self.figures = MethodFigures()


class Call:
    """One call: what unary calls and streams have in common."""

    __slots__ = ("_begun_s", "_buffer", "_protocol", "_stream", "deadline", "head", "is_done")

    def __init__(self, protocol: "GrpcProtocol", stream: Stream, head: Head) -> None:
        """Answer `stream`, which began with `head`."""
        stream.state = self
        self.head = head
        self._protocol = protocol
        self._stream = stream
        self._buffer = b""
        self._begun_s = protocol.received_s
        self.is_done = False
        self.deadline = 0.0

    @property
    def token(self) -> str:
        """What the client says to be somebody; empty when it says nothing."""
        return self.head.token

    @property
    def certificate_name(self) -> str:
        """The common name of the client's certificate; empty when it has none."""
        return self._protocol.certificate_name

    @property
    def address(self) -> str:
        """The network address that the client has; empty when it has none."""
        return self._protocol.address

    def feed(self, data: bytes) -> None:
        """Bytes of the request; deliver the messages they complete."""
        raise NotImplementedError

    def cancel(self) -> None:
        """The stream is gone."""
        self.is_done = True

    def expire(self) -> None:
        """The deadline has passed."""
        if not self.is_done:
            self.finish(DEADLINE_EXCEEDED, "context deadline exceeded")

    def fail(self, code: int, text: str) -> None:
        """End the call with a status."""
        self.finish(code, text)

    def finish(self, code: int, text: str) -> None:
        """End the call with a status; what was sent before leaves first."""
        if self.is_done:
            return
        self.is_done = True
        figures = self.head.figures
        figures.ended[code] = figures.ended.get(code, 0) + 1
        figures.handling.note(monotonic() - self._begun_s)
        trailers = encode_literal(b"grpc-status", b"%d" % code)
        if text:
            trailers += encode_literal(
                b"grpc-message", quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"").encode()
            )
        self._send_end(trailers)
        self._protocol.schedule_flush()

    def _send_end(self, trailers: bytes) -> None:
        """Headers and trailers are one block when nothing was sent between them."""
        self._protocol.h2.send_trailers(self._stream, _HEADERS + trailers)

    def _next_message(self, data: bytes, offset: int) -> int:
        """Where the message at `offset` ends, or _NOT_HERE yet, or _OVER: the call has failed."""
        end = len(data)
        if end - offset < _PREFIX_BYTES:
            return _NOT_HERE
        if data[offset] and not self.head.is_compressed:
            text = "grpc: compressed flag set with identity or empty encoding"
            self.finish(INTERNAL, text)
            return _OVER
        length = int.from_bytes(data[offset + 1 : offset + _PREFIX_BYTES], "big")
        limit = self._protocol.message_bytes_max
        if length > limit:
            text = f"grpc: received message larger than max ({length} vs. {limit})"
            self.finish(RESOURCE_EXHAUSTED, text)
            return _OVER
        stop = offset + _PREFIX_BYTES + length
        return stop if stop <= end else _NOT_HERE

    def _inflate(self, data: bytes) -> bytes | None:
        """A message that was compressed; None when the call has failed."""
        limit = self._protocol.message_bytes_max
        try:
            return inflate(data, limit)
        except TooLarge:
            text = f"grpc: received message after decompression larger than max ({limit})"
            self.finish(RESOURCE_EXHAUSTED, text)
        except BadCompression as error:
            text = f"grpc: failed to decompress the received message: {error}"
            self.finish(INTERNAL, text)
        return None


class UnaryCall(Call):
    """One request, one answer; the handler answers once, now or later."""

    __slots__ = ("_handle",)

    def __init__(
        self, protocol: "GrpcProtocol", stream: Stream, head: Head, handle: "UnaryHandler"
    ) -> None:
        """Give the request to `handle`."""
        super().__init__(protocol, stream, head)
        self._handle = handle

    def reply(self, message: bytes) -> None:
        """Answer."""
        if self.is_done:
            return
        self.is_done = True
        figures = self.head.figures
        figures.ended[OK] += 1
        figures.handling.note(monotonic() - self._begun_s)
        protocol = self._protocol
        data = b"\0" + len(message).to_bytes(4, "big") + message
        protocol.h2.send_answer(self._stream, _ANSWER, data)
        if not protocol.is_flush_due:
            protocol.schedule_flush()
        size, unread = len(data), protocol.server.unread
        protocol.unread_bytes += size
        unread.bytes += size
        if unread.bytes > unread.bytes_max:
            unread.shrink(protocol.server.connections)

    def feed(self, data: bytes) -> None:
        """Bytes of the request; it is handled when the stream has ended."""
        if self.is_done:
            return
        if self._buffer:
            data = self._buffer + data
        stop = self._next_message(data, 0)
        if stop == _OVER:
            return
        if 0 <= stop < len(data):
            self.finish(INTERNAL, "grpc: a unary call has one message")
        elif not self._stream.is_remote_closed:
            self._buffer = data
        elif stop == _NOT_HERE:
            self.finish(INTERNAL, "grpc: the request ended within a message")
        else:
            self._buffer = b""
            message = data[_PREFIX_BYTES:]
            if data[0]:
                inflated = self._inflate(message)
                if inflated is None:
                    return
                message = inflated
            self._handle(self, message)


class StreamingCall(Call):
    """Any number of messages both ways."""

    __slots__ = ("_handler", "_is_begun", "_is_left", "on_drain")

    def __init__(
        self, protocol: "GrpcProtocol", stream: Stream, head: Head, opener: "StreamOpener"
    ) -> None:
        """Open the handler."""
        super().__init__(protocol, stream, head)
        self._is_begun = self._is_left = False
        self.on_drain: Callable[[], None] | None = None
        self._handler = opener(self)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, by whatever side."""
        return self.is_done

    @property
    def pending_bytes(self) -> int:
        """What was sent on this stream and has not left yet."""
        return self._stream.pending_bytes + self._protocol.unsent_bytes

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.send_all((message,))

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Send messages, in one piece."""
        if self.is_done:
            return
        h2 = self._protocol.h2
        if not self._is_begun:
            self._is_begun = True
            h2.send_headers(self._stream, _HEADERS)
        parts = [part for it in messages for part in (b"\0", len(it).to_bytes(4, "big"), it)]
        h2.send_data(self._stream, b"".join(parts))
        self._protocol.schedule_flush()

    def _send_end(self, trailers: bytes) -> None:
        if self._is_begun:
            self._protocol.h2.send_trailers(self._stream, trailers)
        else:
            super()._send_end(trailers)

    def feed(self, data: bytes) -> None:
        """Bytes of the request; deliver the messages they complete."""
        if self.is_done:
            return
        if self._buffer:
            data = self._buffer + data
        offset = 0
        while (stop := self._next_message(data, offset)) >= 0:
            sent = data[offset + _PREFIX_BYTES : stop]
            message = self._inflate(sent) if data[offset] else sent
            if message is None:
                stop = _OVER
                break
            self._handler.on_message(message)
            offset = stop
            if self.is_over:
                return  # the handler has ended the call
        self._buffer = data[offset:]
        if stop == _OVER:
            self._leave()
        elif self._stream.is_remote_closed:
            if self._buffer:
                self.finish(INTERNAL, "grpc: the request ended within a message")
                self._leave()
            else:
                self._handler.on_half_close()

    def cancel(self) -> None:
        """The stream is gone."""
        self.is_done = True
        self._leave()

    def expire(self) -> None:
        """The deadline has passed."""
        if not self.is_done:
            super().expire()
            self._leave()

    def _leave(self) -> None:
        """Tell the handler, once, that the stream is gone."""
        if not self._is_left:
            self._is_left = True
            self._handler.on_cancel()


class GrpcServer:
    """What all connections share: routes, limits, deadlines."""

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        *,
        message_bytes_max: int,
        unread_bytes_max: int,
        has_leader: Callable[[], bool] = lambda: True,
        streams_max: int = STREAMS_MAX,
        leaderless_s: float = LEADERLESS_S,
    ) -> None:
        """`routes` maps a path to an object with `handle` or `open`.

        Calls that need a leader are refused while `has_leader` says there is none; streams that
        need one end `leaderless_s` later (etcd: v3rpc.monitorLeader).
        """
        self.message_bytes_max = message_bytes_max
        self.has_leader = has_leader
        self.streams_max = streams_max
        self._leaderless_s = leaderless_s
        self._leader_seen_s = 0.0
        self._unary: dict[bytes, UnaryHandler] = {}
        self._openers: dict[bytes, StreamOpener] = {}
        for path, route in routes.items():
            handle = getattr(route, "handle", None)
            if handle is not None:
                self._unary[path] = handle
            else:
                self._openers[path] = route.open  # type: ignore[attr-defined]  # see Route
        self.figures = {path: MethodFigures() for path in routes}
        self._services = {path.split(b"/")[1] for path in routes}
        self.connections: set[GrpcProtocol] = set()
        self.unfinished = Unfinished()
        self.unread = Unread(unread_bytes_max)
        self.received_bytes = self.sent_bytes = 0
        self._unflushed: list[GrpcProtocol] = []

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> Head:
        """Read a request's headers; whatever is wrong with them becomes its answer."""
        head = Head()
        path = content_type = method = b""
        for name, value in fields:
            if name == b":path":
                path = value
            elif name == b":method":
                method = value
            elif name == b"content-type":
                content_type = value
            elif name == b"grpc-timeout":
                head.timeout_s = parse_timeout(value)
                if head.timeout_s is None:
                    head.refusal = (INTERNAL, "malformed grpc-timeout")
            elif name in _TOKEN_FIELDS:
                head.token = value.decode(errors="replace").removeprefix("Bearer ")
            elif name == b"hasleader":
                head.needs_leader = value == b"true"
            elif name == b"grpc-encoding" and value in ENCODINGS:
                head.is_compressed = value != b"identity"
            elif name == b"grpc-encoding":
                encoding = value.decode(errors="replace")
                text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
                head.refusal = (UNIMPLEMENTED, text)
        if method != b"POST":
            head.http_status = 405
        elif not content_type.startswith(b"application/grpc"):
            head.http_status = 415
        head.figures = self.figures.get(path, head.figures)
        head.unary = self._unary.get(path)
        head.opener = self._openers.get(path)
        if head.unary is None and head.opener is None and head.refusal is None:
            head.refusal = (UNIMPLEMENTED, self._unknown(path))
        return head

    def make_large_head(self) -> Head:
        """Refuse a request whose headers are too large; nobody else on its connection notices."""
        head = Head()
        text = f"grpc: received metadata larger than max ({HEADER_LIST_BYTES_MAX} bytes)"
        head.refusal = (RESOURCE_EXHAUSTED, text)
        return head

    def _unknown(self, path: bytes) -> str:
        """grpc-go's words for a method that is not there."""
        service, _, method = path[1:].rpartition(b"/")
        if service in self._services:
            return (
                f"unknown method {method.decode(errors='replace')} for service {service.decode()}"
            )
        return f"unknown service {service.decode(errors='replace')}"

    def schedule_flush(self, protocol: "GrpcProtocol") -> None:
        """Let a connection write at the end of this loop turn, with all others that must."""
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unflushed.append(protocol)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for protocol in unflushed:
            try:
                protocol.flush()
            except Exception:
                logger.exception("a connection could not be written to")
                protocol.abort()

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed; a few times a second."""
        if self.has_leader():
            self._leader_seen_s = now
        is_leaderless = self._leader_seen_s and now > self._leader_seen_s + self._leaderless_s
        for protocol in self.connections:
            protocol.tick(now)
            if is_leaderless:
                protocol.end_streams(*NO_LEADER, only_leaderless=True)


def address_of(peername: object) -> str:
    """The host in a socket's name; a socket of the file system has none."""
    return str(peername[0]) if isinstance(peername, tuple) and peername else ""


def parse_timeout(value: bytes) -> float | None:
    """A grpc-timeout in seconds; None when it is malformed."""
    text = value.decode("ascii", errors="replace")
    unit = TIMEOUT_UNITS.get(text[-1:])
    digits = text[:-1]
    if unit is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS_MAX:
        return None
    return int(digits) * unit


class GrpcProtocol(asyncio.Protocol):
    """One client connection."""

    def __init__(
        self,
        server: GrpcServer,
        on_lost: Callable[["GrpcProtocol"], None],
        *,
        trusts_certificates: bool = False,
    ) -> None:
        """Wait for the transport."""
        self._trusts_certificates = trusts_certificates
        self.server = server
        self.message_bytes_max = server.message_bytes_max
        self.h2 = Connection(self, streams_max=server.streams_max, unfinished=server.unfinished)
        self.is_flush_due = False
        # When the bytes came that are being read.
        self.received_s = 0.0
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._deadlines: dict[int, Call] = {}
        self._is_paused = False
        # What was answered and has not left, as last counted.
        self.unread_bytes = 0
        self.certificate_name = self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._transport = transport
        if self._trusts_certificates:
            self.certificate_name = common_name(transport.get_extra_info("peercert"))
        self.address = address_of(transport.get_extra_info("peername"))
        self._loop = asyncio.get_running_loop()
        self.server.connections.add(self)
        self.schedule_flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.received_s = monotonic()
        self.server.received_bytes += len(data)
        try:
            self.h2.receive(data)
        except ConnectionBroken as error:
            logger.info("client connection closed: %s (%s)", error.text, error.code.name)
            self._abandon(error.code, error.text)
            return
        if self.h2.out and not self.is_flush_due:
            self.schedule_flush()

    def _abandon(self, code: ErrorCode, text: str) -> None:
        self.h2.go_away(code, text)
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The client is gone: so are its calls."""
        self._transport = None
        self.server.connections.discard(self)
        self.h2.drop_block()
        self.h2.forget()  # we and it hold each other: nobody else does that soon
        self.server.unread.recount(self, 0)
        streams, self.h2.streams = list(self.h2.streams.values()), {}
        for stream in streams:
            self.on_reset(stream)
        self._on_lost(self)

    # --- the owner of the HTTP/2 connection ----------------------------------------------------

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        """Read a request's headers."""
        return self.server.make_head(fields)

    def make_large_head(self) -> object:
        """Refuse a request whose headers are too large."""
        return self.server.make_large_head()

    def on_headers(self, stream: Stream, head: object) -> None:
        """A call begins."""
        assert isinstance(head, Head), "make_head made it"
        if head.http_status:
            block = encode_literal(b":status", b"%d" % head.http_status)
            self.h2.send_trailers(stream, block)
            return
        head.figures.started_count += 1
        if head.needs_leader and not self.server.has_leader():
            Call(self, stream, head).finish(*NO_LEADER)
            return
        if head.refusal is not None:
            Call(self, stream, head).finish(*head.refusal)
            return
        call: Call
        if head.unary is not None:
            call = UnaryCall(self, stream, head, head.unary)
        else:
            assert head.opener is not None, "there is a route, or a refusal"
            try:
                call = StreamingCall(self, stream, head, head.opener)
            except Exception as error:  # noqa: BLE001 - one call must not cost the others
                self._on_failure(Call(self, stream, head), error)
                return
        if head.timeout_s is not None:
            call.deadline = self._loop.time() + head.timeout_s
            self._deadlines[stream.id] = call
        if stream.is_remote_closed:
            self.on_data(stream, b"")

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Bytes of a request."""
        call: Call = stream.state
        try:
            call.feed(data)
        except Exception as error:  # noqa: BLE001 - one call must not cost the others
            self._on_failure(call, error)

    def _step(self, call: Call, step: Callable[[], None]) -> None:
        """Take one step of a call; what it raises ends that call, and nothing else."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - one call must not cost the others
            self._on_failure(call, error)

    def _on_failure(self, call: Call, error: Exception) -> None:
        """End a call whose handler raised: answered once, logged, and forgotten."""
        logger.error("a handler failed", exc_info=error)
        call.finish(INTERNAL, "internal error")
        try:
            call.cancel()
        except Exception:
            logger.exception("a handler failed when its call was ended")

    def on_reset(self, stream: Stream) -> None:
        """The client gave a call up."""
        self._deadlines.pop(stream.id, None)
        call: Call | None = stream.state
        if call is not None:
            self._step(call, call.cancel)

    def on_drain(self, stream: Stream) -> None:
        """The windows have let out what was pending."""
        call = stream.state
        if isinstance(call, StreamingCall) and call.on_drain is not None and not call.is_done:
            try:
                call.on_drain()
            except Exception as error:  # noqa: BLE001 - one call must not cost the others
                self._on_failure(call, error)

    # --- going out -------------------------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """What the socket has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def schedule_flush(self) -> None:
        """Write everything at the end of this loop turn."""
        if not self.is_flush_due:
            self.is_flush_due = True
            self.server.schedule_flush(self)

    def flush(self) -> None:
        """Write what has collected."""
        self.is_flush_due = False
        if self._transport is not None and self.h2.out:
            output = self.h2.take_output()
            self.server.sent_bytes += len(output)
            self._transport.write(output)
        if self.unread_bytes:
            self._recount()

    def _recount(self) -> None:
        self.server.unread.recount(self, self.unsent_bytes + self.h2.blocked_bytes)

    def give_up(self) -> None:
        """Keep nothing more for a client that does not read: it finds its connection broken."""
        self.h2.forget()
        for stream in self.h2.streams.values():
            if isinstance(stream.state, UnaryCall):
                stream.state.cancel()  # streams hear of it when the connection is gone
        self.abort()

    def pause_writing(self) -> None:
        """The client does not read: do not take more from it either."""
        if self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._transport is not None and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
            self._recount()
        for stream in list(self.h2.streams.values()):
            self.on_drain(stream)

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed."""
        self.h2.tick()
        if self.unread_bytes:
            self._recount()
        for stream_id, call in list(self._deadlines.items()):
            if call.is_done:
                del self._deadlines[stream_id]
            elif call.deadline <= now:
                del self._deadlines[stream_id]
                self._step(call, call.expire)

    def end_streams(self, code: int, text: str, *, only_leaderless: bool = False) -> None:
        """End all streams, or those that need a leader."""
        for stream in list(self.h2.streams.values()):
            call = stream.state
            if not isinstance(call, StreamingCall) or call.is_done:
                continue
            if call.head.needs_leader or not only_leaderless:
                call.finish(code, text)
                self._step(call, call.cancel)

    def drain(self) -> None:
        """Take no new calls."""
        self.h2.go_away(ErrorCode.NO_ERROR)
        self.schedule_flush()

    def abort(self) -> None:
        """Close at once; what has not left is lost."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close, whatever is open."""
        self.flush()
        if self._transport is not None:
            self._transport.close()
