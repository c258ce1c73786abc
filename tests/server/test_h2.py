"""Our HTTP/2 against the `h2` and `hpack` libraries, and against garbage."""

import random

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.server.h2 import (
    PREFACE,
    Answer,
    Connection,
    ConnectionBroken,
    ErrorCode,
    Stream,
    Unfinished,
)
from roost.server.h2 import frames as f
from roost.server.h2.connection import (
    CONTROL_COUNT_MAX,
    FRAME_BYTES_SENT_MAX,
    HEADER_BLOCK_BYTES_MAX,
    STREAMS_MAX,
)
from roost.server.h2.hpack import Decoder, HpackError, decode_huffman, encode_literal
from roost.server.h2.outgoing import FRAMES_A_TURN_MAX
from tests.steps import steps_of

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


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=6))
def test_header_blocks_decode_as_the_library_encoded_them(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    for fields, is_huffman in blocks:
        found, _ = decoder.decode(encoder.encode(fields, huffman=is_huffman))
        assert found == fields


@given(st.binary(max_size=80))
def test_any_header_block_decodes_as_with_the_library_or_is_refused(block: bytes) -> None:
    ours: list[tuple[bytes, bytes]] | None
    try:
        ours, _ = Decoder().decode(block)
    except HpackError:
        ours = None
    library = hpack.Decoder()
    library.max_allowed_table_size = 4096
    try:
        theirs = [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
    except hpack.HPACKError:
        return  # we may be more lenient nowhere, but need not agree on what is refused first
    assert ours is None or ours == theirs


@given(st.binary(max_size=60))
def test_huffman_strings_decode_as_the_library_encoded_them(data: bytes) -> None:
    from hpack.huffman import HuffmanEncoder
    from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

    encoded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(data)
    assert decode_huffman(encoded) == data


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_requests_arrive_whole_however_they_are_cut(piece: int) -> None:
    pair = Pair()
    stream_id = pair.client.get_next_available_stream_id()
    pair.client.send_headers(stream_id, HEADERS)
    pair.client.send_data(stream_id, b"hello", end_stream=True, pad_length=9)
    pair.exchange(piece)
    assert pair.owner.bodies == {stream_id: b"hello"}
    assert pair.owner.ended == [stream_id]
    assert (b":path", b"/a/b") in pair.owner.heads[0][1]


def test_equal_header_blocks_are_decoded_once() -> None:
    pair = Pair()
    for _ in range(20):
        pair.answer(pair.request(b"x"), b"y")
    assert pair.owner.decoded <= 3


def test_answers_arrive_with_trailers() -> None:
    pair = Pair()
    stream_id = pair.request(b"x")
    pair.answer(stream_id, b"answer")
    assert pair.received(stream_id) == b"answer"
    assert pair.has_ended(stream_id)
    assert any(isinstance(it, h2.events.TrailersReceived) for it in pair.events)
    assert not pair.server.streams


def test_a_large_request_is_let_in_by_windows() -> None:
    pair = Pair()
    body = random.Random(1).randbytes(9 << 20)
    stream_id = pair.request(body)
    assert pair.owner.bodies[stream_id] == body


def test_a_large_answer_waits_for_windows() -> None:
    pair = Pair()
    body = random.Random(2).randbytes(300_000)
    stream_id = pair.request(b"x")
    pair.answer(stream_id, body)
    assert len(pair.received(stream_id)) == 65_535
    for _ in range(20):
        if pair.has_ended(stream_id):
            break
        pair.client.increment_flow_control_window(30_000, stream_id)
        pair.client.increment_flow_control_window(30_000)
        pair.exchange()
    assert pair.received(stream_id) == body
    assert not pair.server.streams


def test_a_changed_initial_window_moves_open_streams() -> None:
    pair = Pair()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.exchange()
    stream_id = pair.request(b"x")
    pair.answer(stream_id, b"z" * 100)
    assert len(pair.received(stream_id)) == 10
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 60})
    pair.exchange()
    assert len(pair.received(stream_id)) == 60
    pair.client.increment_flow_control_window(100, stream_id)
    pair.exchange()
    assert pair.received(stream_id) == b"z" * 100


def test_a_stream_drains_as_windows_open() -> None:
    pair = Pair()
    stream_id = pair.request(b"x")
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, b"\x88")
    pair.server.send_data(stream, b"z" * 100_000)
    pair.exchange()
    assert stream.pending_bytes == 100_000 - 65_535
    assert pair.owner.drained == []
    pair.client.increment_flow_control_window(100_000, stream_id)
    pair.client.increment_flow_control_window(100_000)
    pair.exchange()
    assert (stream.pending_bytes, pair.owner.drained) == (0, [stream_id])


def test_pings_are_answered_and_resets_are_told() -> None:
    pair = Pair()
    pair.client.ping(b"12345678")
    stream_id = pair.request(b"")
    pair.client.reset_stream(stream_id)
    pair.exchange()
    assert any(isinstance(it, h2.events.PingAckReceived) for it in pair.events)
    assert pair.owner.reset == [stream_id]
    assert not pair.server.streams


def test_more_streams_than_offered_are_refused_and_the_rest_live() -> None:
    owner = Owner()
    server = Connection(owner)
    server.receive(PREFACE + f.settings({}))
    block = hpack.Encoder().encode(HEADERS)
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    del block
    for number in range(STREAMS_MAX + 5):
        server.receive(f.frame(f.HEADERS, f.END_HEADERS, 2 * number + 1, plain))
    assert len(server.streams) == STREAMS_MAX
    assert server.take_output().count(f.rst_stream(0, ErrorCode.REFUSED_STREAM)[9:]) >= 5


def test_going_away_lets_open_streams_end() -> None:
    pair = Pair()
    stream_id = pair.request(b"x")
    pair.server.go_away(ErrorCode.NO_ERROR)
    pair.exchange()
    assert any(isinstance(it, h2.events.ConnectionTerminated) for it in pair.events)
    pair.server.send_answer(pair.server.streams[stream_id], Answer(b"\x88", b"\x88"), b"late")
    assert b"late" in pair.server.take_output()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (PREFACE + b"\xff\xff\xff\0\0\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
        (PREFACE + f.frame(f.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (PREFACE + f.frame(f.HEADERS, f.END_HEADERS, 2, b"\x82"), ErrorCode.PROTOCOL_ERROR),
        (
            PREFACE + f.frame(f.HEADERS, f.END_HEADERS, 1, b"\xff\xff\xff"),
            ErrorCode.COMPRESSION_ERROR,
        ),
        (
            PREFACE + f.frame(f.HEADERS, 0, 1, b"\x82") + f.frame(f.PING, 0, 0, bytes(8)),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (PREFACE + f.frame(f.SETTINGS, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
        (PREFACE + f.frame(f.PING, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
        (PREFACE + f.frame(f.WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (
            PREFACE + f.frame(f.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        (PREFACE + f.frame(f.PUSH_PROMISE, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (PREFACE + f.frame(f.CONTINUATION, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (PREFACE + f.frame(f.RST_STREAM, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_broken_rule_ends_the_connection_with_its_code(data: bytes, code: ErrorCode) -> None:
    with pytest.raises(ConnectionBroken) as caught:
        Connection(Owner()).receive(data)
    assert caught.value.code is code


@pytest.mark.parametrize("kind", ["ping", "settings", "reset", "empty"])
def test_floods_of_control_frames_end_the_connection(kind: str) -> None:
    server = Connection(Owner())
    server.receive(PREFACE + f.settings({}))
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    frames: list[bytes] = []
    for number in range(2 * CONTROL_COUNT_MAX):
        stream_id = 2 * number + 1
        begin = f.frame(f.HEADERS, f.END_HEADERS, stream_id, plain)
        frames.append(
            {
                "ping": f.frame(f.PING, 0, 0, bytes(8)),
                "settings": f.settings({}),
                "reset": begin + f.rst_stream(stream_id, ErrorCode.CANCEL),
                "empty": (b"" if number else begin) + f.frame(f.DATA, 0, 1, b""),
            }[kind]
        )
    with pytest.raises(ConnectionBroken) as caught:
        server.receive(b"".join(frames))
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def sent(block: bytes, stream_id: int) -> bytes:
    """A header block in frames."""
    parts = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
    last = len(parts) - 1
    kinds = [f.HEADERS] + [f.CONTINUATION] * last
    flags = [f.END_HEADERS if it == last else 0 for it in range(len(parts))]
    return b"".join(
        f.frame(kind, flag | (f.END_STREAM if kind == f.HEADERS else 0), stream_id, part)
        for kind, flag, part in zip(kinds, flags, parts, strict=True)
    )


@pytest.mark.parametrize(
    ("sizes", "is_huffman"),
    [
        *([[1 << 20], False], [[5000] * 200, False], [[5000] * 10, True]),
        *([[20_000], it] for it in (False, True)),
        *([[200] * 100, it] for it in (False, True)),
        *([[3000] * 12, it] for it in (False, True)),
    ],
)
def test_a_list_of_headers_that_is_too_large_is_refused_alone(
    sizes: list[int], *, is_huffman: bool
) -> None:
    """What it has put into the table is there for those that follow."""
    owner, encoder = Owner(), hpack.Encoder()
    server = Connection(owner)
    server.receive(PREFACE + f.settings({}))
    large = [(f"x-{number}", "v" * size) for number, size in enumerate(sizes)]
    # Names that are new are indexed, so the table after the large list is another one.
    lists = [HEADERS, [*HEADERS, ("before", "1")], [*HEADERS, *large, ("after", "2")]]
    lists += [[*HEADERS, ("before", "1"), ("after", "2")], HEADERS]
    for number, fields in enumerate(lists):
        block = encoder.encode(fields, huffman=is_huffman)
        server.receive(sent(block, 2 * number + 1))
    wanted = [
        LARGE if fields is lists[2] else [(a.encode(), b.encode()) for a, b in fields]
        for fields in lists
    ]
    assert [head for _, head in owner.heads] == wanted


def test_header_blocks_without_end_are_bounded_for_one_and_for_all() -> None:
    # A string of which nobody sees the end.
    endless = b"\0\1x\x7f\x81\xff\xff\x07"

    def begin(server: Connection, count: int) -> None:
        server.receive(PREFACE + f.settings({}) + f.frame(f.HEADERS, 0, 1, endless))
        for _ in range(count):
            server.receive(f.frame(f.CONTINUATION, 0, 1, bytes(16_384)))

    with pytest.raises(ConnectionBroken) as caught:
        begin(Connection(Owner()), HEADER_BLOCK_BYTES_MAX // 16_384 + 1)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    unfinished = Unfinished()
    servers = [Connection(Owner(), unfinished=unfinished) for _ in range(100)]

    def begin_all() -> None:
        for server in servers:
            begin(server, 100)

    with pytest.raises(ConnectionBroken) as caught:
        begin_all()
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    for server in servers:
        server.drop_block()
    assert unfinished.free_bytes == Unfinished().free_bytes


def test_what_nobody_reads_of_a_large_list_is_bounded() -> None:
    many = [(b"x", b"v" * 4000)] * 100
    block = b"".join(b"\x40\x01x\x7f\xa1\x1e" + value for _, value in many)
    with pytest.raises(HpackError, match="far too many"):
        Decoder().decode(block)


def test_a_list_without_end_of_fields_that_nobody_keeps_is_refused() -> None:
    decoder = Decoder()
    decoder.feed(b"\x82" * 600)
    decoder.feed(b"\x82" * (1 << 20))  # fields that stand in the table cost a look
    with pytest.raises(HpackError, match="far too many"):
        decoder.feed(b"\0\0\0" * 5000)


@given(st.lists(FIELDS, max_size=4), st.integers(1, 40))
def test_a_block_means_the_same_in_whatever_parts_it_comes(
    lists: list[list[tuple[bytes, bytes]]], size: int
) -> None:
    encoder, whole, parts = hpack.Encoder(), Decoder(), Decoder()
    for fields in lists:
        block = encoder.encode(fields)
        for at in range(0, len(block), size):
            parts.feed(block[at : at + size])
        assert parts.end() == whole.decode(block)


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


def test_settings_cost_their_entries_however_many_streams_are_open() -> None:
    """Issue 14: 4,000 streams and one frame of 2,700 entries held the loop for 17.5 s."""
    many = b"".join(f.SETTING.pack(f.INITIAL_WINDOW_SIZE, it & 1) for it in range(2700))
    data = f.frame(f.SETTINGS, 0, 0, many)
    few, lots = opened(10)[0], opened(1000)[0]
    cost = steps_of(lambda: few.receive(data))
    assert steps_of(lambda: lots.receive(data)) < cost + 10 * 1000
    # The last value counts, and lets each out by one byte.
    assert lots.blocked_bytes == 1000 * 100
    while lots.has_more:
        lots.take_output()
    assert lots.blocked_bytes == 1000 * 99


def test_a_window_that_opens_costs_what_it_lets_out() -> None:
    """Issue 14: 4,000 answers that were held and 5,000 WINDOW_UPDATE frames took 14 s."""
    server, streams = opened(1000)
    server.receive(f.settings({f.INITIAL_WINDOW_SIZE: 1000}))
    server.receive(f.window_update(0, 1))
    server.take_output()
    server.send_window = 0

    def open_by_one() -> None:
        server.receive(f.window_update(0, 1))
        server.take_output()

    assert steps_of(open_by_one) < 100
    assert server.blocked_bytes == sum(it.pending_bytes for it in streams)


def test_answers_leave_in_turn_and_a_bounded_part_at_a_time() -> None:
    server = Connection(Owner())
    wide = f.settings({f.INITIAL_WINDOW_SIZE: 1 << 30, f.MAX_FRAME_SIZE: 1 << 23})
    server.receive(PREFACE + wide + f.window_update(0, 1 << 30))
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    for stream_id in (1, 3):
        server.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream_id, plain))
    large, small = server.streams.values()
    server.send_answer(large, Answer(b"\x88", b"\x88"), bytes(8 << 20))
    server.send_answer(small, Answer(b"\x88", b"\x88"), bytes(100_000))
    sent = server.take_output()
    assert len(sent) <= FRAMES_A_TURN_MAX * FRAME_BYTES_SENT_MAX * 1.1
    assert small.is_local_closed, "it does not wait for the large one"
    while server.has_more:
        sent += server.take_output()
    assert large.is_local_closed
    assert server.blocked_bytes == 0
    assert len(sent) > (8 << 20) + 100_000


def test_reading_stops_where_its_budget_ends_and_goes_on() -> None:
    owner = Owner()
    server = Connection(owner)
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    data = PREFACE + f.settings({})
    data += b"".join(
        f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 2 * number + 1, plain)
        for number in range(100)
    )
    assert server.receive(data + b"\0\0", budget=30)
    turns = 1
    while server.receive(b"", budget=30):
        turns += 1
    assert 3 <= turns <= 10
    assert len(owner.ended) == 100
    assert not server.receive(b"\x08\x06\0\0\0\0\0" + bytes(8), budget=30)
    assert b"\0\0\x08\x06\x01\0\0\0\0" in server.take_output(), "the ping that was cut"


def test_held_streams_that_are_reset_leave_nothing() -> None:
    server, streams = opened(100)
    server.receive(f.settings({f.INITIAL_WINDOW_SIZE: 10}))
    for stream in streams:
        server.receive(f.rst_stream(stream.id, ErrorCode.CANCEL))
    assert (server.blocked_bytes, server.has_more, server.streams) == (0, False, {})
    assert server.take_output().count(f.head(10, f.DATA, 0, 0)[:5]) == 0


FRAMES = st.builds(
    f.frame,
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 3, 5, 2, 2**31 - 1]),
    st.one_of(
        st.binary(max_size=40), st.just(b"\x82\x87\x84"), st.just(bytes(4)), st.just(bytes(8))
    ),
)


@settings(max_examples=400)
@given(st.lists(FRAMES, max_size=12))
def test_any_frames_are_taken_or_end_the_connection(frames: list[bytes]) -> None:
    server = Connection(Owner())
    try:
        for data in [PREFACE, *frames]:
            server.receive(data)
    except ConnectionBroken:
        pass  # it was ended
