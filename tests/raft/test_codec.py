"""Messages as bytes: round trips, and nothing but MalformedMessage from anything else."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import Configuration, Entry, EntryKind, MalformedMessage, Message, codec
from roost.raft.confchange import encode_configuration
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    ReadIndexRequest,
    Restarted,
    SnapshotFailed,
    SnapshotOffer,
    TimeoutNow,
    TransferRequest,
    VoteReply,
    VoteRequest,
)

ALONE = Configuration(version=1, voters=(1,))
U64 = st.integers(0, 2**64 - 1)
POSITIVE = st.integers(1, 2**64 - 1)


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    terms = sorted(draw(st.lists(st.integers(1, 2**63), max_size=5)))
    prev_index = draw(st.integers(0, 2**60))
    prev_term = draw(st.integers(1, terms[0] if terms else 2**63)) if prev_index else 0
    entries = tuple(
        Entry(prev_index + 1 + place, term, draw(st.sampled_from(EntryKind)), draw(st.binary()))
        for place, term in enumerate(terms)
    )
    term = max([prev_term, 1, *terms]) + draw(st.integers(0, 5))
    return AppendEntries(term, draw(POSITIVE), prev_index, prev_term, draw(U64), entries)


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    appends(),
    st.builds(AppendAccepted, POSITIVE, POSITIVE, U64),
    st.builds(AppendRejected, POSITIVE, POSITIVE, U64, U64, U64),
    st.builds(Heartbeat, POSITIVE, POSITIVE, U64, U64),
    st.builds(HeartbeatReply, POSITIVE, POSITIVE, U64),
    st.builds(PreVoteRequest, POSITIVE, POSITIVE, U64, U64, U64, U64),
    st.builds(PreVoteReply, POSITIVE, POSITIVE, st.booleans(), U64, U64),
    st.builds(VoteRequest, POSITIVE, POSITIVE, U64, U64, st.booleans(), U64, U64),
    st.builds(VoteReply, POSITIVE, POSITIVE, st.booleans(), U64, U64),
    st.builds(ReadIndexRequest, POSITIVE, U64),
    st.builds(ReadIndexReply, POSITIVE, POSITIVE, U64, U64),
    st.builds(AppendHeld, POSITIVE, POSITIVE, U64, U64),
    st.builds(TimeoutNow, POSITIVE, POSITIVE, U64, U64),
    st.builds(TransferRequest, POSITIVE, U64),
    st.builds(SnapshotFailed, POSITIVE, POSITIVE, U64, U64),
    st.builds(
        SnapshotOffer,
        term=st.just(2**64 - 1),
        sender=POSITIVE,
        index=POSITIVE,
        index_term=POSITIVE,
        session=U64,
        configuration=st.just(Configuration(version=1, voters=(1, 2))),
    ),
)
KINDS_BY_EXAMPLE: tuple[Message, ...] = (
    AppendEntries(5, 1, 3, 4, 2, (Entry(4, 4, EntryKind.EMPTY, b""),), 9),
    AppendEntries(5, 1, 3, 4, 2, (Entry(4, 5, EntryKind.NORMAL, b"a"),) * 2),
    AppendAccepted(5, 1, 3),
    AppendHeld(5, 1, 3, 9),
    AppendRejected(5, 1, 3, 2, 1),
    Heartbeat(5, 1, 3, 7),
    HeartbeatReply(5, 1, 7),
    PreVoteRequest(5, 1, 3, 4, 2, 1),
    PreVoteReply(5, 1, True, 2, 1),
    VoteRequest(5, 1, 3, 4, True, 2, 1),
    VoteReply(5, 1, False, 2, 1),
    ReadIndexRequest(1, 7),
    ReadIndexReply(5, 1, 7, 3),
    TimeoutNow(5, 1, 3, 4),
    TransferRequest(1, 2),
    SnapshotOffer(5, 1, 3, 4, 0, Configuration(version=1, voters=(1, 2))),
    Restarted(5, 1, 1 << 40),
    SnapshotFailed(5, 1, 3),
)


def test_every_kind_of_message_has_an_example() -> None:
    assert {type(it) for it in KINDS_BY_EXAMPLE} == set(codec.KINDS.values())


@given(MESSAGES)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert codec.decode(b"".join(codec.encode(message))) == message


@given(appends())
def test_payloads_are_not_copied(message: AppendEntries) -> None:
    buffers = codec.encode(message)
    assert all(any(it.payload is held for held in buffers) for it in message.entries)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    try:
        codec.decode(body)
    except MalformedMessage:
        pass


@given(MESSAGES, st.data())
def test_a_damaged_message_is_a_message_or_malformed(message: Message, data: st.DataObject) -> None:
    body = bytearray(b"".join(codec.encode(message)))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    try:
        codec.decode(bytes(body))
    except MalformedMessage:
        pass


@pytest.mark.parametrize("length", range(40))
def test_a_short_message_is_malformed(length: int) -> None:
    whole = b"".join(
        codec.encode(AppendEntries(2, 1, 1, 1, 0, (Entry(2, 2, EntryKind.NORMAL, b"payload"),)))
    )
    with pytest.raises(MalformedMessage):
        codec.decode(whole[:length])


def raw_append(*entries: tuple[int, int], term: int = 5, prev: tuple[int, int] = (3, 4)) -> bytes:
    """An append by hand, of entries (term, kind) without payload."""
    head = struct.pack(">BQQQQQQI", 1, 1, term, *prev, 0, 0, len(entries))
    return head + b"".join(struct.pack(">QBI", *it, 0) for it in entries)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (raw_append(term=0), "contradicts itself"),
        (raw_append(term=3), "contradicts itself"),
        (raw_append((4, 1))[:-1], "contradicts itself"),
        (raw_append(prev=(3, 0)), "position 0"),
        (raw_append(prev=(0, 4)), "position 0"),
        (raw_append((3, 1)), "cannot follow"),
        (raw_append((5, 1), (4, 1)), "cannot follow"),
        (raw_append((4, 9)), "cannot follow"),
        (raw_append((6, 1)), "do not fill it"),
        (raw_append((5, 1)) + b"x", "do not fill it"),
        (struct.pack(">BQQQQQ", 15, 1, 4, 3, 5, 0) + encode_configuration(ALONE), "a snapshot at"),
        (struct.pack(">BQQQQQ", 15, 1, 4, 0, 4, 0) + encode_configuration(ALONE), "a snapshot at"),
        (struct.pack(">BQQQQQ", 15, 1, 4, 3, 4, 0) + encode_configuration(ALONE) + b"x", "snapsh"),
        (struct.pack(">BQQQQQ", 9, 1, 4, 2, 0, 0), "is_granted is 2"),
        (struct.pack(">BQQQ", 4, 0, 4, 2) + bytes(8), "sender 0"),
        (struct.pack(">BQQQ", 4, 1, 0, 2) + bytes(8), "term 0"),
        (struct.pack(">BQQQ", 10, 1, 4, 2), "term 4"),
    ],
)
def test_what_contradicts_itself_is_malformed(body: bytes, words: str) -> None:
    """Checklist 11, 23: contiguous, terms that never decrease, none above the message's own."""
    with pytest.raises(MalformedMessage, match=words):
        codec.decode(body)


def test_only_entries_are_bulk() -> None:
    assert [codec.is_bulk(it) for it in KINDS_BY_EXAMPLE[:3]] == [True, True, False]
    assert not codec.is_bulk(AppendEntries(5, 1, 3, 4, 2))
