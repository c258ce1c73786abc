"""One gRPC call from its first bytes to its status (grpc: doc/PROTOCOL-HTTP2.md).

A request costs one object and one call of its handler; there is no task and no future for a
unary call.  What a call sends collects in the connection that carries it, and leaves in one write
at the end of the loop turn.

Full?  A message is at most `message_bytes_max` (etcd's limit and its answer); what was answered
and not read is bounded by `unread`, of all connections together.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol
from urllib.parse import quote

from roost.call import Code, Sending, UnaryHandler
from roost.flow import Flow
from roost.server.bodies import FULL, Bodies
from roost.server.compression import BadCompression, TooLarge, inflate
from roost.server.h2 import STREAM_WINDOW_BYTES, Answer, Connection, Stream
from roost.server.h2.hpack import encode_literal
from roost.server.methods import Head
from roost.server.unread import Unread
from roost.tracing import received

PREFIX_BYTES: Final = 5
_NOT_HERE: Final = -1
OVER: Final = -2
_OK: Final = Code.OK
_STATUS_200: Final = b"\x88"  # static table, entry 8
_CONTENT_TYPE: Final = encode_literal(b"content-type", b"application/grpc")
HEADERS: Final = _STATUS_200 + _CONTENT_TYPE
_OK_TRAILERS: Final = encode_literal(b"grpc-status", b"0")
_ANSWER: Final = Answer(HEADERS, _OK_TRAILERS)


class Carrier(Protocol):
    """The connection that a call came by."""

    h2: Connection
    message_bytes_max: int
    certificate_name: str
    address: str
    flow: Flow
    # When the bytes came that are being read.
    received_s: float
    is_flush_due: bool
    # What all connections were answered and have not read, and this one's part of it.
    unread: Unread
    unread_bytes: int
    # What is kept of requests that are not whole, of all connections.
    bodies: Bodies

    @property
    def unsent_bytes(self) -> int:
        """What its socket has not taken yet."""

    def schedule_flush(self) -> None:
        """Write everything at the end of this loop turn."""


class Call:
    """One call: what unary calls and streams have in common."""

    __slots__ = (
        "_begun_s",
        "_buffer",
        "_granted_bytes",
        "_is_begun",
        "deadline",
        "has_place",
        "head",
        "held_bytes",
        "is_done",
        "is_waiting",
        "moved_s",
        "needed_bytes",
        "on_drain",
        "sender",
        "stream",
    )

    def __init__(self, carrier: Carrier, stream: Stream, head: Head) -> None:
        """Answer `stream`, which began with `head`."""
        stream.state = self
        self.head = head
        self.sender = carrier
        self.stream = stream
        # What has come of a message that goes on; it grows in place, however small its parts are.
        self._buffer: bytearray | None = None
        self._begun_s = self.moved_s = carrier.received_s
        # Headers have left, since an answer in parts, or a stream, has begun.
        self._is_begun = False
        self.is_done = self.is_waiting = self.has_place = False
        self.deadline = 0.0
        # Of the message that has begun to come (see `bodies`): what is kept of it, what it needs,
        # and how much its stream's window was widened for it.
        self.held_bytes = self.needed_bytes = self._granted_bytes = 0
        # Called when what was sent has left.
        self.on_drain: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, by whatever side."""
        return self.is_done

    @property
    def pending_bytes(self) -> int:
        """What was sent on this stream and has not left yet."""
        return self.stream.pending_bytes + self.sender.unsent_bytes

    @property
    def token(self) -> str:
        """What the client says to be somebody; empty when it says nothing."""
        return self.head.token

    @property
    def certificate_name(self) -> str:
        """The common name of the client's certificate; empty when it has none."""
        return self.sender.certificate_name

    @property
    def address(self) -> str:
        """The network address that the client has; empty when it has none."""
        return self.sender.address

    @property
    def flow(self) -> Flow:
        """With whom it shares its turns: what comes by the same connection."""
        return self.sender.flow

    def feed(self, data: bytes) -> None:
        """Bytes of the request; deliver the messages they complete."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Whoever asked is gone: nothing is sent any more."""
        if not self.is_done:
            self.is_done = True
            self._note_end(Code.CANCELLED)

    def cancel(self) -> None:
        """The stream is gone."""
        self.abandon()
        self._let_go()

    def _note_end(self, code: int) -> None:
        figures = self.head.figures
        figures.ended[code] = figures.ended.get(code, 0) + 1
        figures.handling.note(monotonic() - self._begun_s)

    def expire(self) -> None:
        """The deadline has passed."""
        if not self.is_done:
            self.refuse(Code.DEADLINE_EXCEEDED, "context deadline exceeded")

    def fail(self, code: int, text: str) -> None:
        """End the call with a status."""
        self.finish(code, text)

    def finish(self, code: int, text: str) -> None:
        """End the call with a status; what was sent before leaves first."""
        if self.is_done:
            return
        self.is_done = True
        self._let_go()
        self._note_end(code)
        trailers = _OK_TRAILERS
        if code or text:
            trailers = encode_literal(b"grpc-status", b"%d" % code)
        if text:
            trailers += encode_literal(
                b"grpc-message", quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"").encode()
            )
        self._send_end(trailers)
        self.sender.schedule_flush()

    def _begin(self) -> None:
        self._is_begun = True
        self.sender.h2.send_headers(self.stream, HEADERS)

    def _send_end(self, trailers: bytes) -> None:
        """Headers and trailers are one block when nothing was sent between them."""
        head = b"" if self._is_begun else HEADERS
        self.sender.h2.send_trailers(self.stream, head + trailers)

    def _gather(self, data: bytes) -> bytes | bytearray:
        """All that has come and was not read."""
        if self._buffer is None:
            return data
        self._buffer += data
        return self._buffer

    def _keep(self, data: bytes | bytearray) -> bool:
        """Keep the beginning of a message until more of it comes; False when the call has failed.

        One that is larger than its stream's window waits for a place, and then for the rest.
        """
        if self._buffer is not data:
            self._buffer = bytearray(data)
        bodies, size = self.sender.bodies, len(data)
        if not bodies.grow(self, size, self.sender.received_s):
            self.refuse(*FULL)
            return False
        if not self.needed_bytes and size >= PREFIX_BYTES:
            needed = PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
            if needed > STREAM_WINDOW_BYTES:
                self.needed_bytes = needed
                bodies.ask(self)
        return True

    def refuse(self, code: int, text: str) -> None:
        """End the call, whoever answers it: because of what has come, or has not, or of us."""
        self.finish(code, text)

    def on_place(self) -> None:
        """There is a place for the whole message: its client may send the rest."""
        self._granted_bytes = self.needed_bytes - STREAM_WINDOW_BYTES
        self.sender.h2.widen_stream(self.stream, self._granted_bytes)
        self.sender.schedule_flush()

    def _let_go(self) -> None:
        """Keep nothing of a message that is over."""
        self._buffer = None
        if self.held_bytes or self.is_waiting:
            self.sender.bodies.release(self)
        self.needed_bytes = 0

    def _next_message(self, data: bytes | bytearray, offset: int) -> int:
        """Where the message at `offset` ends, or _NOT_HERE yet, or OVER: the call has failed."""
        end = len(data)
        if end - offset < PREFIX_BYTES:
            return _NOT_HERE
        if data[offset] and not self.head.is_compressed:
            text = "grpc: compressed flag set with identity or empty encoding"
            self.finish(Code.INTERNAL, text)
            return OVER
        length = int.from_bytes(data[offset + 1 : offset + PREFIX_BYTES], "big")
        limit = self.sender.message_bytes_max
        if length > limit:
            text = f"grpc: received message larger than max ({length} vs. {limit})"
            self.finish(Code.RESOURCE_EXHAUSTED, text)
            return OVER
        stop = offset + PREFIX_BYTES + length
        return stop if stop <= end else _NOT_HERE

    def _inflate(self, data: bytes) -> bytes | None:
        """A message that was compressed; None when the call has failed."""
        limit = self.sender.message_bytes_max
        try:
            return inflate(data, limit)
        except TooLarge:
            text = f"grpc: received message after decompression larger than max ({limit})"
            self.finish(Code.RESOURCE_EXHAUSTED, text)
        except BadCompression as error:
            text = f"grpc: failed to decompress the received message: {error}"
            self.finish(Code.INTERNAL, text)
        return None


class UnaryCall(Call):
    """One request, one answer; the handler answers once, now or later."""

    __slots__ = ("_handle", "_left_bytes")

    def __init__(self, carrier: Carrier, stream: Stream, head: Head, handle: UnaryHandler) -> None:
        """Give the request to `handle`."""
        super().__init__(carrier, stream, head)
        self._handle = handle
        # How much is to come of an answer in parts that has begun.
        self._left_bytes = 0

    def reply(self, message: bytes) -> None:
        """Answer."""
        if self.is_done:
            return
        self.is_done = True
        figures = self.head.figures
        figures.ended[_OK] += 1
        figures.handling.note(monotonic() - self._begun_s)
        if self.held_bytes:
            self._let_go()
        carrier = self.sender
        data = b"\0" + len(message).to_bytes(4, "big") + message
        carrier.h2.send_answer(self.stream, _ANSWER, data)
        if not carrier.is_flush_due:
            carrier.schedule_flush()
        size, unread = len(data), carrier.unread
        carrier.unread_bytes += size
        unread.bytes += size
        if unread.bytes > unread.bytes_max:
            unread.shrink()

    def _note_unread(self, size: int) -> None:
        carrier, unread = self.sender, self.sender.unread
        carrier.unread_bytes += size
        unread.bytes += size
        if unread.bytes > unread.bytes_max:
            unread.shrink()

    def reply_in_parts(self, size: int) -> Sending:
        """Answer with a message that follows by `send`."""
        assert size > 0, "an answer has a header"
        if not self.is_done:
            self._begin()
            self._left_bytes = size
            self.sender.h2.send_data(self.stream, b"\0" + size.to_bytes(4, "big"))
        return self

    def send(self, part: bytes) -> None:
        """Send a part of the answer; the last one ends the call."""
        if self.is_done or not part:
            return
        self._left_bytes -= len(part)
        assert self._left_bytes >= 0, "no more is sent than was said"
        self.sender.h2.send_data(self.stream, part)
        if not self._left_bytes:
            self.finish(_OK, "")
        self.sender.schedule_flush()
        self._note_unread(len(part))

    def finish(self, code: int, text: str) -> None:
        """End the call with a status."""
        super().finish(code, text)
        self._wake()

    def cancel(self) -> None:
        """The stream is gone."""
        super().cancel()
        self._wake()

    def _wake(self) -> None:
        """Nobody waits for more: who sends parts is told."""
        on_drain, self.on_drain = self.on_drain, None
        if on_drain is not None:
            on_drain()

    def feed(self, data: bytes) -> None:
        """Bytes of the request; it is handled when the stream has ended."""
        if self.is_done:
            return
        if (
            self._buffer is None
            and self.stream.is_remote_closed
            and is_message(data, self.sender.message_bytes_max)
        ):
            self._handle(self, data[PREFIX_BYTES:])
            return
        found = self._gather(data)
        stop = self._next_message(found, 0)
        if stop == OVER:
            return
        if 0 <= stop < len(found):
            self.finish(Code.INTERNAL, "grpc: a unary call has one message")
        elif not self.stream.is_remote_closed:
            self._keep(found)
        elif stop == _NOT_HERE:
            self.finish(Code.INTERNAL, "grpc: the request ended within a message")
        else:
            if self._buffer is not None:
                self._buffer = None
                self.sender.bodies.on_whole(self)
            message = cut(found, PREFIX_BYTES, stop)
            if found[0]:
                inflated = self._inflate(message)
                if inflated is None:
                    return
                message = inflated
            self._handle(self, message)


class TracedCall(UnaryCall):
    """One with an id, under which what becomes of it is noted (`roost.tracing`)."""

    __slots__ = ("_flow",)

    def __init__(self, carrier: Carrier, stream: Stream, head: Head, handle: UnaryHandler) -> None:
        """Note that it has come."""
        super().__init__(carrier, stream, head, handle)
        self._flow = received(carrier.flow, head.trace, head.path, carrier.address)

    @property
    def flow(self) -> Flow:
        """With whom it shares its turns, and its id."""
        return self._flow


def is_message(data: bytes, bytes_max: int) -> bool:
    """Whether this is one message, whole, not compressed and not too large, and nothing else."""
    size = len(data) - PREFIX_BYTES
    return (
        0 <= size <= bytes_max
        and not data[0]
        and int.from_bytes(data[1:PREFIX_BYTES], "big") == size
    )


def cut(data: bytes | bytearray, begin: int, end: int) -> bytes:
    """A part of what has come, copied once."""
    return data[begin:end] if isinstance(data, bytes) else bytes(memoryview(data)[begin:end])
