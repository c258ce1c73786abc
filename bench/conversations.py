"""Clients of one server that wait for an answer before they ask again, over few connections.

`h2load` sends one request again and again; whoever needs another key each time, or what was
answered, is a conversation: a generator that yields `Ask`s and is sent the answers.  This client
reads frames and looks at nothing else, so that it costs little of the processors that it shares
with what is measured; what it costs is the same for whoever is asked.
"""

import selectors
import socket
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from roost.server.h2 import PREFACE
from roost.server.h2 import frames as h2
from roost.server.h2.hpack import Decoder

_WINDOW = (1 << 31) - 1
_READ_BYTES = 1 << 18
# How long nothing at all may come.
_SILENCE_S = 60.0
_PREFIX_BYTES = 5
# The fields of each request that stand in HPACK's static table, and the others: literals that the
# other side keeps when they come first, then their places in its table (RFC 7541 sections 2.3, 6).
_METHOD_AND_SCHEME = b"\x83\x86"
_KEPT_BEFORE = b"\xc0\xbf\xbe"


@dataclass(frozen=True, slots=True)
class Ask:
    """One unary call."""

    path: bytes
    request: bytes


Conversation = Generator[Ask, bytes, None]


class CallFailed(Exception):
    """A call that had to succeed did not."""


def _string(data: bytes) -> bytes:
    assert len(data) < 127, "a length of one byte"
    return bytes([len(data)]) + data


def _kept_first(authority: bytes) -> bytes:
    return (
        b"\x41" + _string(authority) + b"\x5f" + _string(b"application/grpc")
        + b"\x40" + _string(b"te") + _string(b"trailers")
    )  # fmt: skip


class _Connection:
    """One connection and the conversations on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answered_count = 0
        self._authority = b"127.0.0.1:%d" % port
        self._has_asked = False
        self._decoder = Decoder()
        self._stream_id = 1
        self._asking: dict[int, Conversation] = {}
        self._answers: dict[int, bytes] = {}
        # What may be sent, on the connection and on a stream that begins.
        self._room = self._stream_room = h2.WINDOW_DEFAULT
        # Those for whose request there is no room yet.
        self._waiting: deque[tuple[Conversation, Ask]] = deque()
        self._rest = b""
        self._out = bytearray(
            PREFACE
            + h2.settings({h2.INITIAL_WINDOW_SIZE: _WINDOW})
            + h2.window_update(0, _WINDOW - h2.WINDOW_DEFAULT)
        )

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer, or to ask."""
        return bool(self._asking or self._waiting)

    def begin(self, conversation: Conversation) -> None:
        """Have it ask for the first time."""
        self._send(conversation, next(conversation))

    def flush(self) -> None:
        """Let go what is to be sent."""
        if self._out:
            out, self._out = self._out, bytearray()
            self.socket.sendall(out)

    def _send(self, conversation: Conversation, ask: Ask) -> None:
        body = b"\0" + len(ask.request).to_bytes(4, "big") + ask.request
        if len(body) > self._stream_room:
            raise CallFailed(f"{len(body)} bytes are more than a stream takes at once")
        if len(body) > self._room:
            self._waiting.append((conversation, ask))
            return
        kept = _KEPT_BEFORE if self._has_asked else _kept_first(self._authority)
        self._has_asked = True
        block = _METHOD_AND_SCHEME + b"\x04" + _string(ask.path) + kept
        stream_id = self._stream_id
        self._out += h2.frame(h2.HEADERS, h2.END_HEADERS, stream_id, block)
        for begin in range(0, len(body), h2.FRAME_BYTES_MAX):
            part = body[begin : begin + h2.FRAME_BYTES_MAX]
            is_last = begin + h2.FRAME_BYTES_MAX >= len(body)
            self._out += h2.frame(h2.DATA, h2.END_STREAM if is_last else 0, stream_id, part)
        self._room -= len(body)
        self._asking[stream_id] = conversation
        self._answers[stream_id] = b""
        self._stream_id += 2

    def read(self) -> None:
        """Take what has come, and go on with whoever was answered."""
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise CallFailed("the server has closed the connection")
        data, offset = self._rest + data, 0
        while len(data) - offset >= h2.HEAD_BYTES:
            body_at = offset + h2.HEAD_BYTES
            end = body_at + int.from_bytes(data[offset : offset + 3], "big")
            if end > len(data):
                break
            stream_id = int.from_bytes(data[offset + 5 : body_at], "big")
            self._take(data[offset + 3], data[offset + 4], stream_id, data[body_at:end])
            offset = end
        self._rest = data[offset:]
        self.flush()

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == h2.HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == h2.DATA:
            self._answers[stream_id] += payload
        elif kind == h2.WINDOW_UPDATE:
            if stream_id == 0:
                self._room += int.from_bytes(payload, "big")
                self._go_on()
        elif kind == h2.PING and not flags & h2.ACK:
            self._out += h2.frame(h2.PING, h2.ACK, 0, payload)
        elif kind == h2.SETTINGS and not flags & h2.ACK:
            for name, value in h2.SETTING.iter_unpack(payload):
                if name == h2.INITIAL_WINDOW_SIZE:
                    self._stream_room = value
            self._out += h2.frame(h2.SETTINGS, h2.ACK, 0, b"")
        elif kind in (h2.RST_STREAM, h2.GOAWAY, h2.CONTINUATION):
            raise CallFailed(f"a frame of kind {kind}: {payload[:100]!r}")

    def _on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        fields, _ = self._decoder.decode(block)
        if not flags & h2.END_STREAM:
            return
        status = dict(fields or ()).get(b"grpc-status")
        if status != b"0":
            raise CallFailed(f"status {status!r}: {fields}")
        conversation, answer = self._asking.pop(stream_id), self._answers.pop(stream_id)
        self.answered_count += 1
        try:
            ask = conversation.send(answer[_PREFIX_BYTES:])
        except StopIteration:
            return
        self._send(conversation, ask)

    def _go_on(self) -> None:
        """There is more room: whoever waited first asks first."""
        waiting, self._waiting = self._waiting, deque()
        for conversation, ask in waiting:
            self._send(conversation, ask)


def converse(port: int, conversations: Sequence[Conversation], *, connections: int) -> int:
    """Hold all conversations to their ends, spread over connections; how many calls that were.

    Raises:
        CallFailed: one of the calls.

    """
    held = [_Connection(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    try:
        for number, conversation in enumerate(conversations):
            held[number % connections].begin(conversation)
        for it in held:
            it.flush()
            selector.register(it.socket, selectors.EVENT_READ, it)
        while any(it.is_busy for it in held):
            ready = selector.select(_SILENCE_S)
            if not ready:
                raise CallFailed(f"nothing was answered for {_SILENCE_S:.0f} s")
            for key, _ in ready:
                key.data.read()
    finally:
        selector.close()
        for it in held:
            it.socket.close()
    return sum(it.answered_count for it in held)
