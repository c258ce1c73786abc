"""Keys of several parts as bytes that sort as the parts do.

A tree is ordered by bytes; a program thinks in names, numbers, moments and tuples of them.  This
is the encoding between the two: for any two values of one shape, `encode(a) < encode(b)` exactly
when `a < b`.  The idea is FoundationDB's tuple layer (its documentation, "Data Modeling"); the
bytes are our own.

    part       bytes
    tuple      0x05, its parts, 0x00           inside another tuple only
    bytes      0x10, escaped, 0x00             in the content 0x00 becomes 0x00 0xff
    str        0x20, UTF-8 escaped, 0x00
    int < 0    0x40 - n, n bytes               n = bytes of |i|, 1 to 31; 0xff minus each of them
    int 0      0x40
    int > 0    0x40 + n, n bytes               big-endian, no leading zero
    datetime   0x80, u64 big-endian            microseconds since 1970 UTC, plus 2**63

The outermost tuple is its parts and nothing else, so the encoding of a shorter tuple is the
beginning of all that go on from it: a prefix of parts is a range of keys (`after_parts`).  No
part begins with 0x00, so the end of a tuple sorts before anything that could follow in its place;
none begins with 0xff, which only goes on with an escape, in another text.

Bounds: |int| < 2**248, moments of `datetime` with a time zone, text that is Unicode (no lone
surrogates), tuples nested DEPTH_MAX deep.  `bool` is no number here: `True` and `1` would be one
key.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct

from roost.database.errors import BadKey, KeyUndecodable
from roost.outcome import PROGRAM_FAULTS

Part = bytes | str | int | datetime | tuple["Part", ...]

DEPTH_MAX = 16
# Of what an error quotes.
SHOWN_CHARACTERS_MAX = 200
INT_BYTES_MAX = 31
_TUPLE, _BYTES, _STR, _INT, _MOMENT, _END = 0x05, 0x10, 0x20, 0x40, 0x80, 0x00
_U64 = Struct(">Q")
_MIDDLE = 1 << 63
# Numbers that most keys have, and how each count of their bytes begins.
_SMALL, _COUNTS = 1 << 64, [bytes([_INT + count]) for count in range(9)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def shown(it: object) -> str:
    """Something of a program's, for the text of an error: a beginning of it, where it is long."""
    try:
        text = repr(it)
    except KeyboardInterrupt:
        raise
    except PROGRAM_FAULTS as failure:  # it is the program's own code
        text = f"<what cannot be shown: {type(failure).__name__}>"
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}..."


def encode_parts(parts: tuple[Part, ...]) -> bytes:
    """The bytes of a tuple.

    Raises:
        BadKey: a part is of no kind that has an order here, or out of bounds; the text says which.

    """
    return b"".join(map(encode_part, parts))


def encode_part(part: Part) -> bytes:
    """The bytes of one part, as it would stand in a tuple.

    Raises:
        BadKey: as `encode_parts`.

    """
    # What most keys are made of, without asking what else it could be.
    if type(part) is int and 0 <= part < _SMALL:
        count = (part.bit_length() + 7) >> 3
        return _COUNTS[count] + part.to_bytes(count, "big")
    if type(part) is str and "\0" not in part:
        return b"\x20" + utf8(part) + b"\0"
    out = bytearray()
    _encode(out, part, DEPTH_MAX)
    return bytes(out)


def decode_parts(key: bytes) -> tuple[Part, ...]:
    """What `encode_parts` was given; moments are in UTC.

    Raises:
        KeyUndecodable: the bytes are none of its.

    """
    return tuple(_parts(key))


def decode_part(key: bytes) -> Part:
    """What `encode_part` was given.

    Raises:
        KeyUndecodable: the bytes are none of its.

    """
    # A number as most are: its count says how long the key is, and it has no leading zero.
    if 1 < len(key) <= 1 + INT_BYTES_MAX and key[0] == _INT - 1 + len(key) and key[1]:
        return int.from_bytes(key[1:], "big")
    parts = decode_parts(key)
    if len(parts) != 1:
        raise KeyUndecodable(f"{key!r} holds {len(parts)} parts, and should hold one")
    return parts[0]


def after_prefix(prefix: bytes) -> bytes | None:
    """The first bytes behind everything that begins with `prefix`; None = the end."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def after_parts(prefix: bytes) -> bytes:
    """The first bytes behind all tuples that begin with the parts in `prefix`.

    Less than behind all bytes that begin with it: text may go on where a part of the prefix ends.
    """
    return prefix + b"\xff"


def _encode(out: bytearray, part: Part, depth_left: int) -> None:
    match part:
        case bool():
            raise BadKey(f"{shown(part)} is neither a number nor text: use 0 and 1")
        case bytes():
            out.append(_BYTES)
            out += part.replace(b"\0", b"\0\xff")
            out.append(_END)
        case str():
            out.append(_STR)
            out += utf8(part).replace(b"\0", b"\0\xff")
            out.append(_END)
        case int():
            _encode_int(out, part)
        case datetime():
            out.append(_MOMENT)
            out += _U64.pack(_microseconds(part) + _MIDDLE)
        case tuple():
            if not depth_left:
                raise BadKey(f"tuples are nested more than {DEPTH_MAX} deep")
            out.append(_TUPLE)
            for inner in part:
                _encode(out, inner, depth_left - 1)
            out.append(_END)
        case _:
            raise BadKey(
                f"{shown(part)} is a {type(part).__name__}; keys are bytes, str, int, datetime and "
                "tuples of these"
            )


def utf8(text: str) -> bytes:
    """Text as bytes that sort as it does.

    Raises:
        BadKey: it has half of a surrogate pair, which is no character.

    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadKey(f"{shown(text)} is no Unicode text: {error.reason}") from error


def _encode_int(out: bytearray, number: int) -> None:
    size = abs(number)
    count = (size.bit_length() + 7) // 8
    if count > INT_BYTES_MAX:
        raise BadKey(f"a number of {count} bytes is too large for a key: {INT_BYTES_MAX} at most")
    if number < 0:
        out.append(_INT - count)
        out += ((1 << 8 * count) - 1 - size).to_bytes(count, "big")
    else:
        out.append(_INT + count)
        out += size.to_bytes(count, "big")


def _microseconds(moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise BadKey(f"{moment!r} has no time zone, so nobody can say when it is: give one")
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except OverflowError as error:
        # It would be in no year that there is, where it is read.
        raise BadKey(f"{moment!r} has no date in UTC: {error}") from error


def _parts(key: bytes) -> Iterator[Part]:
    offset = 0
    while offset < len(key):
        part, offset = _decode(key, offset, DEPTH_MAX)
        yield part


def _decode(key: bytes, offset: int, depth_left: int) -> tuple[Part, int]:
    """The part that begins at `offset`, and where it ends."""
    tag = key[offset]
    offset += 1
    if _INT - INT_BYTES_MAX <= tag <= _INT + INT_BYTES_MAX:
        return _decode_int(key, offset, tag - _INT)
    match tag:
        case 0x10:
            return _decode_escaped(key, offset)
        case 0x20:
            content, offset = _decode_escaped(key, offset)
            try:
                return content.decode(), offset
            except UnicodeDecodeError as error:
                raise KeyUndecodable(f"{key!r}: {error}") from error
        case 0x80:
            return _decode_moment(key, offset)
        case 0x05 if depth_left:
            parts: list[Part] = []
            while offset < len(key) and key[offset] != _END:
                part, offset = _decode(key, offset, depth_left - 1)
                parts.append(part)
            if offset >= len(key):
                raise KeyUndecodable(f"{key!r}: a tuple does not end")
            return tuple(parts), offset + 1
        case _:
            raise KeyUndecodable(f"{key!r}: no part begins with {tag:#04x}")


def _decode_escaped(key: bytes, offset: int) -> tuple[bytes, int]:
    end = offset
    while (end := key.find(b"\0", end)) >= 0:
        if key[end + 1 : end + 2] != b"\xff":
            return key[offset:end].replace(b"\0\xff", b"\0"), end + 1
        end += 2
    raise KeyUndecodable(f"{key!r}: text does not end")


def _decode_int(key: bytes, offset: int, signed_count: int) -> tuple[int, int]:
    count = abs(signed_count)
    content = key[offset : offset + count]
    size = int.from_bytes(content, "big")
    if signed_count < 0:
        size = (1 << 8 * count) - 1 - size
    if len(content) < count or (size.bit_length() + 7) // 8 != count:
        raise KeyUndecodable(f"{key!r}: a number of {count} bytes is cut short, or too long")
    return (-size if signed_count < 0 else size), offset + count


def _decode_moment(key: bytes, offset: int) -> tuple[datetime, int]:
    content = key[offset : offset + 8]
    if len(content) < 8:
        raise KeyUndecodable(f"{key!r}: a moment is cut short")
    count = _U64.unpack(content)[0] - _MIDDLE
    try:
        return _EPOCH + timedelta(microseconds=count), offset + 8
    except OverflowError as error:
        raise KeyUndecodable(f"{key!r}: {error}") from error
