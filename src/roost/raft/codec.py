"""Messages as bytes.  All integers big-endian.

    0   u8   kind, see KINDS
    1   u64  sender
    9   u64  term
    17       the kind's own fields, in the order of its class, u64 each (booleans as 0 or 1)

`AppendEntries` goes on with

        u32  entry count, then for each entry  u64 term, u8 kind, u32 payload length
             then the payloads, in order

and `SnapshotOffer` ends with the configuration, as `confchange` has it.  The payloads are handed
over as they are, never copied into one buffer.  Entry indices are not sent: they follow
prev_index.  A decoded message has been checked once, here; nobody re-checks:

    a sender is there; every number but an id is at most COUNT_MAX
    no term told of (of the log's end, of a committed entry, of a hint) is above the message's own
    entries follow each other; a change of the configuration is one, and is of its own index
"""

from collections.abc import Mapping
from struct import Struct
from struct import error as StructError
from typing import Final

from roost.raft.confchange import decode_change, encode_configuration
from roost.raft.errors import MalformedMessage
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    Message,
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
from roost.raft.types import COUNT_MAX, Entry, EntryKind

# A number is for ever: members of two versions talk to each other while a cluster is upgraded, and
# one that is used again for something else would be taken for what it was.
_APPEND: Final = 1
KINDS: dict[int, type[Message]] = {
    1: AppendEntries,
    2: AppendAccepted,
    3: AppendRejected,
    4: Heartbeat,
    5: HeartbeatReply,
    6: PreVoteRequest,
    7: PreVoteReply,
    8: VoteRequest,
    9: VoteReply,
    10: ReadIndexRequest,
    11: ReadIndexReply,
    12: AppendHeld,
    13: TimeoutNow,
    14: TransferRequest,
    15: SnapshotOffer,
    16: SnapshotFailed,
    17: Restarted,
}
_NUMBERS: Final = {kind: number for number, kind in KINDS.items()}
_OFFER: Final = 15
_APPEND_HEAD: Final = Struct(">BQQQQQQI")
_OFFER_HEAD: Final = Struct(">BQQQQQ")
_ENTRY_HEAD: Final = Struct(">QBI")
_ENTRY_KINDS: Final = tuple(EntryKind)


# The order of a class's fields is the format.  One that is added, also at the end, changes what all
# older members read: it takes a kind of its own, or a protocol version that greetings compare.
def _plain_fields(kind: type[Message]) -> tuple[tuple[str, ...], Struct]:
    names = [name for name in kind.__struct_fields__ if name not in ("sender", "term")]
    return tuple(names), Struct(">BQQ" + "Q" * len(names))


_OWN_LAYOUT: Final = (AppendEntries, SnapshotOffer)
_PLAIN: Final = {kind: _plain_fields(kind) for kind in KINDS.values() if kind not in _OWN_LAYOUT}
_BOOLEANS: Final = ("is_granted", "is_transfer")
# Messages of numbers only, whose class begins with term and sender: no names are needed.
# Beside appends nearly all messages are of these, and a dictionary of names for each costs more
# than the numbers.
_HOT: Final = frozenset({AppendAccepted, Heartbeat, HeartbeatReply})
_WITHOUT_TERM: Final = (ReadIndexRequest, TransferRequest)
# Terms of entries that a message tells of, beside the position each belongs to.
# None can be above the message's own term: who knows of an entry of a term is in that term.
_TOLD = (
    ("last_term", "last_index"),
    ("commit_term", "commit_index"),
    ("hint_term", "hint_index"),
)


def is_bulk(message: Message) -> bool:
    """Whether the message carries entries and so must not delay heartbeats (D7)."""
    # An append without entries is a probe or news of a commit.  It is as small as a heartbeat, and
    # what waits for it waits for all that is queued with it.
    return type(message) is AppendEntries and bool(message.entries)


def encode(message: Message) -> list[bytes]:
    """Encode to buffers: a head, then each entry's payload as the same bytes object."""
    # By the exact type, which is one comparison of pointers; there are no subclasses.
    if type(message) is AppendEntries:
        return _encode_append(message)
    if type(message) is SnapshotOffer:
        return _encode_offer(message)
    kind = type(message)
    names, layout = _PLAIN[kind]
    values = [getattr(message, name) for name in names]
    return [layout.pack(_NUMBERS[kind], message.sender, message.term, *values)]


def _encode_append(message: AppendEntries) -> list[bytes]:
    entries = message.entries
    head = _APPEND_HEAD.pack(
        _APPEND,
        message.sender,
        message.term,
        message.prev_index,
        message.prev_term,
        message.commit_index,
        message.session,
        len(entries),
    )
    # What a lone put is, and the commonest append of all: no list is made for it.
    if len(entries) == 1:
        entry = entries[0]
        payload = entry.payload
        return [head + _ENTRY_HEAD.pack(entry.term, entry.kind, len(payload)), payload]
    pack = _ENTRY_HEAD.pack
    heads = [pack(entry.term, entry.kind, len(entry.payload)) for entry in entries]
    return [head + b"".join(heads), *[entry.payload for entry in entries]]


def decode(body: bytes) -> Message:
    """Decode one message.

    Raises:
        MalformedMessage: an unknown kind, a wrong length, or entries that cannot follow each
            other.

    """
    try:
        if body[0] == _APPEND:
            return _decode_append(body)
        if body[0] == _OFFER:
            return _decode_offer(body)
        kind = KINDS[body[0]]
        names, layout = _PLAIN[kind]
        _, sender, term, *values = layout.unpack(body)
    except (StructError, KeyError, IndexError) as error:
        raise MalformedMessage(f"{len(body)} bytes are no message") from error
    # A term where there is none, or none where there is one, would be admitted by another rule
    # than its own (`admission`).
    if sender == 0 or (term == 0) != (kind in _WITHOUT_TERM) or term > COUNT_MAX:
        raise MalformedMessage(f"sender {sender}, term {term}")
    if kind in _HOT:
        # Neither truths nor terms of entries are among them: to be countable is all they must be.
        if max(values) > COUNT_MAX:
            raise MalformedMessage(f"{max(values)} is more than can be counted")
        return kind(term, sender, *values)
    fields = dict(zip(names, values, strict=True))
    _check(fields, term)
    for name in _BOOLEANS:
        if name in fields:
            fields[name] = bool(fields[name])
    return kind(sender=sender, term=term, **fields)


def _check(fields: Mapping[str, int], term: int) -> None:
    """Refuse a message of numbers only that is not as the top says."""
    for name, value in fields.items():
        # A target is a node's id, which is drawn and not counted: all of its 64 bits are good.
        if value > COUNT_MAX and name != "target":
            raise MalformedMessage(f"{name} {value} is more than can be counted")
    for name in _BOOLEANS:
        # What is neither is refused, not guessed: Python takes it for true, another version may
        # not, and then one message has two meanings.
        if fields.get(name, 0) > 1:
            raise MalformedMessage(f"{name} is {fields[name]}")
    for name, place in _TOLD:
        told = fields.get(name, 0)
        # At position 0 there is no entry, so that none of a term is there.
        if told > term or (told and not fields[place]):
            raise MalformedMessage(f"{name} {told} at {fields[place]}, in a message of {term}")


def _decode_append(body: bytes) -> AppendEntries:
    head = _APPEND_HEAD.unpack_from(body)
    _, sender, term, prev_index, prev_term, commit_index, session, count = head
    head_offset = _APPEND_HEAD.size
    offset = head_offset + count * _ENTRY_HEAD.size
    # The count is believed as far as there are bytes for it, before the loop below goes by it: what
    # a stranger writes must not say how much is done or reserved.
    if offset > len(body) or sender == 0 or term == 0 or prev_term > term:
        raise MalformedMessage("an append's head contradicts itself")
    # Only the place before the first entry has no term; with one, or elsewhere without, the
    # comparison on which all appends rest would be of nothing (§3.5).
    if (prev_index == 0) != (prev_term == 0):
        raise MalformedMessage("an append follows position 0 of a term, or none of none")
    if max(term, prev_index + count, commit_index, session) > COUNT_MAX:
        raise MalformedMessage("an append goes beyond what can be counted")
    # Logs are ordered by term, and leaders only ever append: an append that is not would put a
    # log in order with none, and elections compare logs by their last terms (checklist 23).
    entries: list[Entry] = []
    index, last_term = prev_index, prev_term
    for _ in range(count):
        entry_term, kind, length = _ENTRY_HEAD.unpack_from(body, head_offset)
        head_offset += _ENTRY_HEAD.size
        index += 1
        if entry_term < last_term or kind >= len(_ENTRY_KINDS) or entry_term == 0:
            raise MalformedMessage(f"entry {index} of term {entry_term} cannot follow {last_term}")
        last_term = entry_term
        # A copy of its own: the log keeps it for long, and a view would keep the whole message.
        payload = bytes(body[offset : offset + length])
        if kind == EntryKind.CONFIGURATION:
            _check_change(payload, index)
        entries.append(Entry(index, entry_term, _ENTRY_KINDS[kind], payload))
        offset += length
    # To the last byte: what nobody reads, nobody has checked.  And a leader has no entries of terms
    # above its own, for it would not lead any more (§3.3).
    if offset != len(body) or last_term > term:
        raise MalformedMessage("an append's entries do not fill it")
    return AppendEntries(term, sender, prev_index, prev_term, commit_index, tuple(entries), session)


def _check_change(payload: bytes, index: int) -> None:
    """Refuse what could not be applied once it is committed, when nobody can be blamed."""
    configuration, _ = decode_change(payload)
    if configuration.version != index:
        raise MalformedMessage(f"entry {index} brings configuration {configuration.version}")


def _encode_offer(message: SnapshotOffer) -> list[bytes]:
    fields = (message.sender, message.term, message.index, message.index_term, message.session)
    return [_OFFER_HEAD.pack(_OFFER, *fields), encode_configuration(message.configuration)]


def _decode_offer(body: bytes) -> SnapshotOffer:
    _, sender, term, index, index_term, session = _OFFER_HEAD.unpack_from(body)
    configuration, rest = decode_change(body[_OFFER_HEAD.size :])
    # Behind the configuration of an entry stands its context; an offer has none.
    # What is in a copy was committed, so it has a term, and one that its leader has reached.
    if rest or sender == 0 or not 0 < index_term <= term or index == 0:
        raise MalformedMessage(f"a snapshot at {index_term}:{index}, term {term}")
    if max(term, index, session) > COUNT_MAX or configuration.version > index:
        raise MalformedMessage(f"a snapshot at {index} of configuration {configuration.version}")
    return SnapshotOffer(term, sender, index, index_term, session, configuration)
