"""One HTTP/2 connection, the server's side, sans I/O (RFC 9113).

`receive(data)` takes bytes and calls the owner: `on_headers`, `on_data`, `on_reset`.  What is to
be sent collects in `out`; whoever holds the socket takes it with `take_output`, once a loop turn,
so that the answers of one turn leave in one write.

Flow control is kept both ways.  What a window does not let out waits in its stream; the window
we grant is given back as the owner uses the bytes: a stream's by `give_back`, and widened for a
large message by `widen_stream`.  The connection's own is given back at once, for it is no brake:
held back, it would stop those streams too whose messages are to be finished.

Full?  Streams, header lists, frame sizes and unsent bytes are bounded; all connections together
have UNFINISHED_BYTES_MAX for large header blocks that have yet to end; a client that breaks a
bound gets RST_STREAM or GOAWAY with the code the standard names.  PING, SETTINGS, RST_STREAM,
PRIORITY and empty DATA frames are counted: more than CONTROL_COUNT_MAX between two calls of
`tick` is an attack (rapid reset and its kin) and ends the connection.
"""

from typing import Final, Protocol

from roost.compiled import mypyc_attr
from roost.server.h2 import frames as f
from roost.server.h2.frames import ConnectionBroken, ErrorCode
from roost.server.h2.hpack import HEADER_LIST_BYTES_MAX, Decoder, HpackError
from roost.server.h2.outgoing import Outgoing
from roost.server.h2.streams import STREAM_WINDOW_BYTES, Stream

STREAMS_MAX: Final = 4096
CONNECTION_WINDOW_BYTES: Final = 16 << 20
CONTROL_COUNT_MAX: Final = 5000
# A connection keeps so many header blocks that mean what they meant, and so many bytes of what they
# say; all connections together CACHED_BYTES_MAX.
HEADER_BLOCKS_MAX: Final = 256
HEADER_CACHE_BYTES_MAX: Final = 256 << 10
CACHED_BYTES_MAX: Final = 64 << 20
# What Python keeps of a block besides its bytes and what they say, roughly.
_HEAD_BYTES: Final = 2 << 10
# Larger frames are not sent, whatever a client would take: others want to be served as well.
FRAME_BYTES_SENT_MAX: Final = 32 << 10
# What SETTINGS frames cost: entries, and streams that a wider window puts in line.
_ENTRIES_PER_CONTROL: Final = 64
_MOVED_PER_CONTROL: Final = 64
BUDGET_MAX: Final = 1 << 60
# Decoding sixteen bytes of headers costs a unit of the budget, and each field one at least.
_DECODED_PER_UNIT_LOG2: Final = 4
# What is larger than the list of headers may be is read to its end, for the sake of the table.
HEADER_BLOCK_BYTES_MAX: Final = 2 << 20
_BLOCK_BYTES_FREE: Final = 64 << 10
UNFINISHED_BYTES_MAX: Final = 32 << 20
# A window is topped up when half of it is used.
_STREAM_CREDIT: Final = STREAM_WINDOW_BYTES // 2
_CONNECTION_CREDIT: Final = CONNECTION_WINDOW_BYTES // 2


class Unfinished:
    """What headers may take, of all connections together.

    Those of large blocks that have yet to end, and those that are kept since they come again.
    """

    __slots__ = ("cached_bytes", "free_bytes")

    def __init__(self) -> None:
        """Nothing is taken."""
        self.free_bytes = UNFINISHED_BYTES_MAX
        self.cached_bytes = 0

    @property
    def taken_bytes(self) -> int:
        """What large blocks take that have yet to end; zero when idle."""
        return UNFINISHED_BYTES_MAX - self.free_bytes


class Owner(Protocol):
    """Who is told what comes in."""

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        """Turn a header list into what `on_headers` gets; called once for equal blocks."""

    def make_large_head(self) -> object:
        """What `on_headers` gets in the place of a header list that is too large."""

    def on_headers(self, stream: Stream, head: object) -> None:
        """A stream begins."""

    def on_request(self, stream: Stream, head: object, data: bytes) -> None:
        """A stream begins, and `data` is all of its request: `stream.is_remote_closed` is true.

        It is what `on_headers` and `on_data` say, in one call.
        """

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Bytes of the request; `stream.is_remote_closed` says whether they were the last."""

    def on_reset(self, stream: Stream) -> None:
        """The stream is gone; nothing may be sent on it."""

    def on_drain(self, stream: Stream) -> None:
        """What was pending on the stream has left."""


class Nobody:
    """Who is told what comes in when the connection is gone: nothing comes."""

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        """Nothing is read."""
        raise AssertionError(f"{len(fields)} fields came by a connection that is gone")

    def make_large_head(self) -> object:
        """Nothing is read."""
        raise AssertionError("a request came by a connection that is gone")

    def on_headers(self, stream: Stream, head: object) -> None:
        """Nobody hears it."""

    def on_request(self, stream: Stream, head: object, data: bytes) -> None:
        """Nobody hears it."""

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Nobody hears it."""

    def on_reset(self, stream: Stream) -> None:
        """Nobody hears it."""

    def on_drain(self, stream: Stream) -> None:
        """Nobody hears it."""


_NOBODY: Final = Nobody()


@mypyc_attr(allow_interpreted_subclasses=True)
class Connection(Outgoing):
    """The server's side of one connection."""

    def __init__(
        self,
        owner: Owner,
        *,
        streams_max: int = STREAMS_MAX,
        unfinished: Unfinished | None = None,
    ) -> None:
        """Announce our settings; connections of one server share `unfinished`."""
        super().__init__(owner)
        self._streams_max = streams_max
        self._unfinished = unfinished or Unfinished()
        self._owner: Owner = owner
        # What has come and was not read: it ends within a frame, or the budget was used up.
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._needed_bytes = 0
        # What the last call of `receive` used of its budget.
        self.spent = 0
        # The owner has to do with the last frame still: nothing more is read before it is over.
        self.is_held = False
        self._is_greeted = False
        self._decoder = Decoder()
        self._heads: dict[bytes, object] = {}
        self._head_bytes = 0
        # The stream whose header block CONTINUATION frames go on with; 0 = none.
        self._block_stream = self._block_bytes = 0
        self._block_flags = 0
        self.last_stream_id = 0
        self._credit = 0
        self._receive_window = CONNECTION_WINDOW_BYTES
        self._control_count = 0
        self.is_draining = False
        self.out += [
            f.settings(
                {
                    f.MAX_CONCURRENT_STREAMS: streams_max,
                    f.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                    f.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES_MAX,
                }
            ),
            f.window_update(0, CONNECTION_WINDOW_BYTES - f.WINDOW_DEFAULT),
        ]

    @property
    def unread_bytes(self) -> int:
        """What has come and was not read yet."""
        return self._unread_bytes

    def tick(self) -> None:
        """Forget the count of control frames; called about once a second."""
        self._control_count = 0

    def receive(self, data: bytes, budget: int = BUDGET_MAX) -> bool:
        """Take bytes from the client; say whether frames are left for which the budget was spent.

        Then call again, with no more data, in a later turn: reading costs a unit of the budget
        or so a frame and a kilobyte, decoding headers more, and the owner may `spend` for what
        a request costs.

        Raises:
            ConnectionBroken: send what `take_output` gives, then close.

        """
        if self._unread:
            self._unread.append(data)
            self._unread_bytes += len(data)
            self.spent = 0
            if self._unread_bytes < self._needed_bytes:
                return False
            data = b"".join(self._unread)
            self._unread, self._unread_bytes = [], 0
        offset = 0
        if not self._is_greeted:
            preface = f.PREFACE
            if data[: len(preface)] != preface[: len(data)]:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            if len(data) < len(preface):
                self._keep(data, len(preface))
                return False
            self._is_greeted = True
            offset = len(preface)
        self.spent = 0
        end = len(data)
        unpack = f.HEAD.unpack_from
        needed = f.HEAD_BYTES
        while end - offset >= f.HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack(data, offset)
            length = high << 8 | low
            if length > f.FRAME_BYTES_MAX:
                raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            begin = offset + f.HEAD_BYTES
            stop = begin + length
            if stop > end:
                needed = stop - offset
                break
            if self.spent >= budget or self.is_held:
                self._keep(data[offset:], 0)
                return True
            self.spent += 1 + (length >> 10)
            payload = data[begin:stop]
            offset = stop
            if kind == f.HEADERS and flags == f.END_HEADERS:
                stop = self._on_small(stream_id, payload, data, offset)
                if stop:
                    offset = stop
                    continue
            elif kind == f.DATA and not self._block_stream:
                self._on_data(stream_id & 0x7FFF_FFFF, flags, payload)
                continue
            self._on_frame(kind, flags, stream_id & 0x7FFF_FFFF, payload)
        if offset < end:
            self._keep(data[offset:], needed)
        return False

    def _on_small(self, stream_id: int, block: bytes, data: bytes, offset: int) -> int:
        """Take the headers of a request that are like others before them.

        And its DATA, where that is here, small and all there is.  Return where that ends; 0 where
        anything is not as it should be: then nothing was taken.
        """
        head = self._heads.get(block)
        if (
            head is None
            or not stream_id & 1
            or not self.last_stream_id < stream_id < 1 << 31
            or self._block_stream
            or len(self.streams) >= self._streams_max
            or self.is_draining
        ):
            return 0
        self.last_stream_id = stream_id
        stream = self.streams[stream_id] = Stream(stream_id)
        begin = offset + f.HEAD_BYTES
        if len(data) >= begin:
            high, low, kind, flags, data_id = f.HEAD.unpack_from(data, offset)
            size: int = high << 8 | low
            stop = begin + size
            if (
                kind == f.DATA
                and flags == f.END_STREAM
                and data_id == stream_id
                and stop <= len(data)
                and size <= f.FRAME_BYTES_MAX
                and self._credit + size < _CONNECTION_CREDIT
            ):
                # Less than half of the window is used, so it is not all used by this.
                self._receive_window -= size
                self._credit += size
                self.spent += 1 + (size >> 10)
                stream.is_remote_closed = True
                stream.receive_window -= size
                self._owner.on_request(stream, head, data[begin:stop])
                return stop
        # Who has many requests on their way sends the headers of some, and then their DATA.
        self._owner.on_headers(stream, head)
        return offset

    def spend(self, units: int) -> None:
        """What the owner did for the frame that is being read costs so much of the budget."""
        self.spent += units

    def _keep(self, data: bytes, needed_bytes: int) -> None:
        self._unread = [data]
        self._unread_bytes, self._needed_bytes = len(data), needed_bytes

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block_stream and kind != f.CONTINUATION:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "a header block is not finished")
        if kind == f.DATA:
            self._on_data(stream_id, flags, payload)
        elif kind == f.HEADERS:
            self._on_headers(stream_id, flags, payload)
        else:
            self._on_other(kind, stream_id, flags, payload)

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
            head = self._heads.get(payload)
            self._on_head(stream_id, flags, self._read_head(payload) if head is None else head)
        else:
            self._block_stream, self._block_flags = stream_id, flags
            self._read_part(payload)

    def _on_continuation(self, stream_id: int, flags: int, payload: bytes) -> None:
        if not self._block_stream or stream_id != self._block_stream:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._note_control()
        self._read_part(payload)
        if flags & f.END_HEADERS:
            self.drop_block()
            self._on_head(stream_id, self._block_flags, self._end_head()[0])

    def _read_part(self, part: bytes) -> None:
        """Decode as much of a header block as has come."""
        self._block_bytes += len(part)
        before = self._decoder.rest_bytes
        try:
            self._decoder.feed(part)
        except HpackError as error:
            raise ConnectionBroken(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        finally:
            self.spent += max(self._decoder.fed_count, len(part) >> _DECODED_PER_UNIT_LOG2)
        self._unfinished.free_bytes -= _unfree(self._decoder.rest_bytes) - _unfree(before)
        if self._block_bytes > HEADER_BLOCK_BYTES_MAX or self._unfinished.free_bytes < 0:
            raise ConnectionBroken(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")

    def drop_block(self) -> None:
        """Keep no unfinished header block."""
        self._unfinished.free_bytes += _unfree(self._decoder.rest_bytes)
        self._block_stream = self._block_bytes = 0

    def _read_head(self, block: bytes) -> object:
        """Decode a block that came whole, and remember it while the table stays as it is."""
        self._read_part(block)
        self.drop_block()
        list_bytes = self._decoder.list_bytes
        head, is_constant = self._end_head()
        size = len(block) + list_bytes + _HEAD_BYTES
        if is_constant and size <= HEADER_CACHE_BYTES_MAX:
            if (
                self._head_bytes + size > HEADER_CACHE_BYTES_MAX
                or len(self._heads) >= HEADER_BLOCKS_MAX
            ):
                self.forget_heads()
            if self._unfinished.cached_bytes + size <= CACHED_BYTES_MAX:
                self._head_bytes += size
                self._unfinished.cached_bytes += size
                self._heads[block] = head
        return head

    def leave(self) -> list[Stream]:
        """The connection is gone: tell its owner nothing any more; return the streams it had.

        It keeps nothing that leads back to it, so that all of it is freed at once: in a cycle it
        would be there until Python's collector has time for it (issue 14).
        """
        self.drop_block()
        self.forget_heads()
        self.forget()
        self._owner = self._drained = _NOBODY
        streams, self.streams = list(self.streams.values()), {}
        return streams

    def forget_heads(self) -> None:
        """Keep no header blocks."""
        self._heads.clear()
        self._unfinished.cached_bytes -= self._head_bytes
        self._head_bytes = 0

    def _end_head(self) -> tuple[object, bool]:
        """What the block that has ended says, and whether it will say so again."""
        try:
            fields, changed = self._decoder.end()
        except HpackError as error:
            raise ConnectionBroken(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        if changed:
            self.forget_heads()
        if fields is None:
            return self._owner.make_large_head(), False
        return self._owner.make_head(fields), not changed

    def _on_head(self, stream_id: int, flags: int, head: object) -> None:
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
        stream = self.streams[stream_id] = Stream(stream_id)
        if flags & f.END_STREAM:
            stream.is_remote_closed = True
        self._owner.on_headers(stream, head)

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
            if size > len(payload):
                self.give_back(stream, size - len(payload))  # padding
        self._owner.on_data(stream, payload)

    def give_back(self, stream: Stream, count: int) -> None:
        """So many bytes of a stream were used: its client may send as many again."""
        stream.credit += count
        if stream.credit >= _STREAM_CREDIT and not stream.is_remote_closed:
            self.widen_stream(stream, stream.credit)
            stream.credit = 0

    def widen_stream(self, stream: Stream, count: int) -> None:
        """Let a stream's client send so many bytes more."""
        stream.receive_window += count
        self.out.append(f.window_update(stream.id, count))

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

    def _note_control(self, count: int = 1) -> None:
        self._control_count += count
        if self._control_count > CONTROL_COUNT_MAX:
            raise ConnectionBroken(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def _on_settings(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id or len(payload) % f.SETTING.size:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed SETTINGS frame")
        if flags & f.ACK:
            return
        self._note_control(len(payload) // f.SETTING.size // _ENTRIES_PER_CONTROL)
        # Of a setting that is given more than once only the last value counts.
        for name, value in dict(f.SETTING.iter_unpack(payload)).items():
            if name == f.INITIAL_WINDOW_SIZE:
                if value > f.WINDOW_MAX:
                    raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")
                self._note_control(self.begin_with(value) // _MOVED_PER_CONTROL)
            elif name == f.MAX_FRAME_SIZE:
                if not f.FRAME_BYTES_MAX <= value < 1 << 24:
                    raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"frames of {value} bytes")
                self.peer_frame_bytes_max = min(value, FRAME_BYTES_SENT_MAX)
            elif name == f.ENABLE_PUSH and value > 1:
                raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        # The client counts with its new windows from our ACK on: nothing may use them before.
        self.out.append(f.frame(f.SETTINGS, f.ACK, 0, b""))

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
            self.drop(stream)
            self._owner.on_reset(stream)

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "a malformed WINDOW_UPDATE frame")
        count = int.from_bytes(payload, "big") & 0x7FFF_FFFF
        if count == 0:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")
        if stream_id == 0:
            self.widen(count)
            return
        found = self.streams.get(stream_id)
        if found is not None:
            self.add_credit(found, count)

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
