"""Our HTTP/2 against the `h2` library, against who breaks its rules, and against garbage."""

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
    Unfinished,
)
from roost.server.h2 import frames as f
from roost.server.h2.connection import (
    CONTROL_COUNT_MAX,
    HEADER_BLOCK_BYTES_MAX,
    STREAMS_MAX,
)
from roost.server.h2.hpack import encode_literal
from tests.samples import SAMPLES
from tests.server.h2.pairs import HEADERS, LARGE, Owner, Pair


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


def test_a_large_request_is_let_in_by_windows() -> None:
    pair = Pair()
    body = random.Random(1).randbytes(9 << 20)
    stream_id = pair.request(body)
    assert pair.owner.bodies[stream_id] == body


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


def test_each_field_of_a_header_block_costs_however_small_it_is() -> None:
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    small = 900
    block = plain + b"\x00\x01x\x01y" * small
    server = Connection(Owner())
    frames = [
        f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 2 * number + 1, block)
        for number in range(3)
    ]
    assert server.receive(PREFACE + f.settings({}) + b"".join(frames), budget=small // 2)
    assert small <= server.spent < 2 * small, "it is one block"


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


FRAMES = st.builds(
    f.frame,
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 3, 5, 2, 2**31 - 1]),
    st.one_of(
        st.binary(max_size=40), st.just(b"\x82\x87\x84"), st.just(bytes(4)), st.just(bytes(8))
    ),
)


@settings(max_examples=150 * SAMPLES)
@given(st.lists(FRAMES, max_size=12))
def test_any_frames_are_taken_or_end_the_connection(frames: list[bytes]) -> None:
    server = Connection(Owner())
    try:
        for data in [PREFACE, *frames]:
            server.receive(data)
    except ConnectionBroken:
        pass  # it was ended
