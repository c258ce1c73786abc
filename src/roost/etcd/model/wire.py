"""Protobuf by hand, where it is hot: KeyValue, headers and the answers made of them.

Everything else uses the generated classes, which are also the oracle in the tests.  Values are
stored in the form in which they are answered, so that a range is a join.
"""

from collections.abc import Generator
from typing import Final, NamedTuple

from roost.etcd.model.origin import Origin

_SMALL: Final = tuple(bytes([number]) for number in range(128))
# Of protobuf: of 64 bits, and of how long something is.
_NUMBER_BYTES_MAX: Final = 10
_LENGTH_BYTES_MAX: Final = 5
# Kinds of fields, those of TxnRequest and of RequestOp, and how many of them are a step.
_VARINT: Final = 0
_LENGTH: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
_SUCCESS: Final = 2
_FAILURE: Final = 3
_REQUEST_TXN: Final = 4
_STEP_FIELDS: Final = 128


def varint(number: int) -> bytes:
    """Encode an unsigned number, or a negative one as protobuf's int64."""
    if 0 <= number < 0x20_0000:
        if number < 0x80:
            return _SMALL[number]
        if number < 0x4000:
            return bytes((number & 127 | 128, number >> 7))
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    number &= 0xFFFF_FFFF_FFFF_FFFF
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def read_varint(data: bytes, offset: int, bytes_max: int = _NUMBER_BYTES_MAX) -> tuple[int, int]:
    """Decode a number; return it and the offset after it.

    Raises:
        IndexError: it has more than `bytes_max` bytes, or `data` ends in it.

    """
    number = data[offset]
    offset += 1
    if number < 128:
        return number, offset
    number &= 127
    # A longer one would cost as much as the square of its length, so it is not read to its end.
    for shift in range(7, 7 * bytes_max, 7):
        byte = data[offset]
        offset += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, offset
    raise IndexError("a number is longer than protobuf's")


class KeyValue(NamedTuple):
    """A decoded mvccpb.KeyValue; version 0 = the key was deleted at mod_revision."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int


def encode_key_value(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    """Encode the mvccpb.KeyValue of a living key."""
    assert 0 < create_revision <= mod_revision, "it was put, and not before it was created"
    length = len(key)
    head = b"\x0a%b%b\x10%b\x18%b\x20%b" % (
        _SMALL[length] if length < 128 else varint(length),
        key,
        varint(create_revision),
        varint(mod_revision),
        _SMALL[version] if version < 128 else varint(version),
    )
    tail = b"\x30" + varint(lease) if lease else b""
    # One copy of the value, which may be a megabyte.
    return b"%b\x2a%b%b%b" % (head, varint(len(value)), value, tail) if value else head + tail


def encode_tombstone(key: bytes, mod_revision: int) -> bytes:
    """Encode the mvccpb.KeyValue of a delete event."""
    return b"\x0a" + varint(len(key)) + key + b"\x18" + varint(mod_revision)


def encode_key_only(key: bytes) -> bytes:
    """Encode the mvccpb.KeyValue that etcd's store has of a deletion."""
    return b"\x0a" + varint(len(key)) + key


def decode_key_value(encoded: bytes) -> KeyValue:
    """Decode what the two functions above made."""
    key, value = b"", b""
    create_revision = mod_revision = version = lease = 0
    offset, end = 0, len(encoded)
    while offset < end:
        tag = encoded[offset]
        number, offset = read_varint(encoded, offset + 1)
        match tag:
            case 0x0A:
                key = encoded[offset : offset + number]
                offset += number
            case 0x10:
                create_revision = number
            case 0x18:
                mod_revision = number
            case 0x20:
                version = number
            case 0x2A:
                value = encoded[offset : offset + number]
                offset += number
            case _:
                assert tag == 0x30, "we wrote it"
                lease = number if number < 1 << 63 else number - (1 << 64)
    assert offset == end, "we wrote it whole"
    return KeyValue(key, create_revision, mod_revision, version, value, lease)


def without_value(encoded: bytes) -> bytes:
    """The KeyValue of a living key, without its value."""
    length, begin = read_varint(encoded, 1)
    end = begin + length
    for _ in range(3):  # the create_revision, the mod_revision, the version
        end += 1
        while encoded[end] > 127:
            end += 1
        end += 1
    if end == len(encoded) or encoded[end] != 0x2A:
        return encoded
    length, begin = read_varint(encoded, end + 1)
    return encoded[:end] + encoded[begin + length :]


def read_origin(encoded: bytes) -> Origin:
    """Only this of the KeyValue of a living key."""
    length = encoded[1]
    offset = 2
    if length > 127:
        length, offset = read_varint(encoded, 1)
    create_revision, offset = read_varint(encoded, offset + length + 1)
    while encoded[offset + 1] > 127:  # over the mod_revision
        offset += 1
    offset += 3  # its last byte, and the tag of the version
    version = encoded[offset]
    offset += 1
    if version > 127:
        version, offset = read_varint(encoded, offset - 1)
    end = len(encoded)
    if offset < end and encoded[offset] == 0x2A:
        length, offset = read_varint(encoded, offset + 1)
        offset += length
    if offset == end:
        return Origin(create_revision, version, 0)
    lease, _ = read_varint(encoded, offset + 1)
    return Origin(create_revision, version, lease)


def read_put(body: bytes) -> tuple[bytes, bytes] | None:
    """Key and value of a PutRequest that has these two fields, in order; None for any other.

    Nearly all puts look like this, and the generated class takes three times as long.
    """
    end = len(body)
    if end < 3 or body[0] != 0x0A:
        return None
    length, offset = body[1], 2
    if length > 127:
        if end < 4 or body[2] > 127:
            return None
        length, offset = length & 127 | body[2] << 7, 3
    key_end = offset + length
    if not length or key_end + 2 > end or body[key_end] != 0x12:
        return None
    key = body[offset:key_end]
    length, offset = body[key_end + 1], key_end + 2
    if length > 127:
        try:
            length, offset = read_varint(body, key_end + 1, _LENGTH_BYTES_MAX)
        except IndexError:
            return None
    return (key, body[offset:]) if offset + length == end else None


def read_puts(body: bytes, count_max: int) -> list[tuple[bytes, bytes]] | None:
    """Keys and values of a TxnRequest that puts them and does nothing else; None for any other.

    What loads much sends these: no comparison, and a RequestOp for each of its plain puts.  There
    may be two hundred thousand: of more than `count_max` one more is read, and what follows is not
    looked at.
    """
    puts: list[tuple[bytes, bytes]] = []
    offset, end = 0, len(body)
    try:
        while offset < end:
            if body[offset] != 0x12:
                return None
            length, offset = read_varint(body, offset + 1, _LENGTH_BYTES_MAX)
            stop = offset + length
            if stop > end or body[offset] != 0x12:
                return None
            length, offset = read_varint(body, offset + 1, _LENGTH_BYTES_MAX)
            put = read_put(body[offset:stop]) if offset + length == stop else None
            if put is None:
                return None
            puts.append(put)
            if len(puts) > count_max:
                break
            offset = stop
    except IndexError:
        return None
    return puts or None


def operations_left(body: bytes, left: int) -> Generator[int, None, int]:
    """How many of so many operations and comparisons are left beside those of a TxnRequest.

    They are counted at all depths without being decoded, which a megabyte of them would take tens
    of milliseconds for; it is less than nothing as soon as there are more.  Yields what a step has
    cost.  What is no TxnRequest is refused by whoever decodes it, up to where it is none.
    """
    # Where what is looked at ends: by turns a TxnRequest, and an operation in one.
    stops, offset, seen = [len(body)], 0, 0
    try:
        while stops:
            if offset >= stops[-1]:
                if offset > stops[-1]:
                    break
                stops.pop()
                continue
            seen += 1
            if not seen % _STEP_FIELDS:
                yield _STEP_FIELDS >> 2
            tag, offset = read_varint(body, offset)
            number, kind = tag >> 3, tag & 7
            if kind == _LENGTH:
                length, offset = read_varint(body, offset)
                is_txn = len(stops) & 1
                if is_txn and number <= _FAILURE:
                    left -= 1
                    if left < 0:
                        break
                if number in ((_SUCCESS, _FAILURE) if is_txn else (_REQUEST_TXN,)):
                    stops.append(offset + length)
                else:
                    offset += length
            elif kind == _VARINT:
                _, offset = read_varint(body, offset)
            elif kind in _FIXED_BYTES:
                offset += _FIXED_BYTES[kind]
            else:
                return -1  # a group, which no request of etcd's has: it may hide anything
    except IndexError:
        return left  # it is cut off there
    return left


def read_key(body: bytes) -> bytes | None:
    """The key of a RangeRequest that has nothing else; None for any other (see `read_put`)."""
    length = len(body) - 2
    if 0 < length < 128 and body[0] == 0x0A and body[1] == length:
        return body[2:]
    return None


def read_key_here(body: bytes) -> bytes | None:
    """The key of a RangeRequest that has nothing else but `serializable`; None for any other."""
    return read_key(body[:-2]) if body[-2:] == b"\x38\x01" else None


def field(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag + varint(len(body)) + body


def number_field(tag: bytes, number: int) -> bytes:
    """A number field; zero is not written."""
    return tag + varint(number) if number else b""


class Header:
    """Makes the ResponseHeader field (number 1) that begins every answer."""

    def __init__(self, cluster_id: int, member_id: int) -> None:
        """The ids never change."""
        self._ids = b"\x08" + varint(cluster_id) + b"\x10" + varint(member_id)
        self._revision = self._term = 0
        self._last = b""

    def encode(self, revision: int, term: int) -> bytes:
        """The whole field; revision 0 is not written."""
        if revision != self._revision or term != self._term or not self._last:
            body = self._ids
            if revision:
                body += b"\x18" + varint(revision)
            body += b"\x20" + varint(term)
            # Reads come in flocks at one revision.
            self._last = b"\x0a" + _SMALL[len(body)] + body
            self._revision, self._term = revision, term
        return self._last


def revision_header(revision: int) -> bytes:
    """The header inside a transaction's responses: it has a revision only."""
    return field(b"\x0a", b"\x18" + varint(revision) if revision else b"")
