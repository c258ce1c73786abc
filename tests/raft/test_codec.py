"""Messages as bytes: round trips, and nothing but MalformedMessage from anything else."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import (
    COUNT_MAX,
    Configuration,
    Entry,
    EntryKind,
    MalformedMessage,
    Message,
    codec,
    encode_change,
)
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
COUNTED = st.integers(0, COUNT_MAX)
POSITIVE = st.integers(1, COUNT_MAX)
IDS = st.integers(1, 2**64 - 1)


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    terms = sorted(draw(st.lists(st.integers(1, 2**62), max_size=5)))
    prev_index = draw(st.integers(0, 2**60))
    prev_term = draw(st.integers(1, terms[0] if terms else 2**62)) if prev_index else 0
    entries: list[Entry] = []
    for index, term in enumerate(terms, prev_index + 1):
        kind, payload = draw(st.sampled_from(EntryKind)), draw(st.binary())
        if kind is EntryKind.CONFIGURATION:
            payload = encode_change(Configuration(version=index, voters=(1, 2)), payload)
        entries.append(Entry(index, term, kind, payload))
    term = max([prev_term, 1, *terms]) + draw(st.integers(0, 5))
    return AppendEntries(term, draw(IDS), prev_index, prev_term, draw(COUNTED), tuple(entries))


@st.composite
def places(draw: st.DrawFn, term: int) -> tuple[int, int]:
    """An index and the term of the entry there, as a message of `term` may tell of it."""
    told = draw(st.integers(0, term))
    return draw(POSITIVE if told else COUNTED), told


@st.composite
def telling(draw: st.DrawFn) -> Message:
    """A message that tells of entries: none is of a later term than its own."""
    term, sender = draw(POSITIVE), draw(IDS)
    last, commit, flag = draw(places(term)), draw(places(term)), draw(st.booleans())
    session = draw(COUNTED)
    messages: list[Message] = [
        PreVoteRequest(term, sender, *last, *commit),
        PreVoteReply(term, sender, flag, *commit),
        VoteRequest(term, sender, *last, flag, *commit),
        VoteReply(term, sender, flag, *commit),
        TimeoutNow(term, sender, *last),
        AppendRejected(term, sender, draw(COUNTED), *last, session),
        SnapshotOffer(
            term,
            sender,
            index=max(1, last[0]),
            index_term=max(1, last[1]),
            session=session,
            configuration=Configuration(version=1, voters=(1, 2)),
        ),
    ]
    return draw(st.sampled_from(messages))


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    appends(),
    telling(),
    st.builds(AppendAccepted, POSITIVE, IDS, COUNTED),
    st.builds(Heartbeat, POSITIVE, IDS, COUNTED, COUNTED),
    st.builds(HeartbeatReply, POSITIVE, IDS, COUNTED),
    st.builds(ReadIndexRequest, IDS, COUNTED),
    st.builds(ReadIndexReply, POSITIVE, IDS, COUNTED, COUNTED),
    st.builds(AppendHeld, POSITIVE, IDS, COUNTED, COUNTED),
    st.builds(TransferRequest, IDS, IDS),
    st.builds(SnapshotFailed, POSITIVE, IDS, COUNTED, COUNTED),
    st.builds(Restarted, POSITIVE, IDS, COUNTED),
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
        pass  # no other error


@given(MESSAGES, st.data())
def test_a_damaged_message_is_a_message_or_malformed(message: Message, data: st.DataObject) -> None:
    body = bytearray(b"".join(codec.encode(message)))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    try:
        codec.decode(bytes(body))
    except MalformedMessage:
        pass  # no other error


@pytest.mark.parametrize("length", range(40))
def test_a_short_message_is_malformed(length: int) -> None:
    whole = b"".join(
        codec.encode(AppendEntries(2, 1, 1, 1, 0, (Entry(2, 2, EntryKind.NORMAL, b"payload"),)))
    )
    with pytest.raises(MalformedMessage):
        codec.decode(whole[:length])


def raw_append(
    *entries: tuple[int, int],
    term: int = 5,
    prev: tuple[int, int] = (3, 4),
    payload: bytes = b"",
) -> bytes:
    """An append by hand, of entries (term, kind), each with the same payload."""
    head = struct.pack(">BQQQQQQI", 1, 1, term, *prev, 0, 0, len(entries))
    heads = b"".join(struct.pack(">QBI", *it, len(payload)) for it in entries)
    return head + heads + payload * len(entries)


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
        (struct.pack(">BQQQQQQ", 6, 1, 4, 3, 5, 0, 0), "last_term 5"),
        (struct.pack(">BQQQQQQ", 6, 1, 4, 0, 1, 0, 0), "last_term 1 at 0"),
        (struct.pack(">BQQQQQQ", 6, 1, 4, 3, 1, 9, 5), "commit_term 5"),
        (struct.pack(">BQQQQQQ", 3, 1, 4, 9, 8, 5, 0), "hint_term 5"),
        (
            struct.pack(">BQQQQQ", 15, 1, 4, 3, 4, 0)
            + encode_configuration(Configuration(version=4, voters=(1,))),
            "a snapshot at 3 of configuration 4",
        ),
        (raw_append((5, 2)), "end inside"),
        (raw_append((5, 2), payload=encode_configuration(ALONE)), "brings configuration 1"),
    ],
)
def test_what_contradicts_itself_is_malformed(body: bytes, words: str) -> None:
    """Checklist 11, 23: contiguous, terms that never decrease, none above the message's own."""
    with pytest.raises(MalformedMessage, match=words):
        codec.decode(body)


@pytest.mark.parametrize("kind", sorted(codec.KINDS))
def test_no_number_is_taken_that_could_not_be_counted_on_from(kind: int) -> None:
    """One vote request of term 2^64-1 ended a cluster for good: nobody could write the next."""
    example = next(it for it in KINDS_BY_EXAMPLE if type(it) is codec.KINDS[kind])
    body = b"".join(codec.encode(example))
    counted = [9, *range(17, min(len(body), 49), 8)]
    if kind == 14:
        counted = [9]  # a target is an id
    if kind == 15:
        counted = [9, 17, 33, 41]  # then the configuration's version
    for offset in counted:
        changed = bytearray(body)
        changed[offset] |= 0x80
        with pytest.raises(MalformedMessage):
            codec.decode(bytes(changed))


def test_an_append_ends_where_counting_does() -> None:
    entry = Entry(COUNT_MAX, 1, EntryKind.NORMAL, b"")
    last = AppendEntries(1, 1, COUNT_MAX - 1, 1, 0, (entry,))
    assert codec.decode(b"".join(codec.encode(last))) == last
    with pytest.raises(MalformedMessage, match="beyond what can be counted"):
        codec.decode(b"".join(codec.encode(AppendEntries(1, 1, COUNT_MAX, 1, 0, (entry,)))))


def test_only_entries_are_bulk() -> None:
    assert [codec.is_bulk(it) for it in KINDS_BY_EXAMPLE[:3]] == [True, True, False]
    assert not codec.is_bulk(AppendEntries(5, 1, 3, 4, 2))
