"""One HTTP/2 connection, the server's side, sans I/O (RFC 9113).

`receive(data)` takes bytes and calls the owner: `on_headers`, `on_data`, `on_reset`.  What is to
be sent collects in `out`; whoever holds the socket takes it with `take_output`, once a loop turn,
so that the answers of one turn leave in one write.

Flow control is kept both ways.  What a window does not let out waits in its stream; the window
we grant is given back when the owner has taken the bytes.

Full?  Streams, header lists, frame sizes and unsent bytes are bounded; all connections together
have UNFINISHED_BYTES_MAX for large header blocks that have yet to end; a client that breaks a
bound gets RST_STREAM or GOAWAY with the code the standard names.  PING, SETTINGS, RST_STREAM,
PRIORITY and empty DATA frames are counted: more than CONTROL_COUNT_MAX between two calls of
`tick` is an attack (rapid reset and its kin) and ends the connection.
"""

from collections import deque
from typing import Any, Protocol

from roost.server.h2 import frames as f
from roost.server.h2.frames import ConnectionBroken, ErrorCode
from roost.server.h2.hpack import HEADER_LIST_BYTES_MAX, Decoder, HpackError

STREAMS_MAX = 4096
STREAM_WINDOW_BYTES = 4 << 20
CONNECTION_WINDOW_BYTES = 16 << 20
CONTROL_COUNT_MAX = 5000
HEADER_BLOCKS_MAX = 256
# What is larger than the list of headers may be is read to its end, for the sake of the table.
HEADER_BLOCK_BYTES_MAX = 2 << 20
_BLOCK_BYTES_FREE = 64 << 10
UNFINISHED_BYTES_MAX = 32 << 20
# A window is topped up when half of it is used.
_STREAM_CREDIT = STREAM_WINDOW_BYTES // 2
_CONNECTION_CREDIT = CONNECTION_WINDOW_BYTES // 2


class Stream:
    """One request and its answer.  `state` is the owner's."""

    __slots__ = (
        "credit",
        "id",
        "is_local_closed",
        "is_remote_closed",
        "pending",
        "pending_bytes",
        "receive_window",
        "send_window",
        "state",
        "trailers",
    )

    def __init__(self, stream_id: int, send_window: int) -> None:
        """Opened by the client's HEADERS."""
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = STREAM_WINDOW_BYTES
        self.credit = 0
        self.is_remote_closed = False
        self.is_local_closed = False
        self.pending: deque[bytes] | None = None
        self.pending_bytes = 0
        self.trailers: bytes | None = None
        self.state: Any = None  # the owner's object; Any because this layer never looks at it


class Answer:
    """The header and trailer blocks of an answer that is sent whole, laid out once."""

    def __init__(self, headers: bytes, trailers: bytes) -> None:
        """Both are complete blocks."""
        self.headers = headers
        self.trailers = trailers
        # Without the stream id, the last four bytes of a frame's head.
        self.headers_head = f.head(len(headers), f.HEADERS, f.END_HEADERS, 0)[:-4]
        self.trailers_head = f.head(len(trailers), f.HEADERS, f.END_HEADERS | f.END_STREAM, 0)[:-4]


class Unfinished:
    """What large header blocks that have yet to end may take, of all connections together."""

    __slots__ = ("free_bytes",)

    def __init__(self) -> None:
        """Nothing is taken."""
        self.free_bytes = UNFINISHED_BYTES_MAX


class Owner(Protocol):
    """Who is told what comes in."""

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        """Turn a header list into what `on_headers` gets; called once for equal blocks."""

    def make_large_head(self) -> object:
        """What `on_headers` gets in the place of a header list that is too large."""

    def on_headers(self, stream: Stream, head: object) -> None:
        """A stream begins."""

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Bytes of the request; `stream.is_remote_closed` says whether they were the last."""

    def on_reset(self, stream: Stream) -> None:
        """The stream is gone; nothing may be sent on it."""

    def on_drain(self, stream: Stream) -> None:
        """What was pending on the stream has left."""


class Connection:
    """The server's side of one connection."""

    def __init__(
        self,
        owner: Owner,
        *,
        streams_max: int = STREAMS_MAX,
        unfinished: Unfinished | None = None,
    ) -> None:
        """Announce our settings; connections of one server share `unfinished`."""
        self._streams_max = streams_max
        self._unfinished = unfinished or Unfinished()
        self._owner = owner
        self._rest = b""
        self._is_greeted = False
        self._decoder = Decoder()
        self._heads: dict[bytes, object] = {}
        self._block: bytearray | None = None  # a header block that CONTINUATION frames go on with
        self._block_stream = 0
        self._block_flags = 0
        self.streams: dict[int, Stream] = {}
        self.last_stream_id = 0
        self.initial_send_window = f.WINDOW_DEFAULT
        self.send_window = f.WINDOW_DEFAULT
        self.peer_frame_bytes_max = f.FRAME_BYTES_MAX
        self.peer_table_bytes = 4096
        self._credit = 0
        self._receive_window = CONNECTION_WINDOW_BYTES
        self._blocked: dict[int, Stream] = {}
        self._control_count = 0
        self.is_draining = False
        self.out: list[bytes] = [
            f.settings(
                {
                    f.MAX_CONCURRENT_STREAMS: streams_max,
                    f.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                    f.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES_MAX,
                }
            ),
            f.window_update(0, CONNECTION_WINDOW_BYTES - f.WINDOW_DEFAULT),
        ]

    def take_output(self) -> bytes:
        """What is to be sent."""
        out, self.out = self.out, []
        return b"".join(out)

    def tick(self) -> None:
        """Forget the count of control frames; called about once a second."""
        self._control_count = 0

    # --- coming in -------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the client.

        Raises:
            ConnectionBroken: send what `take_output` gives, then close.

        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        offset = 0
        if not self._is_greeted:
            preface = f.PREFACE
            if data[: len(preface)] != preface[: len(data)]:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            if len(data) < len(preface):
                self._rest = data
                return
            self._is_greeted = True
            offset = len(preface)
        end = len(data)
        unpack = f.HEAD.unpack_from
        while end - offset >= f.HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack(data, offset)
            length = high << 8 | low
            if length > f.FRAME_BYTES_MAX:
                raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            begin = offset + f.HEAD_BYTES
            stop = begin + length
            if stop > end:
                break
            stream_id &= 0x7FFF_FFFF
            payload = data[begin:stop]
            offset = stop
            if self._block is not None and kind != f.CONTINUATION:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "a header block is not finished")
            if kind == f.DATA:
                self._on_data(stream_id, flags, payload)
            elif kind == f.HEADERS:
                self._on_headers(stream_id, flags, payload)
            else:
                self._on_other(kind, stream_id, flags, payload)
        if offset < end:
            self._rest = data[offset:]

    def _on_headers(self, stream_id: int, flags: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} of a client")
        if flags & (f.PADDED | f.HAS_PRIORITY):
            payload = _unpadded(payload, flags)
            if flags & f.HAS_PRIORITY:
                if len(payload) < 5:
                    raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a short HEADERS frame")
                payload = payload[5:]
        if flags & f.END_HEADERS:
            self._on_block(stream_id, flags, payload)
        else:
            self._block = bytearray(payload)
            self._block_stream, self._block_flags = stream_id, flags

    def _on_continuation(self, stream_id: int, flags: int, payload: bytes) -> None:
        if self._block is None or stream_id != self._block_stream:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._note_control()
        block = self._block
        before = len(block)
        block += payload
        self._unfinished.free_bytes -= _unfree(len(block)) - _unfree(before)
        if len(block) > HEADER_BLOCK_BYTES_MAX or self._unfinished.free_bytes < 0:
            raise ConnectionBroken(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")
        if flags & f.END_HEADERS:
            self.drop_block()
            self._on_block(stream_id, self._block_flags, bytes(block))

    def drop_block(self) -> None:
        """Keep no unfinished header block; whoever gives a connection up does it."""
        if self._block is not None:
            self._unfinished.free_bytes += _unfree(len(self._block))
            self._block = None

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        head = self._heads.get(block)
        if head is None:
            head = self._decode(block)
        stream = self.streams.get(stream_id)
        if stream is not None:
            # Trailers of the request; gRPC clients send none, but they are legal.
            if not flags & f.END_STREAM or stream.is_remote_closed:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "headers in mid-stream")
            stream.is_remote_closed = True
            self._owner.on_data(stream, b"")
            return
        if stream_id <= self.last_stream_id:
            raise ConnectionBroken(ErrorCode.STREAM_CLOSED, f"stream {stream_id} is closed")
        self.last_stream_id = stream_id
        if len(self.streams) >= self._streams_max or self.is_draining:
            self._note_control()
            self.out.append(f.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
            return
        stream = self.streams[stream_id] = Stream(stream_id, self.initial_send_window)
        if flags & f.END_STREAM:
            stream.is_remote_closed = True
        self._owner.on_headers(stream, head)

    def _decode(self, block: bytes) -> object:
        try:
            fields, changed = self._decoder.decode(block)
        except HpackError as error:
            raise ConnectionBroken(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        if fields is None:
            self._heads.clear()
            return self._owner.make_large_head()
        head = self._owner.make_head(fields)
        if changed:
            self._heads.clear()
        else:
            if len(self._heads) >= HEADER_BLOCKS_MAX:
                self._heads.clear()
            self._heads[block] = head
        return head

    def _on_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is used")
        self._credit += size
        if self._credit >= _CONNECTION_CREDIT:
            self.out.append(f.window_update(0, self._credit))
            self._receive_window += self._credit
            self._credit = 0
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id > self.last_stream_id or stream_id == 0:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"data on idle {stream_id}")
            return  # we have answered or reset it already
        if stream.is_remote_closed:
            raise ConnectionBroken(ErrorCode.STREAM_CLOSED, f"data after the end of {stream_id}")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, f"stream {stream_id}'s window")
        if flags & f.PADDED:
            payload = _unpadded(payload, flags)
        if flags & f.END_STREAM:
            stream.is_remote_closed = True
        else:
            if not payload:
                self._note_control()
            stream.credit += size
            if stream.credit >= _STREAM_CREDIT:
                self.out.append(f.window_update(stream_id, stream.credit))
                stream.receive_window += stream.credit
                stream.credit = 0
        self._owner.on_data(stream, payload)

    def _on_other(self, kind: int, stream_id: int, flags: int, payload: bytes) -> None:
        if kind == f.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == f.CONTINUATION:
            self._on_continuation(stream_id, flags, payload)
        elif kind == f.PUSH_PROMISE:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "a client pushes nothing")
        elif kind in (f.SETTINGS, f.PING, f.RST_STREAM, f.PRIORITY, f.GOAWAY):
            self._note_control()
            if kind == f.SETTINGS:
                self._on_settings(stream_id, flags, payload)
            elif kind == f.PING:
                self._on_ping(stream_id, flags, payload)
            elif kind == f.RST_STREAM:
                self._on_rst_stream(stream_id, payload)
        # Frames of unknown types are ignored (section 4.1).

    def _note_control(self) -> None:
        self._control_count += 1
        if self._control_count > CONTROL_COUNT_MAX:
            raise ConnectionBroken(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def _on_settings(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id or len(payload) % f.SETTING.size:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed SETTINGS frame")
        if flags & f.ACK:
            return
        for name, value in f.SETTING.iter_unpack(payload):
            if name == f.INITIAL_WINDOW_SIZE:
                if value > f.WINDOW_MAX:
                    raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")
                change = value - self.initial_send_window
                self.initial_send_window = value
                for stream in self.streams.values():
                    stream.send_window += change
            elif name == f.MAX_FRAME_SIZE:
                if not f.FRAME_BYTES_MAX <= value < 1 << 24:
                    raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"frames of {value} bytes")
                self.peer_frame_bytes_max = value
            elif name == f.HEADER_TABLE_SIZE:
                self.peer_table_bytes = value
            elif name == f.ENABLE_PUSH and value > 1:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        # The client counts with its new windows from our ACK on: nothing may use them before.
        self.out.append(f.frame(f.SETTINGS, f.ACK, 0, b""))
        for stream in list(self.streams.values()):
            self._send_pending(stream)

    def _on_ping(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed PING frame")
        if not flags & f.ACK:
            self.out.append(f.frame(f.PING, f.ACK, 0, payload))

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed RST_STREAM frame")
        if stream_id == 0 or stream_id > self.last_stream_id:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"reset of idle {stream_id}")
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._blocked.pop(stream_id, None)
            stream.is_local_closed = True
            self._owner.on_reset(stream)

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed WINDOW_UPDATE frame")
        count = int.from_bytes(payload, "big") & 0x7FFF_FFFF
        if count == 0:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")
        if stream_id == 0:
            self.send_window += count
            if self.send_window > f.WINDOW_MAX:
                raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")
            for stream in list(self._blocked.values()):
                self._send_pending(stream)
            return
        found = self.streams.get(stream_id)
        if found is not None:
            found.send_window += count
            if found.send_window > f.WINDOW_MAX:
                raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")
            self._send_pending(found)

    # --- going out -------------------------------------------------------------------------------

    def send_answer(self, stream: Stream, answer: Answer, data: bytes) -> None:
        """Answer a stream whole: headers, data, trailers; it is closed then."""
        size, stream_id = len(data), stream.id
        if (
            size <= stream.send_window
            and size <= self.send_window
            and size <= self.peer_frame_bytes_max
            and not stream.pending
        ):
            self.send_window -= size
            number = stream_id.to_bytes(4, "big")
            self.out += (
                answer.headers_head,
                number,
                answer.headers,
                size.to_bytes(3, "big"),
                b"\0\0",  # DATA, no flags
                number,
                data,
                answer.trailers_head,
                number,
                answer.trailers,
            )
            self._close(stream)
            return
        self.send_headers(stream, answer.headers)
        self.send_data(stream, data)
        self.send_trailers(stream, answer.trailers)

    def send_headers(self, stream: Stream, block: bytes) -> None:
        """Begin an answer."""
        self.out += (f.head(len(block), f.HEADERS, f.END_HEADERS, stream.id), block)

    def send_data(self, stream: Stream, data: bytes) -> None:
        """Send data, or keep what the windows do not let out."""
        assert not stream.is_local_closed, "nothing follows the trailers"
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(data)
        stream.pending_bytes += len(data)
        self._send_pending(stream)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """End an answer, after what is pending."""
        if stream.pending:
            stream.trailers = block
            return
        end = f.END_HEADERS | f.END_STREAM
        self.out += (f.head(len(block), f.HEADERS, end, stream.id), block)
        self._close(stream)

    def _send_pending(self, stream: Stream) -> None:
        pending = stream.pending
        if not pending:
            return
        limit = self.peer_frame_bytes_max
        while pending:
            room = min(stream.send_window, self.send_window, limit)
            data = pending[0]
            if room <= 0 and data:
                self._blocked[stream.id] = stream
                return
            if len(data) > room:
                pending[0] = data[room:]
                data = data[:room]
            else:
                pending.popleft()
            size = len(data)
            stream.send_window -= size
            self.send_window -= size
            stream.pending_bytes -= size
            self.out += (f.head(size, f.DATA, 0, stream.id), data)
        self._blocked.pop(stream.id, None)
        if stream.trailers is not None:
            self.send_trailers(stream, stream.trailers)
        else:
            self._owner.on_drain(stream)

    @property
    def blocked_bytes(self) -> int:
        """What the windows do not let out."""
        return sum(stream.pending_bytes for stream in self._blocked.values())

    def forget(self) -> None:
        """Keep nothing of what was to be sent: the connection will be closed."""
        self.out = []
        for stream in self._blocked.values():
            stream.pending, stream.pending_bytes = None, 0
        self._blocked.clear()

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Give a stream up."""
        if self.streams.pop(stream.id, None) is not None:
            self._blocked.pop(stream.id, None)
            stream.is_local_closed = True
            self.out.append(f.rst_stream(stream.id, code))

    def _close(self, stream: Stream) -> None:
        """We have said everything; a client that still talks is told to stop (section 8.1)."""
        stream.is_local_closed = True
        del self.streams[stream.id]
        if not stream.is_remote_closed:
            self.out.append(f.rst_stream(stream.id, ErrorCode.NO_ERROR))

    def go_away(self, code: ErrorCode, text: str = "") -> None:
        """Take no new streams; those that are open may end."""
        self.is_draining = True
        self.out.append(f.goaway(self.last_stream_id, code, text))


def _unfree(size: int) -> int:
    """What a header block of that size takes of `Unfinished`."""
    return max(0, size - _BLOCK_BYTES_FREE)


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & f.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]
