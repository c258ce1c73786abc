"""The fields of protobuf messages of etcd's for which there are no schemas here.

They are few and flat: records and entries of its log, requests as they stand there, its snapshots.
"""

from collections.abc import Iterator
from pathlib import Path

from roost.etcd.model.wire import read_varint
from roost.moving.errors import EtcdFileDamaged

Fields = dict[int, int | bytes]
_NUMBER, _BYTES = 0, 2
# Bytes of the kinds that have a fixed size.
_FIXED = {1: 8, 5: 4}


def each_field(data: bytes, path: Path) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in order, each with its number.

    Raises:
        EtcdFileDamaged: it is none; `path` is where it stands.

    """
    offset = 0
    try:
        while offset < len(data):
            tag, offset = read_varint(data, offset)
            if tag & 7 == _NUMBER:
                value, offset = read_varint(data, offset)
                yield tag >> 3, value
                continue
            if tag & 7 == _BYTES:
                size, offset = read_varint(data, offset)
            else:
                size = _FIXED.get(tag & 7, len(data) + 1)
            if size > len(data) - offset:
                raise EtcdFileDamaged(f"{path}: a field is longer than its message")
            yield tag >> 3, data[offset : offset + size]
            offset += size
    except IndexError as error:
        raise EtcdFileDamaged(f"{path}: a message ends in a number") from error


def fields_of(data: bytes, path: Path) -> Fields:
    """The fields of a message, by number; of one that is there twice the last.

    Raises:
        EtcdFileDamaged: it is none; `path` is where it stands.

    """
    return dict(each_field(data, path))


def number_of(fields: Fields, tag: int, path: Path) -> int:
    """A number; 0 when it is not there.

    Raises:
        EtcdFileDamaged: bytes stand there.

    """
    value = fields.get(tag, 0)
    if isinstance(value, bytes):
        raise EtcdFileDamaged(f"{path}: bytes stand where a number should be")
    return value


def bytes_of(fields: Fields, tag: int, path: Path) -> bytes:
    """Bytes; none when they are not there.

    Raises:
        EtcdFileDamaged: a number stands there.

    """
    value = fields.get(tag, b"")
    if isinstance(value, int):
        raise EtcdFileDamaged(f"{path}: a number stands where bytes should be")
    return value
