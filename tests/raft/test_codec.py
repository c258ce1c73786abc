"""Messages as bytes: round trips, and nothing but MalformedMessage from anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import Entry, EntryKind, MalformedMessage, Message, codec
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    ReadIndexRequest,
    VoteReply,
    VoteRequest,
)

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
    st.builds(PreVoteRequest, POSITIVE, POSITIVE, U64, U64),
    st.builds(PreVoteReply, POSITIVE, POSITIVE, st.booleans()),
    st.builds(VoteRequest, POSITIVE, POSITIVE, U64, U64, st.booleans()),
    st.builds(VoteReply, POSITIVE, POSITIVE, st.booleans()),
    st.builds(ReadIndexRequest, POSITIVE, U64),
    st.builds(ReadIndexReply, POSITIVE, POSITIVE, U64, U64),
)


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
