"""What partners say to each other: a crc32c of 4 bytes (little-endian), and MessagePack.

A *source* tells a *destination* its own registers, one way:

    source                                destination
    Hello: who I am, how far I am    ->
                                     <-   Heard: up to there I have heard you, durably
    Changes, or Page (REPLACE)       ->
                                     <-   Heard, or PageTaken
    Compare: so much do I have       ->
                                     <-   Differs, if it is not the same here
                                     <-   Refused: what you say cannot be believed

Whoever joins, or looks for what others know of an owner that is away for good, asks for pages:

    WantPage (SEED, UNION)           ->
                                     <-   Page
"""

from enum import Enum
from typing import Annotated

import msgspec
from crc32c import crc32c

from roost.counters.algebra import VERSION_MAX
from roost.counters.errors import MalformedCounters
from roost.counters.names import KEY_BYTES_MAX
from roost.counters.owners import OWNERS_MAX
from roost.counters.rows import BYTES_MAX, EPOCH_BYTES, KeyRow, PartRow, TombstoneRow
from roost.errors import UNDECODABLE

# A message has one row at least; no row is larger than what is added here.
MESSAGE_BYTES_MAX = BYTES_MAX + (1 << 20)
# Of a message of another version of Roost; ours have fewer (`rows.KEYS_MAX`).
KEYS_TAKEN_MAX = 256
# Likewise: of an owner's changes, whose rows are taken in one step, and of a page, which may have
# those of one name that all owners have counted.
CHANGES_TAKEN_MAX, PAGE_ROWS_TAKEN_MAX = 1024, 1024 + OWNERS_MAX // 2
# Of a digest: how many parts, and two sums.
DIGEST_NUMBERS = 3
# What is counted up to, and drawn: MessagePack itself knows no number above VERSION_MAX.
Number = Annotated[int, msgspec.Meta(ge=0)]
Epoch = Annotated[bytes, msgspec.Meta(min_length=EPOCH_BYTES, max_length=EPOCH_BYTES)]
# Empty = of everybody.
AnyEpoch = Annotated[bytes, msgspec.Meta(max_length=EPOCH_BYTES)]
# Of an owner, and its cluster (`facts.foreign_name`).
FOREIGN_NAME_CHARACTERS_MAX = 160
ForeignName = Annotated[str, msgspec.Meta(max_length=FOREIGN_NAME_CHARACTERS_MAX)]
# Numbers of an owner's last openings (`store.OPENINGS_KEPT`).
Began = Annotated[tuple[Number, ...], msgspec.Meta(max_length=1 << 8)]
# A name's key, or empty; whatever it is, it can be looked for in a tree.
Bound = Annotated[bytes, msgspec.Meta(max_length=KEY_BYTES_MAX)]


class Purpose(Enum):
    """Why a page is sent; `receiving` says what that means."""

    SEED = "seed"
    REPLACE = "replace"
    UNION = "union"


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Up to which of its versions an owner has been heard."""

    epoch: Epoch
    version: Number


class Changes(msgspec.Struct, frozen=True, kw_only=True, tag="changes"):
    """What an owner's registers are that it has changed behind `first`, up to `last`.

    Each row's version is between the two.  A register that has changed again behind `last` has no
    row: it comes later.  `is_all`: there was none, and nothing behind `last`.  `keys` has the
    newest requests that it did there.  `is_relayed`: somebody else tells them.  `decode` has
    checked what is said here.
    """

    epoch: Epoch
    first: Number
    last: Number
    epochs: list[Epoch]
    is_all: bool = False
    is_relayed: bool = False
    parts: Annotated[list[PartRow], msgspec.Meta(max_length=CHANGES_TAKEN_MAX)] = []
    tombstones: Annotated[list[TombstoneRow], msgspec.Meta(max_length=CHANGES_TAKEN_MAX)] = []
    keys: Annotated[list[KeyRow], msgspec.Meta(max_length=KEYS_TAKEN_MAX)] = []


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="page"):
    """All registers of the names behind `after`, up to `until`; empty `until` = of all that follow.

    Of only one owner, where `epoch` is not empty.  `heads`: how far whoever sends it had heard
    each owner before it read the first page.  `names_count`: how many names it has in all.
    """

    purpose: Purpose

    after: Bound
    until: Bound
    heads: list[Head]
    epochs: list[Epoch]
    epoch: AnyEpoch = b""
    names_count: Number = 0
    parts: Annotated[list[PartRow], msgspec.Meta(max_length=PAGE_ROWS_TAKEN_MAX)] = []
    tombstones: Annotated[list[TombstoneRow], msgspec.Meta(max_length=PAGE_ROWS_TAKEN_MAX)] = []


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Who I am, which opening of my directory, and how far I am."""

    epoch: Epoch
    version: Number
    opening: Number
    nonce: Number
    # How far I was at my last openings, up to this one.
    began: Began = ()
    # And the nonces of these; 0 = it is not known any more.
    nonces: Began = ()
    # Under which name I count; in other clusters, what I am called there.
    name: ForeignName = ""
    # Somebody else says so for me, who knows nothing of openings.
    is_relayed: bool = False


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """Up to there an owner has been heard here, durably; `nonce` is that of a Hello it answers."""

    epoch: Epoch
    version: Number
    nonce: Number = 0


class PageTaken(msgspec.Struct, frozen=True, kw_only=True, tag="taken"):
    """A page is durable here; `base` says of which pages."""

    epoch: Epoch
    base: Number
    until: Bound


class Compare(msgspec.Struct, frozen=True, kw_only=True, tag="compare"):
    """What there is of an owner when it is at that version."""

    epoch: Epoch
    version: Number
    count: Number
    values: Number
    versions: Number


class Differs(msgspec.Struct, frozen=True, tag="differs"):
    """There is something else of that owner here."""

    epoch: Epoch


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """That owner is not believed here, and why; `opening` 0 = whichever opening it is of."""

    epoch: Epoch
    text: str
    opening: Number = 0
    nonce: Number = 0


class WantPage(msgspec.Struct, frozen=True, kw_only=True, tag="want"):
    """Send the page behind that name; of one owner, for UNION."""

    purpose: Purpose
    epoch: AnyEpoch
    after: Bound


class WantReport(msgspec.Struct, frozen=True, tag="want_report"):
    """Say how far you have heard everybody; `epoch` is who asks."""

    epoch: Epoch


class Reported(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """`registry.Report`, of the member that it comes from; a digest is its three numbers."""

    epoch: Epoch
    heard: dict[Epoch, Number]
    digests: dict[Epoch, list[Number]]
    folds: list[Epoch]
    folds_ended: list[Epoch]
    unions: list[Epoch] = []


Message = (
    Changes
    | Page
    | Hello
    | Heard
    | PageTaken
    | Compare
    | Differs
    | Refused
    | WantPage
    | WantReport
    | Reported
)
_encode = msgspec.msgpack.Encoder().encode
_decode_message = msgspec.msgpack.Decoder(Message).decode


def rows_in(message: Message) -> int:
    """How many rows a message has."""
    if isinstance(message, Changes | Page):
        return len(message.parts) + len(message.tombstones)
    return 0


def encode(message: Message) -> bytes:
    """A message with its checksum."""
    body = _encode(message)
    return crc32c(body).to_bytes(4, "little") + body


def opened(data: bytes) -> memoryview:
    """What is behind the checksum of a message.

    Raises:
        MalformedCounters: there is none, or it is another one.

    """
    body = memoryview(data)[4:]
    if len(data) > MESSAGE_BYTES_MAX:
        raise MalformedCounters(f"{len(data)} bytes in one message")
    if len(data) < 4 or crc32c(body) != int.from_bytes(data[:4], "little"):
        raise MalformedCounters("the checksum of a message does not match")
    return body


def decode(data: bytes) -> Message:
    """A message from somebody else.

    Raises:
        MalformedCounters: it is none.

    """
    body = opened(data)
    try:
        message: Message = _decode_message(body)
    except UNDECODABLE as error:
        raise MalformedCounters(f"no message of counters: {error}") from error
    if isinstance(message, Changes | Page):
        _check_rows(message)
        if isinstance(message, Changes):
            _check_changes(message)
        else:
            _check_page(message)
    elif isinstance(message, Reported):
        _check_report(message)
    if isinstance(message, Page | WantPage) and len(message.epoch) not in (0, EPOCH_BYTES):
        raise MalformedCounters("an epoch that is none")
    return message


def _check_report(message: Reported) -> None:
    groups = (
        *(message.heard, message.digests),
        *(message.folds, message.folds_ended, message.unions),
    )
    if any(len(it) > OWNERS_MAX for it in groups):
        raise MalformedCounters("a report of more owners than there can be")
    if any(len(it) != DIGEST_NUMBERS for it in message.digests.values()):
        raise MalformedCounters("a report with a digest that is none")


def _check_changes(message: Changes) -> None:
    rows: list[PartRow | TombstoneRow | KeyRow]
    rows = [*message.parts, *message.tombstones, *message.keys]
    if message.first >= message.last:
        raise MalformedCounters("changes between two versions that are none")
    if any(not message.first < it.version <= message.last for it in rows):
        raise MalformedCounters("a change of another version than those that are told")
    owners = [it.owner for it in message.parts] + [it.deleter for it in message.tombstones]
    if any(message.epochs[it] != message.epoch for it in owners):
        raise MalformedCounters("somebody else's register among an owner's changes")


def _check_page(message: Page) -> None:
    if (message.purpose is Purpose.SEED) == bool(message.epoch):
        raise MalformedCounters(f"a page of {message.purpose.value} with a wrong owner")
    keys = [it.key for it in message.parts] + [it.key for it in message.tombstones]
    if any(it <= message.after or (message.until and it > message.until) for it in keys):
        raise MalformedCounters("a name that is not between those of the page")
    if len(message.heads) > OWNERS_MAX:
        raise MalformedCounters("heads of more owners than there can be")


def _check_rows(message: Changes | Page) -> None:
    if len(message.epochs) > OWNERS_MAX:
        raise MalformedCounters("registers of more owners than there can be")
    numbers: list[tuple[int, int]] = []
    for part in message.parts:
        numbers.append((part.owner, part.version))
        if not 0 <= part.born <= part.version or not part.key:
            raise MalformedCounters("a part of no life")
    for tombstone in message.tombstones:
        numbers.append((tombstone.deleter, tombstone.version))
        numbers += [(it.owner, it.version) for it in tombstone.seen]
    count = len(message.epochs)
    if any(not 0 <= owner < count or not 1 <= it <= VERSION_MAX for owner, it in numbers):
        raise MalformedCounters("an owner or a version that is none")
