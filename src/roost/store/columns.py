"""Rows that follow from a list of keys: what a write of many keys is carried as.

To delete a key writes a row in several trees, and nearly all of each row can be said of all keys
at once.  So a record of kind `ROWS` (`write_set`) carries the keys once, and columns: a tree, and
how the row's name and value are made of the key.  Integers big-endian:

    columns   u8 count, then each: u16 tree id, u8 kind, name, value where kind is 1
              kind 1 put, 2 delete
    name and  u8 count of pieces, then each: u8 kind, and what belongs to it
    value     1 constant  u16 length, bytes
              2 the key
              3 the key escaped: 0x00 as 0x00 0xff, and 0x00 0x01 behind it
              4 the key with its length before it, as protobuf writes bytes
              5 a counter, u64: here its value for the first key; it grows by one a key
    keys      an array of MessagePack, each of its elements a bin: what all keys begin with, then
              the rest of each; so many keys of a prefix take little on disks and wires

A record stands for its rows, column by column, in the order of the keys.  `expand` reads it and
checks everything: whatever is not of this form is malformed.

Few bytes can stand for many: a long text that all keys begin with, and a byte for each of a million
keys.  So what the records of one write set stand for is bounded: `cost_of` each, which follows from
lengths before anything is made, and EXPANDED_BYTES_MAX of all.  Whoever would write more than that
writes rows instead (`Txn.write_rows`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from struct import error as StructError

import msgspec

from roost.errors import UNDECODABLE
from roost.store.errors import MalformedWriteSet

PUT_ROW, DELETE_ROW = 1, 2
CONSTANT, KEY, ESCAPED_KEY, MEASURED_KEY, COUNTER = 1, 2, 3, 4, 5
_COUNTER_MAX = 1 << 63
# As much as the largest write set could say in full.
EXPANDED_BYTES_MAX = 64 << 20
# What a text takes besides its bytes, about, wherever it is kept.
_TEXT_BYTES = 50
# More than a size takes as protobuf writes it, and what stands behind an escaped key.
_SIZE_BYTES_MAX, _END_BYTES = 4, 2
_COLUMN = Struct(">HB")
_LENGTH = Struct(">H")
_NUMBER = Struct(">Q")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a name or value; `constant` and `first` belong to their kinds alone."""

    kind: int
    constant: bytes = b""
    first: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One row for each key: in which tree, and of what; no value = the row goes away."""

    tree_id: int
    name: tuple[Piece, ...]
    value: tuple[Piece, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One column, made: names in the order of the keys, and their values; None = they go away."""

    tree_id: int
    names: list[bytes]
    values: list[bytes] | None


def encode(columns: Sequence[Column], keys: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both as a record carries them."""
    return encode_columns(columns), encode_keys(keys)


def encode_columns(columns: Sequence[Column]) -> bytes:
    """The columns as a record carries them."""
    parts = [bytes([len(columns)])]
    for column in columns:
        kind = DELETE_ROW if column.value is None else PUT_ROW
        parts += (_COLUMN.pack(column.tree_id, kind), _encode_pieces(column.name))
        if column.value is not None:
            parts.append(_encode_pieces(column.value))
    return b"".join(parts)


def _encode_pieces(pieces: Sequence[Piece]) -> bytes:
    parts = [bytes([len(pieces)])]
    for piece in pieces:
        parts.append(bytes([piece.kind]))
        if piece.kind == CONSTANT:
            parts += (_LENGTH.pack(len(piece.constant)), piece.constant)
        elif piece.kind == COUNTER:
            parts.append(_NUMBER.pack(piece.first))
    return b"".join(parts)


def encode_keys(keys: Sequence[bytes]) -> bytes:
    """The keys as a record carries them."""
    first, last = (min(keys), max(keys)) if keys else (b"", b"")
    pairs = enumerate(zip(first, last, strict=False))
    length = next((at for at, (one, other) in pairs if one != other), min(len(first), len(last)))
    return _encoder.encode([first[:length], *[key[length:] for key in keys]])


def cost_of(columns: Sequence[Column], count: int, keys_bytes: int) -> int:
    """How many bytes the rows of so many keys take at most, which have so many bytes together."""
    texts = [it for column in columns for it in (column.name, column.value) if it is not None]
    cost = keys_bytes + _TEXT_BYTES * count * (1 + len(texts))
    for piece in (it for text in texts for it in text):
        if piece.kind == CONSTANT:
            cost += count * len(piece.constant)
        elif piece.kind == COUNTER:
            cost += count * _NUMBER.size
        elif piece.kind == ESCAPED_KEY:
            cost += 2 * keys_bytes + count * _END_BYTES
        elif piece.kind == MEASURED_KEY:
            cost += keys_bytes + count * _SIZE_BYTES_MAX
        else:
            cost += keys_bytes
    return cost


def expand(columns: bytes, keys: bytes, room: int = EXPANDED_BYTES_MAX) -> tuple[list[Rows], int]:
    """The rows that a record stands for, and what is left of `room` behind them.

    Raises:
        MalformedWriteSet: the bytes do not follow the format, or stand for more than there is room.

    """
    try:
        described = _decode_columns(columns)
        rests = _decoder.decode(keys)
        head = rests.pop(0)
        bytes_before = len(head) * len(rests) + sum(map(len, rests))
        left = room - cost_of(described, len(rests), bytes_before)
        if left < 0:
            raise MalformedWriteSet(f"rows of {len(rests)} keys are more than a write set may hold")
        return make_rows(described, [head + it for it in rests] if head else rests), left
    except (StructError, IndexError) as error:
        raise MalformedWriteSet("a record of rows ends early") from error
    except UNDECODABLE as error:
        raise MalformedWriteSet(f"the keys of rows are malformed: {error}") from error


def make_rows(columns: Sequence[Column], keys: list[bytes]) -> list[Rows]:
    """The rows of each column."""
    making = _Making(keys)
    return [
        Rows(
            column.tree_id,
            making.texts(column.name),
            None if column.value is None else making.texts(column.value),
        )
        for column in columns
    ]


class _Making:
    """Texts made of the keys of one record; what is the same for all keys is said once."""

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = keys
        self._counters: dict[int, list[bytes]] = {}
        # Keys without a zero are escaped by what stands behind them.
        self._has_zeros = b"\0" in b"".join(keys)
        # How long all of them are, if that is one byte.
        lengths = set(map(len, keys))
        self._length = lengths.pop() if len(lengths) == 1 and len(keys[0]) < 128 else None

    def texts(self, pieces: tuple[Piece, ...]) -> list[bytes]:
        """One text a key."""
        keys, said = self._keys, self._simplified(pieces)
        if all(isinstance(it, bytes) for it in said):
            return [b"".join(it for it in said if isinstance(it, bytes))] * len(keys)
        if len(said) == 1 and not isinstance(said[0], bytes):
            return said[0]
        made: list[Iterable[bytes]] = [repeat(it) if isinstance(it, bytes) else it for it in said]
        return list(map(b"".join, zip(*made, strict=False)))

    def _simplified(self, pieces: tuple[Piece, ...]) -> list[bytes | list[bytes]]:
        """What the pieces are: a text for all keys, or a list with one for each."""
        said: list[bytes | list[bytes]] = []
        for piece in pieces:
            for it in self._said(piece):
                if said and isinstance(it, bytes) and isinstance(before := said[-1], bytes):
                    said[-1] = before + it
                else:
                    said.append(it)
        return said

    def _said(self, piece: Piece) -> tuple[bytes | list[bytes], ...]:
        keys, kind = self._keys, piece.kind
        if kind == CONSTANT:
            return (piece.constant,)
        if kind == KEY:
            return (keys,)
        if kind == ESCAPED_KEY:
            if not self._has_zeros:
                return keys, b"\0\x01"
            return [key.replace(b"\0", b"\0\xff") for key in keys], b"\0\x01"
        if kind == MEASURED_KEY:
            if self._length is not None:
                return _SMALL[self._length], keys
            return ([_measured(key) for key in keys],)
        assert kind == COUNTER, "what is decoded has a kind that is known"
        first = piece.first
        counter = self._counters.get(first)
        if counter is None:
            counter = list(map(_NUMBER.pack, range(first, first + len(keys))))
            self._counters[first] = counter
        return (counter,)


def _measured(key: bytes) -> bytes:
    length = len(key)
    return (_SMALL[length] if length < 128 else _varint(length)) + key


def _varint(number: int) -> bytes:
    """A length of more than one byte as protobuf writes it."""
    if number < 0x4000:
        return bytes((number & 127 | 128, number >> 7))
    if number < 0x20_0000:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    return bytes(
        (number & 127 | 128, number >> 7 & 127 | 128, number >> 14 & 127 | 128, number >> 21)
    )


_SMALL = tuple(bytes([number]) for number in range(128))


def _decode_columns(encoded: bytes) -> list[Column]:
    columns: list[Column] = []
    offset = 1
    for _ in range(encoded[0]):
        tree_id, kind = _COLUMN.unpack_from(encoded, offset)
        name, offset = _decode_pieces(encoded, offset + _COLUMN.size)
        value: tuple[Piece, ...] | None = None
        if kind == PUT_ROW:
            value, offset = _decode_pieces(encoded, offset)
        elif kind != DELETE_ROW:
            raise MalformedWriteSet(f"column kind {kind} is unknown")
        columns.append(Column(tree_id, name, value))
    if offset != len(encoded):
        raise MalformedWriteSet("columns do not end where their record says")
    return columns


def _decode_pieces(encoded: bytes, offset: int) -> tuple[tuple[Piece, ...], int]:
    count = encoded[offset]
    offset += 1
    pieces: list[Piece] = []
    for _ in range(count):
        kind = encoded[offset]
        offset += 1
        if kind == CONSTANT:
            (length,) = _LENGTH.unpack_from(encoded, offset)
            offset += _LENGTH.size + length
            if offset > len(encoded):
                raise MalformedWriteSet("a constant ends early")
            pieces.append(Piece(kind, constant=encoded[offset - length : offset]))
        elif kind == COUNTER:
            (first,) = _NUMBER.unpack_from(encoded, offset)
            offset += _NUMBER.size
            if first > _COUNTER_MAX:
                raise MalformedWriteSet("a counter would run over")
            pieces.append(Piece(kind, first=first))
        elif kind in (KEY, ESCAPED_KEY, MEASURED_KEY):
            pieces.append(Piece(kind))
        else:
            raise MalformedWriteSet(f"piece kind {kind} is unknown")
    return tuple(pieces), offset
