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
    keys      each with its length before it, as protobuf writes bytes

A record stands for its rows, column by column, in the order of the keys.  `expand` reads it and
checks everything: whatever is not of this form is malformed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from struct import error as StructError

from roost.store.errors import MalformedWriteSet

PUT_ROW, DELETE_ROW = 1, 2
CONSTANT, KEY, ESCAPED_KEY, MEASURED_KEY, COUNTER = 1, 2, 3, 4, 5
_COUNTER_MAX = 1 << 63
# Four bytes of a length: 256 MiB, and no write set is so large.
_VARINT_SHIFT_MAX = 21
_COLUMN = Struct(">HB")
_LENGTH = Struct(">H")
_NUMBER = Struct(">Q")


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
    return b"".join([_varint(len(key)) + key for key in keys])


def expand(columns: bytes, keys: bytes) -> list[Rows]:
    """The rows that a record stands for.

    Raises:
        MalformedWriteSet: the bytes do not follow the format.

    """
    try:
        return make_rows(_decode_columns(columns), _decode_keys(keys))
    except (StructError, IndexError) as error:
        raise MalformedWriteSet("a record of rows ends early") from error


def make_rows(columns: Sequence[Column], keys: list[bytes]) -> list[Rows]:
    """The rows of each column."""
    return [
        Rows(
            column.tree_id,
            _make(column.name, keys),
            None if column.value is None else _make(column.value, keys),
        )
        for column in columns
    ]


def _make(pieces: tuple[Piece, ...], keys: list[bytes]) -> list[bytes]:
    """One text a key."""
    if all(piece.kind == CONSTANT for piece in pieces):
        return [b"".join(piece.constant for piece in pieces)] * len(keys)
    if len(pieces) == 1 and pieces[0].kind == KEY:
        return keys
    made: list[Iterable[bytes]] = [_make_piece(piece, keys) for piece in pieces]
    return list(map(b"".join, zip(*made, strict=False)))


def _make_piece(piece: Piece, keys: list[bytes]) -> Iterable[bytes]:
    if piece.kind == CONSTANT:
        return repeat(piece.constant)
    if piece.kind == KEY:
        return keys
    if piece.kind == ESCAPED_KEY:
        return [key.replace(b"\0", b"\0\xff") + b"\0\x01" for key in keys]
    if piece.kind == MEASURED_KEY:
        return [_varint(len(key)) + key for key in keys]
    assert piece.kind == COUNTER, "what is decoded has a kind that is known"
    return [number.to_bytes(8, "big") for number in range(piece.first, piece.first + len(keys))]


def _varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    if number < 0x80:
        return _SMALL[number]
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


def _decode_keys(encoded: bytes) -> list[bytes]:
    keys: list[bytes] = []
    offset, end = 0, len(encoded)
    while offset < end:
        length = encoded[offset]
        offset += 1
        if length > 127:
            length, offset = _read_long(encoded, offset - 1)
        stop = offset + length
        keys.append(encoded[offset:stop])
        offset = stop
    if offset != end:
        raise MalformedWriteSet("keys do not end where their record says")
    return keys


def _read_long(encoded: bytes, offset: int) -> tuple[int, int]:
    """A length of more than one byte, and where it ends."""
    number = shift = 0
    while shift <= _VARINT_SHIFT_MAX:
        byte = encoded[offset]
        offset += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, offset
        shift += 7
    raise MalformedWriteSet("a key is longer than all of a write set")
