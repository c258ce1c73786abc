"""An HTTP/2 client of bare frames: it sends what no library sends, and counts what comes.

It speaks gRPC as far as attacks need it: requests with headers in plain literals, answers whose
messages are counted and, if somebody wants them, handed over.  Flow control is kept as the server
sees it; what we grant is all there is from the beginning, unless an attack grants less.

Full?  What the windows do not let out stays with the caller, who sees `room`; messages are put
together only where a callback wants them, all else is thrown away as it comes.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import Decoder, encode_literal

# How long an act waits for anything at all: what takes longer has failed.
WAIT_S_MAX = 180.0
_RECEIVED_BYTES_MAX = 1 << 18
_DATA_BYTES_MAX = f.FRAME_BYTES_MAX
_REFILL_BYTES = 1 << 20


class WireBroken(Exception):
    """The server ended the connection, or answered nothing in time."""


def head_of(path: bytes, *more: bytes) -> bytes:
    """The header block of a gRPC request, with more fields that are encoded already."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return b"".join(encode_literal(*it) for it in fields) + b"".join(more)


def message(body: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + struct.pack(">I", len(body)) + body


class Wire:
    """One connection."""

    def __init__(
        self,
        endpoint: str,
        *,
        stream_window: int = f.WINDOW_MAX,
        connection_window: int = f.WINDOW_MAX,
    ) -> None:
        """Connect, and grant these windows; a connection's has 65,535 bytes at least."""
        host, _, port = endpoint.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setblocking(False)
        self.on_message: Callable[[int, bytes], None] | None = None
        self.on_end: Callable[[int], None] = lambda _stream_id: None
        self.headers_count = self.data_bytes = self.pong_count = 0
        # Streams that were answered with a status of their own, by that status.
        self.ended: dict[str, int] = {}
        self.room = f.WINDOW_DEFAULT
        self._stream_room = f.WINDOW_DEFAULT
        # Of each open stream, how much data it may send.
        self.rooms: dict[int, int] = {}
        self._parts: dict[int, bytes] = {}
        # Of each open stream, how much it has used of its window since that was filled.
        self._used: dict[int, int] = {}
        self._rest = b""
        self._block = b""
        self._out = bytearray()
        self._decoder = Decoder()
        self._ids = count(1, 2)
        self._refills = connection_window == f.WINDOW_MAX
        self._refills_streams = self._refills and stream_window == f.WINDOW_MAX
        self._unacknowledged_bytes = 0
        self.send(PREFACE + f.settings({f.INITIAL_WINDOW_SIZE: stream_window}))
        if connection_window > f.WINDOW_DEFAULT:
            self.send(f.window_update(0, connection_window - f.WINDOW_DEFAULT))

    def close(self) -> None:
        """End it without a word."""
        self.socket.close()

    @property
    def unsent_bytes(self) -> int:
        """What waits for the socket."""
        return len(self._out)

    def room_of(self, stream_id: int) -> int:
        """How many bytes of data a stream may send now; none when it has ended."""
        return min(self.room, self.rooms.get(stream_id, 0))

    def send(self, data: bytes) -> None:
        """Send bytes when the socket takes them."""
        self._out += data

    def ask(self, head: bytes, body: bytes | None = None, *, is_last: bool = True) -> int:
        """Begin a request; its message, if there is one, must fit into the windows."""
        stream_id = next(self._ids)
        flags = f.END_HEADERS | (f.END_STREAM if body is None and is_last else 0)
        self.send(f.frame(f.HEADERS, flags, stream_id, head))
        self.rooms[stream_id] = self._stream_room
        if body is not None:
            self.tell(stream_id, message(body), is_last=is_last)
        return stream_id

    def tell(self, stream_id: int, data: bytes, *, is_last: bool = False) -> None:
        """Send data on a stream that is open; there must be room for it."""
        for at in range(0, len(data), _DATA_BYTES_MAX):
            part = data[at : at + _DATA_BYTES_MAX]
            ends = is_last and at + _DATA_BYTES_MAX >= len(data)
            self.send(f.frame(f.DATA, f.END_STREAM if ends else 0, stream_id, part))
        self.room -= len(data)
        self.rooms[stream_id] -= len(data)

    def ping(self) -> None:
        """Ask for an echo, which comes when all before it was read."""
        self.send(f.frame(f.PING, 0, 0, bytes(8)))

    @property
    def interest(self) -> int:
        """What the socket is waited for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)

    def turn(self, events: int) -> None:
        """Read and write what is possible.

        Raises:
            WireBroken: the server has closed the connection.

        """
        if events & selectors.EVENT_READ:
            try:
                data = self.socket.recv(_RECEIVED_BYTES_MAX)
            except BlockingIOError:
                data = None
            except OSError as error:
                raise WireBroken(str(error)) from error
            if data == b"":
                raise WireBroken("the server has closed the connection")
            if data:
                self._read(data)
        if events & selectors.EVENT_WRITE and self._out:
            try:
                del self._out[: self.socket.send(memoryview(self._out)[:_RECEIVED_BYTES_MAX])]
            except BlockingIOError:
                return
            except OSError as error:
                raise WireBroken(str(error)) from error

    def _read(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= f.HEAD_BYTES:
            high, low, kind, flags, stream_id = f.HEAD.unpack_from(data, at)
            end = at + f.HEAD_BYTES + (high << 8 | low)
            if end > len(data):
                break
            self._on_frame(kind, flags, stream_id, data[at + f.HEAD_BYTES : end])
            at = end
        self._rest = data[at:]
        if self._refills and self._unacknowledged_bytes > _REFILL_BYTES:
            self.send(f.window_update(0, self._unacknowledged_bytes))
            self._unacknowledged_bytes = 0

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
            case f.DATA:
                self.data_bytes += len(payload)
                self._unacknowledged_bytes += len(payload)
                if self._refills_streams and stream_id in self.rooms:
                    self._refill(stream_id, len(payload))
                if self.on_message is not None:
                    self._take(stream_id, payload)
            case f.HEADERS | f.CONTINUATION:
                self._block += payload
                if flags & f.END_HEADERS:
                    self._on_headers(stream_id)
            case f.RST_STREAM:
                self._end(stream_id, f"reset {int.from_bytes(payload, 'big')}")
            case f.SETTINGS if not flags & f.ACK:
                self._on_settings(payload)
            case f.PING:
                self.pong_count += bool(flags & f.ACK)
                if not flags & f.ACK:
                    self.send(f.frame(f.PING, f.ACK, 0, payload))
            case f.WINDOW_UPDATE if stream_id:
                if stream_id in self.rooms:
                    self.rooms[stream_id] += int.from_bytes(payload, "big")
            case f.WINDOW_UPDATE:
                self.room += int.from_bytes(payload, "big")
            case f.GOAWAY:
                raise WireBroken(f"the server says goodbye: {payload[8:].decode(errors='replace')}")
            case _:
                pass  # what else there is says nothing that an attack must know

    def _refill(self, stream_id: int, count: int) -> None:
        """Grant a stream what it has used: an answer may be longer than the largest window."""
        used = self._used.get(stream_id, 0) + count
        if used > _REFILL_BYTES:
            self.send(f.window_update(stream_id, used))
            used = 0
        self._used[stream_id] = used

    def _on_headers(self, stream_id: int) -> None:
        fields, _ = self._decoder.decode(self._block)
        self._block = b""
        self.headers_count += 1
        status = dict(fields or ()).get(b"grpc-status")
        if status is not None:
            self._end(stream_id, status.decode(errors="replace"))

    def _end(self, stream_id: int, status: str) -> None:
        if self.rooms.pop(stream_id, None) is not None:
            self.ended[status] = self.ended.get(status, 0) + 1
            self._parts.pop(stream_id, None)
            self._used.pop(stream_id, None)
            self.on_end(stream_id)

    def _on_settings(self, payload: bytes) -> None:
        for name, value in f.SETTING.iter_unpack(payload):
            if name == f.INITIAL_WINDOW_SIZE:
                more, self._stream_room = value - self._stream_room, value
                for it in self.rooms:
                    self.rooms[it] += more
        self.send(f.frame(f.SETTINGS, f.ACK, 0, b""))

    def _take(self, stream_id: int, payload: bytes) -> None:
        assert self.on_message is not None, "the caller looks"
        data = self._parts.pop(stream_id, b"") + payload
        at = 0
        while len(data) - at >= 5:
            end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            self.on_message(stream_id, data[at + 5 : end])
            at = end
        if at < len(data):
            self._parts[stream_id] = data[at:]


def drive(
    wires: Sequence[Wire],
    until: Callable[[], bool],
    *,
    timeout_s: float = WAIT_S_MAX,
    look_s: float = 1.0,
) -> None:
    """Read and write on all of them until something is true; look every `look_s` at least.

    Raises:
        WireBroken: a connection ended, or it does not become true in time.

    """
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for it in wires:
            selector.register(it.socket, it.interest, it)
        while not until():
            if time.monotonic() > deadline:
                raise WireBroken(f"nothing came of it within {timeout_s:.0f} s")
            for key, events in selector.select(look_s):
                key.data.turn(events)
            for it in wires:
                if selector.get_key(it.socket).events != it.interest:
                    selector.modify(it.socket, it.interest, it)


def drive_sent(wires: Sequence[Wire]) -> None:
    """Write all that waits, and see that the servers have read it."""
    before = [it.pong_count for it in wires]
    for it in wires:
        it.ping()
    pairs = list(zip(wires, before, strict=True))
    drive(wires, lambda: all(it.pong_count > old for it, old in pairs))


def statuses(wires: Iterable[Wire]) -> dict[str, int]:
    """How streams ended, on all of them."""
    found: dict[str, int] = {}
    for it in wires:
        for status, times in it.ended.items():
            found[status] = found.get(status, 0) + times
    return found
