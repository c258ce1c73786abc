"""Our server beside the client of the `h2` library, and what both are tried with."""

import h2.config
import h2.connection
import h2.events
import h2.settings
from hypothesis import strategies as st

from roost.server.h2 import (
    PREFACE,
    Answer,
    Connection,
    Stream,
)
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal

NAMES = st.sampled_from([b":path", b":method", b"te", b"content-type", b"x-1", b"grpc-timeout"])
VALUES = st.one_of(st.binary(max_size=20), st.sampled_from([b"POST", b"/a/b", b"1S", b"trailers"]))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
HEADERS = [
    (":method", "POST"),
    (":path", "/a/b"),
    (":scheme", "http"),
    (":authority", "x"),
    ("te", "trailers"),
]
LARGE: list[tuple[bytes, bytes]] = [(b"too", b"large")]


class Owner:
    """Remembers what came in; echoes when told to."""

    def __init__(self) -> None:
        self.heads: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.reset: list[int] = []
        self.drained: list[int] = []
        self.decoded = self.whole_count = 0
        self.server: Connection | None = None

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        self.decoded += 1
        return fields

    def make_large_head(self) -> object:
        return LARGE

    def on_headers(self, stream: Stream, head: object) -> None:
        assert isinstance(head, list)
        self.heads.append((stream.id, head))
        if stream.is_remote_closed:
            self.ended.append(stream.id)

    def on_request(self, stream: Stream, head: object, data: bytes) -> None:
        self.whole_count += 1
        assert stream.is_remote_closed
        assert isinstance(head, list)
        self.heads.append((stream.id, head))
        self.on_data(stream, data)

    def on_data(self, stream: Stream, data: bytes) -> None:
        self.bodies[stream.id] = self.bodies.get(stream.id, b"") + data
        if self.server is not None:
            self.server.give_back(stream, len(data))
        if stream.is_remote_closed:
            self.ended.append(stream.id)

    def on_reset(self, stream: Stream) -> None:
        self.reset.append(stream.id)

    def on_drain(self, stream: Stream) -> None:
        self.drained.append(stream.id)


class Pair:
    """Our server and the library's client, with a wire between them."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.server = self.owner.server = Connection(self.owner)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.client.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.exchange()

    def exchange(self, piece: int = 1 << 20) -> None:
        """Carry bytes both ways until nothing moves; `piece` bytes at a time."""
        while True:
            data = self.client.data_to_send()
            for begin in range(0, len(data), piece):
                self.server.receive(data[begin : begin + piece])
            back = self.server.take_output()
            if not data and not back:
                return
            self.events += self.client.receive_data(back)

    def request(self, body: bytes = b"", headers: list[tuple[str, str]] = HEADERS) -> int:
        stream_id: int = self.client.get_next_available_stream_id()
        self.client.send_headers(stream_id, headers, end_stream=not body)
        offset = 0
        while offset < len(body):
            self.exchange()
            room = min(
                self.client.local_flow_control_window(stream_id),
                self.client.max_outbound_frame_size,
            )
            chunk = body[offset : offset + room]
            offset += len(chunk)
            self.client.send_data(stream_id, chunk, end_stream=offset == len(body))
        self.exchange()
        return stream_id

    def answer(self, stream_id: int, body: bytes) -> None:
        block = b"\x88" + encode_literal(b"content-type", b"application/grpc")
        trailers = encode_literal(b"grpc-status", b"0")
        self.server.send_answer(self.server.streams[stream_id], Answer(block, trailers), body)
        self.exchange()

    def received(self, stream_id: int) -> bytes:
        return b"".join(
            it.data
            for it in self.events
            if isinstance(it, h2.events.DataReceived) and it.stream_id == stream_id
        )

    def has_ended(self, stream_id: int) -> bool:
        return any(
            isinstance(it, h2.events.StreamEnded) and it.stream_id == stream_id
            for it in self.events
        )


def opened(count: int) -> tuple[Connection, list[Stream]]:
    """A server of which a client has so many answers open, and lets none of them out."""
    server = Connection(Owner())
    server.receive(PREFACE + f.settings({f.INITIAL_WINDOW_SIZE: 0}))
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    for number in range(count):
        server.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 2 * number + 1, plain))
    streams = list(server.streams.values())
    for stream in streams:
        server.send_answer(stream, Answer(b"\x88", b"\x88"), b"z" * 100)
    server.take_output()
    return server, streams
