"""Protobuf by hand, where it is hot: KeyValue, headers and the answers made of them.

Everything else uses the generated classes, which are also the oracle in the tests.  Values are
stored in the form in which they are answered, so that a range is a join.
"""

from typing import NamedTuple

_SMALL = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """Encode an unsigned number, or a negative one as protobuf's int64."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def read_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Decode a number; return it and the offset after it."""
    number = data[offset]
    offset += 1
    if number < 128:
        return number, offset
    number &= 127
    shift = 7
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, offset
        shift += 7


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
    """Encode an mvccpb.KeyValue with all numbers positive."""
    head = (
        b"\x0a"
        + varint(len(key))
        + key
        + b"\x10"
        + varint(create_revision)
        + b"\x18"
        + varint(mod_revision)
        + b"\x20"
        + varint(version)
    )
    if value:
        head += b"\x2a" + varint(len(value)) + value
    return head + b"\x30" + varint(lease) if lease else head


def encode_tombstone(key: bytes, mod_revision: int) -> bytes:
    """Encode the mvccpb.KeyValue of a delete event."""
    return b"\x0a" + varint(len(key)) + key + b"\x18" + varint(mod_revision)


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
                lease = number
    return KeyValue(key, create_revision, mod_revision, version, value, lease)


def read_origin(encoded: bytes) -> tuple[int, int]:
    """Only create_revision and version of a stored, living key."""
    length, offset = read_varint(encoded, 1)
    create_revision, offset = read_varint(encoded, offset + length + 1)
    _, offset = read_varint(encoded, offset + 1)
    version, _ = read_varint(encoded, offset + 1)
    return create_revision, version


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

    def encode(self, revision: int, term: int) -> bytes:
        """The whole field; revision 0 is not written."""
        body = self._ids
        if revision:
            body += b"\x18" + varint(revision)
        body += b"\x20" + varint(term)
        return b"\x0a" + _SMALL[len(body)] + body


def revision_header(revision: int) -> bytes:
    """The header inside a transaction's responses: it has a revision only."""
    return field(b"\x0a", b"\x18" + varint(revision) if revision else b"")
