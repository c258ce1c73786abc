"""Registers as bytes: in the store, and on their way to partners.

In the store (`environment` has the trees, and a checksum before each value):

    parts        name -> MessagePack [owner, value, version, born, owner, ...], by owner
    tombstones   name -> MessagePack [[deleter, version, [owner, value, version, ...]], ...]
    changed      u64 version (big-endian) -> PART or TOMBSTONE, name: what the version was taken by

Owners are the numbers that they have in this store.  `changed` has one entry for each register of
this store's own: it is moved when the register changes.  It has no checksum, since the register
that it leads to has the same version, or one of the two is damaged.

The part of a fold may be larger than MessagePack's integers: then it lies there as several, one
behind the other, whose sum it is.

On their way registers are rows of messages (`messages`), whose owners are places in a list of
epochs.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import msgspec

from roost.counters.algebra import VALUE_MAX, VALUE_MIN, Part, Seen, Tombstone
from roost.counters.errors import CounterStoreCorrupt
from roost.errors import UNDECODABLE

PART, TOMBSTONE = b"p", b"t"
EPOCH_BYTES = 16
# Of one message; it is sent when it has as much.  More rows would hold the loop up (D14): they are
# made, and taken, in one step of it.
ROWS_MAX, BYTES_MAX = 256, 256 << 10
# What a tombstone on its way says of owners: twice what a cluster lets count.
SEEN_TAKEN_MAX = 1 << 13
# Keys of requests that go with it: the newest.
KEYS_MAX = 64
REQUEST_KEY_BYTES_MAX = 128
# Of a delete whose key goes with it.
VALUES_MAX = 64
# A sum that is larger than MessagePack's integers.
_Digits = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,40}$")]
_encode = msgspec.msgpack.Encoder().encode
_decode_parts = msgspec.msgpack.Decoder(list[int]).decode


class _KeptTombstone(msgspec.Struct, frozen=True, array_like=True, gc=False):
    deleter: int
    version: int
    seen: list[int]


_decode_tombstones = msgspec.msgpack.Decoder(list[_KeptTombstone]).decode


def _pieces(value: int) -> Iterator[int]:
    """A number as integers of 64 bits whose sum it is."""
    while not VALUE_MIN <= value <= VALUE_MAX:
        piece = VALUE_MAX if value > 0 else VALUE_MIN
        yield piece
        value -= piece
    yield value


def encode_parts(parts: Mapping[int, Part]) -> bytes:
    """All parts of a counter."""
    flat: list[int] = []
    for owner in sorted(parts):
        it = parts[owner]
        if VALUE_MIN <= it.value <= VALUE_MAX:
            flat += (owner, it.value, it.version, it.born)
        else:
            for piece in _pieces(it.value):
                flat += (owner, piece, it.version, it.born)
    return _encode(flat)


def decode_parts(value: bytes) -> dict[int, Part]:
    """All parts of a counter.

    Raises:
        CounterStoreCorrupt: that is not what they look like.

    """
    try:
        flat = _decode_parts(value)
    except UNDECODABLE as error:
        raise CounterStoreCorrupt(f"parts that cannot be read: {error}") from error
    if len(flat) % 4:
        raise CounterStoreCorrupt(f"parts of {len(flat)} numbers")
    if len(flat) == 4:
        return {flat[0]: Part(flat[1], flat[2], flat[3])}
    parts: dict[int, Part] = {}
    for at in range(0, len(flat), 4):
        owner, amount, version, born = flat[at : at + 4]
        if owner in parts:
            amount += parts[owner].value
        parts[owner] = Part(amount, version, born)
    return parts


def encode_tombstones(tombstones: Mapping[int, Tombstone]) -> bytes:
    """All tombstones of a counter."""
    rows = []
    for deleter in sorted(tombstones):
        tombstone = tombstones[deleter]
        rows.append(_KeptTombstone(deleter, tombstone.version, _flat_seen(tombstone.seen)))
    return _encode(rows)


def _flat_seen(seen: Mapping[int, Seen]) -> list[int]:
    flat: list[int] = []
    for owner in sorted(seen):
        for piece in _pieces(seen[owner].value):
            flat += (owner, piece, seen[owner].version)
    return flat


def _seen_of(flat: list[int]) -> dict[int, Seen]:
    seen: dict[int, Seen] = {}
    for at in range(0, len(flat), 3):
        owner, value, version = flat[at : at + 3]
        before = seen.get(owner)
        seen[owner] = Seen(value + before.value if before else value, version)
    return seen


def decode_tombstones(value: bytes) -> dict[int, Tombstone]:
    """All tombstones of a counter.

    Raises:
        CounterStoreCorrupt: that is not what they look like.

    """
    try:
        rows = _decode_tombstones(value)
        return {it.deleter: Tombstone(it.version, _seen_of(it.seen)) for it in rows}
    except UNDECODABLE as error:
        raise CounterStoreCorrupt(f"tombstones that cannot be read: {error}") from error


class KeyRow(msgspec.Struct, frozen=True, array_like=True):
    """The idempotency key of a request on its way, that its owner did at that version.

    `values` is what was answered, where only the owner can know that: of deletes.
    """

    key: Annotated[bytes, msgspec.Meta(min_length=1, max_length=REQUEST_KEY_BYTES_MAX)]
    fingerprint: Annotated[int, msgspec.Meta(ge=0)]
    at_s: Annotated[int, msgspec.Meta(ge=0)]
    version: Annotated[int, msgspec.Meta(ge=0)]
    values: Annotated[list[int | _Digits | None], msgspec.Meta(max_length=VALUES_MAX)] | None = None


class PartRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part on its way."""

    key: bytes
    owner: int
    value: int
    version: int
    born: int


class SeenRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a tombstone on its way says of one owner."""

    owner: int
    value: int
    version: int


class TombstoneRow(msgspec.Struct, frozen=True, array_like=True):
    """A tombstone on its way."""

    key: bytes
    deleter: int
    version: int
    seen: Annotated[list[SeenRow], msgspec.Meta(max_length=SEEN_TAKEN_MAX)]


class Rows:
    """Registers being made into rows; epochs by the places that they are given."""

    def __init__(self, epoch_of: Mapping[int, bytes]) -> None:
        """`epoch_of` has the epoch of each owner's number."""
        self._epoch_of = epoch_of
        self._places: dict[int, int] = {}
        self.parts: list[PartRow] = []
        self.tombstones: list[TombstoneRow] = []
        self.size = 0

    @property
    def epochs(self) -> list[bytes]:
        """The epochs that rows name, in the order of their places."""
        return [self._epoch_of[it] for it in self._places]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.parts) + len(self.tombstones)

    @property
    def is_full(self) -> bool:
        """Whether it is as large as a message may be."""
        return self.count >= ROWS_MAX or self.size >= BYTES_MAX

    def _place(self, owner: int) -> int:
        return self._places.setdefault(owner, len(self._places))

    def add_part(self, key: bytes, owner: int, part: Part) -> None:
        """One more part."""
        for piece in _pieces(part.value):
            row = PartRow(key, self._place(owner), piece, part.version, part.born)
            self.parts.append(row)
            self.size += len(key) + 24

    def add_tombstone(self, key: bytes, deleter: int, tombstone: Tombstone) -> None:
        """One more tombstone."""
        flat = _flat_seen(tombstone.seen)
        seen = [
            SeenRow(self._place(flat[at]), flat[at + 1], flat[at + 2])
            for at in range(0, len(flat), 3)
        ]
        self.tombstones.append(TombstoneRow(key, self._place(deleter), tombstone.version, seen))
        self.size += len(key) + 16 + 16 * len(seen)


def parts_of(rows: Iterable[PartRow]) -> Iterator[tuple[PartRow, Part]]:
    """Each part of rows; one that lies in several pieces once, with their sum."""
    held: PartRow | None = None
    amount = 0
    for row in rows:
        if held is not None and (held.key, held.owner) == (row.key, row.owner):
            amount += row.value
            continue
        if held is not None:
            yield held, Part(amount, held.version, held.born)
        held, amount = row, row.value
    if held is not None:
        yield held, Part(amount, held.version, held.born)


def tombstone_of(row: TombstoneRow, numbers: list[int]) -> Tombstone:
    """A row's tombstone; `numbers` has the owners' numbers here, by their places."""
    flat: list[int] = []
    for it in row.seen:
        flat += (numbers[it.owner], it.value, it.version)
    return Tombstone(row.version, _seen_of(flat))
