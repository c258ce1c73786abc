"""Frames: round trips in any pieces, and nothing but MalformedFrame from anything else."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.peer import FrameReader, MalformedFrame, frame, framing

# Bodies past JOINED_BYTES_MAX leave as several buffers.
BODIES = st.one_of(
    st.lists(st.binary(max_size=50), max_size=4),
    st.just([bytes(framing.JOINED_BYTES_MAX), b"and more"]),
)
LIMIT = 1 << 20


def encode(kind: int, buffers: list[bytes]) -> bytes:
    return b"".join(framing.encode(kind, buffers))


@given(st.lists(st.tuples(st.integers(0, 255), BODIES), max_size=6), st.integers(1, 60))
def test_frames_arrive_whole_however_they_are_cut(
    frames: list[tuple[int, list[bytes]]], piece: int
) -> None:
    stream = b"".join(encode(*it) for it in frames)
    reader = FrameReader(LIMIT)
    found: list[tuple[int, bytes]] = []
    piece = max(piece, len(stream) // 200)
    for begin in range(0, len(stream), piece):
        found += reader.feed(stream[begin : begin + piece])
    assert found == [(kind, b"".join(buffers)) for kind, buffers in frames]


def test_a_body_that_comes_by_single_bytes_takes_little_more_than_its_bytes() -> None:
    """A list of a million objects for a megabyte would be what a stranger can ask for."""
    reader, body = FrameReader(LIMIT), bytes(50_000)
    stream = encode(7, [body])
    tracemalloc.start()
    try:
        for place in range(len(stream) - 1):
            assert reader.feed(stream[place : place + 1]) == []
        assert tracemalloc.get_traced_memory()[0] < 2 * len(body)
    finally:
        tracemalloc.stop()
    assert reader.feed(stream[-1:]) == [(7, body)]


@given(st.binary(max_size=100), st.integers(1, 20))
def test_any_bytes_are_frames_or_malformed(data: bytes, piece: int) -> None:
    reader = FrameReader(1000)
    try:
        for begin in range(0, len(data), piece):
            reader.feed(data[begin : begin + piece])
    except MalformedFrame:
        pass  # no other error


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_damaged_frame_is_never_delivered(body: bytes, data: st.DataObject) -> None:
    whole = bytearray(encode(7, [body]))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert FrameReader(1000).feed(bytes(whole)) == []
    except MalformedFrame:
        pass  # no other error


def test_a_changed_length_is_found_before_its_body_comes() -> None:
    """`roost sim --seed 400360`: 64 MiB were waited for, and nobody led for ever."""
    whole = bytearray(encode(7, [b"a vote"]))
    for place in range(framing.HEAD.size):
        for bit in range(8):
            whole[place] ^= 1 << bit
            with pytest.raises(MalformedFrame):
                FrameReader(80 << 20).feed(bytes(whole))
            whole[place] ^= 1 << bit
    assert FrameReader(80 << 20).feed(bytes(whole)) == [(7, b"a vote")]


def test_a_length_is_refused_before_its_body_comes() -> None:
    head = encode(1, [bytes(1001)])[: framing.HEAD.size]
    with pytest.raises(MalformedFrame, match="1001 bytes; 1000 are taken"):
        FrameReader(1000).feed(head)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81\xa4kind\xa1\xff",
        b"\x81\xa1x" * 2000,
        msgspec.msgpack.encode({"kind": 5, "text": "no"}),
    ],
)
def test_what_is_no_body_is_malformed_whatever_it_is(body: bytes) -> None:
    """Bytes that are no UTF-8, or nested too deep, are no error of msgspec's own."""
    with pytest.raises(MalformedFrame, match="no refusal"):
        frame.decode(body, frame.Refusal)


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1])
def test_no_number_is_taken_that_could_not_be_counted_on_from(number: int) -> None:
    """An incarnation of 2^63 made the member that is meant a copy for ever."""
    good = [2**63 - 1] * 3
    assert frame.decode(msgspec.msgpack.encode(good), frame.Life)
    for place in range(3):
        life = [*good[:place], number, *good[place + 1 :]]
        with pytest.raises(MalformedFrame):
            frame.decode(msgspec.msgpack.encode(life), frame.Life)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20), "must be https"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "it answers by TLS"),
        (b"GET /version HTTP/1.1\r\n", "clients are served at the client URLs"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "gRPC"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a client URL, not a peer URL"),
        (b"SSH-2.0-OpenSSH_9.2 some more", "no frame"),
    ],
)
def test_what_people_mix_up_with_a_member_is_named(data: bytes, words: str) -> None:
    def read() -> None:
        reader = FrameReader(1000)
        reader.feed(data)
        reader.end()

    with pytest.raises(MalformedFrame, match=words):
        read()
