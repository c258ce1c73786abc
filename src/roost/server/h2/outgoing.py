"""What leaves on one connection: answers, and the windows that hold them back (RFC 9113 5.2).

A small answer leaves at once when the windows let it.  Everything else stands in its stream, and
the stream in one of two places: in line, when its own window is open, or among the held, when it
is used up.  `take_output` takes the line in turn, a frame a stream, as far as the connection's
window goes and no further than it is told; so one turn of the loop sends a bounded part of an
answer of any size, and a client that opens windows a byte at a time costs a frame for each.

Full?  What waits is counted in `blocked_bytes`; whoever owns the connection bounds it.
"""

from collections import OrderedDict, deque
from typing import Final, Protocol

from roost.compiled import mypyc_attr
from roost.server.h2 import frames as f
from roost.server.h2.frames import ConnectionBroken, ErrorCode
from roost.server.h2.streams import Answer, Stream

# What one turn sends of what waited, on one connection: half a megabyte.
FRAMES_A_TURN_MAX: Final = 32


class Drained(Protocol):
    """Who is told that what was pending has left."""

    def on_drain(self, stream: Stream) -> None:
        """What was pending on the stream has left."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Outgoing:
    """The sending half of a connection."""

    def __init__(self, owner: Drained) -> None:
        """Nothing is sent, and the windows are the standard's."""
        self._drained: Drained = owner
        self.out: list[bytes] = []
        self.streams: dict[int, Stream] = {}
        # Of the connection; and that with which each stream begins.
        self.send_window = f.WINDOW_DEFAULT
        self.initial_window = f.WINDOW_DEFAULT
        self.peer_frame_bytes_max = f.FRAME_BYTES_MAX
        # No stream has more credit than that.
        self._credit_max = 0
        self._line: OrderedDict[int, Stream] = OrderedDict()
        self._held: dict[int, Stream] = {}
        # What the windows, or turns to come, do not let out yet.
        self.blocked_bytes = 0
        # Frames of what waited that have been sent.
        self.moved_count = 0

    def take_output(self, frames_max: int = FRAMES_A_TURN_MAX) -> bytes:
        """What is to be sent now, with at most so many frames of what waited; see `has_more`."""
        if self._line:
            self._send_waiting(frames_max)
        out, self.out = self.out, []
        return b"".join(out)

    @property
    def has_more(self) -> bool:
        """Whether the windows let more out: `take_output` has it."""
        return bool(self._line) and self.send_window > 0

    def send_answer(self, stream: Stream, answer: Answer, data: bytes) -> None:
        """Answer a stream whole: headers, data, trailers; it is closed then."""
        size, stream_id = len(data), stream.id
        if (
            size <= stream.send_credit + self.initial_window
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
        size = len(data)
        if not stream.pending:
            window = min(stream.send_credit + self.initial_window, self.send_window)
            if size <= window and size <= self.peer_frame_bytes_max:
                stream.send_credit -= size
                self.send_window -= size
                self.out += (f.head(size, f.DATA, 0, stream.id), data)
                self._drained.on_drain(stream)
                return
            stream.pending = deque()
        stream.pending.append(data)
        stream.pending_bytes += size
        self.blocked_bytes += size
        self._line_up(stream)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """End an answer, after what is pending."""
        if stream.pending:
            stream.trailers = block
            return
        end = f.END_HEADERS | f.END_STREAM
        self.out += (f.head(len(block), f.HEADERS, end, stream.id), block)
        self._close(stream)

    def _send_waiting(self, frames_max: int) -> None:
        line = self._line
        while line and self.send_window > 0 and frames_max > 0:
            frames_max -= 1
            _, stream = line.popitem(last=False)
            assert stream.pending, "who has nothing to send does not stand in line"
            self._send_frame(stream, stream.pending)

    def _send_frame(self, stream: Stream, pending: deque[bytes]) -> None:
        window = min(stream.send_credit + self.initial_window, self.send_window)
        room = min(window, self.peer_frame_bytes_max)
        first, offset = pending[0], stream.offset
        if room <= 0 < len(first):
            self._line_up(stream)
            return
        data = first[offset : offset + room]
        size = len(data)
        if offset + size < len(first):
            stream.offset = offset + size
        else:
            pending.popleft()
            stream.offset = 0
        self.moved_count += 1
        stream.send_credit -= size
        self.send_window -= size
        stream.pending_bytes -= size
        self.blocked_bytes -= size
        self.out += (f.head(size, f.DATA, 0, stream.id), data)
        if pending:
            self._line_up(stream)
        elif stream.trailers is not None:
            self.send_trailers(stream, stream.trailers)
        else:
            self._drained.on_drain(stream)

    def _line_up(self, stream: Stream) -> None:
        """Put a stream with something pending where it waits: in line, or among the held."""
        if stream.send_credit + self.initial_window <= 0:
            if stream.id not in self._held:
                stream.looks = 0
                self._held[stream.id] = stream
        else:
            self._line[stream.id] = stream

    @property
    def is_waiting(self) -> bool:
        """Whether something waits that its stream's own window would let out."""
        return bool(self._line)

    def take_stalled(self, looks_max: int) -> list[Stream]:
        """Look once more: the streams whose windows have been used up for so many looks."""
        stalled = []
        for stream in self._held.values():
            stream.looks += 1
            if stream.looks > looks_max:
                stalled.append(stream)
        return stalled

    # The client's windows.

    def add_credit(self, stream: Stream, count: int) -> None:
        """The client lets a stream send `count` bytes more.

        Raises:
            ConnectionBroken: its window is beyond the standard's largest.

        """
        stream.send_credit += count
        if stream.send_credit > self._credit_max:
            self._credit_max = stream.send_credit
            self._check_windows()
        if self._held.pop(stream.id, None) is not None:
            self._line_up(stream)

    def widen(self, count: int) -> None:
        """The client lets the connection send `count` bytes more.

        Raises:
            ConnectionBroken: its window is beyond the standard's largest.

        """
        self.send_window += count
        if self.send_window > f.WINDOW_MAX:
            raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")

    def begin_with(self, window: int) -> int:
        """The client lets every stream begin with `window`; return how many were held by the old.

        Raises:
            ConnectionBroken: some stream's window is beyond the standard's largest.

        """
        is_wider = window > self.initial_window
        self.initial_window = window
        self._check_windows()
        if not is_wider:
            return 0
        held, self._held = self._held, {}
        for stream in held.values():
            self._line_up(stream)
        return len(held)

    def _check_windows(self) -> None:
        if self.initial_window + self._credit_max <= f.WINDOW_MAX:
            return
        # The one with the most credit may be gone.
        self._credit_max = max((it.send_credit for it in self.streams.values()), default=0)
        if self.initial_window + self._credit_max > f.WINDOW_MAX:
            raise ConnectionBroken(ErrorCode.FLOW_CONTROL_ERROR, "too large a window")

    # Ends.

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Give a stream up."""
        if self.streams.pop(stream.id, None) is not None:
            self.drop(stream)
            self.out.append(f.rst_stream(stream.id, code))

    def drop(self, stream: Stream) -> None:
        """Send no more of a stream that is gone."""
        stream.is_local_closed = True
        self._held.pop(stream.id, None)
        self._line.pop(stream.id, None)
        self.blocked_bytes -= stream.pending_bytes
        stream.pending, stream.pending_bytes = None, 0

    def forget(self) -> None:
        """Keep nothing of what was to be sent: the connection will be closed."""
        self.out = []
        for stream in (*self._held.values(), *self._line.values()):
            stream.pending, stream.pending_bytes = None, 0
        self._held.clear()
        self._line.clear()
        self.blocked_bytes = 0

    def _close(self, stream: Stream) -> None:
        """We have said everything; a client that still talks is told to stop (section 8.1)."""
        stream.is_local_closed = True
        stream.state = None  # what was said there knows its stream
        del self.streams[stream.id]
        if not stream.is_remote_closed:
            self.out.append(f.rst_stream(stream.id, ErrorCode.NO_ERROR))
