"""etcd's write-ahead log: what a data directory knows that its store may not (etcd: storage/wal).

    member/wal/<16 hex: number of the file>-<16 hex: first index>.wal

    frame    u64 little-endian: bytes of the record in the lower 56 bits; when the highest bit is
             set, the three above them say how many bytes of padding follow.  0 = nothing more here
    record   walpb.Record: 1 type, 2 CRC-32C of all data so far, 3 data
    types    1 metadata, 2 raftpb.Entry, 3 raftpb.HardState, 4 a CRC to go on with, 5 a snapshot
    entry    1 type (0 = a request), 2 term, 3 index, 4 data

etcd applies entries to its store in memory, and commits that ten times a second, so behind a member
that was killed lie entries that its store does not have.  They are not carried out here: what they
come to, etcd knows best, and does when it is started.  `requests_behind` names them, so that nobody
imports half.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.etcd.model.wire import read_varint
from roost.moving.errors import EtcdFileDamaged

_FRAME = Struct("<Q")
_RECORD_BYTES_MAX = 1 << 30
_ENTRY, _CRC, _SNAPSHOT = 2, 4, 5
_NORMAL = 0
# Of InternalRaftRequest, what changes nothing in the store that is taken from it: reads, alarms,
# logins, how much is left of leases, and what etcd says of its own members and version.
_HARMLESS = {
    3: "range",
    10: "alarm",
    11: "lease_checkpoint",
    1012: "authenticate",
    1013: "auth_status",
    1300: "cluster_version_set",
    1301: "cluster_member_attr_set",
    1302: "downgrade_info_set",
}
_NAMES = {
    2: "v2",
    4: "put",
    5: "delete_range",
    6: "txn",
    7: "compaction",
    8: "lease_grant",
    9: "lease_revoke",
}
_HEADER, _ID, _V2 = 100, 1, 2
_V2_METHODS = (b"GET", b"PUT", b"POST", b"DELETE", b"QGET", b"SYNC")
# etcd's own, in v2's tree: members and versions.
_V2_OWN = b"/0/"
_Fields = dict[int, int | bytes]


@dataclass(frozen=True, slots=True)
class _Record:
    """Type and data of a record, and the CRC of all data up to there."""

    kind: int
    data: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class Request:
    """An entry that asks for something, and what."""

    index: int
    what: str


def requests_behind(directory: Path, index: int) -> list[Request]:
    """Entries behind `index` that would change a store, in order.

    Raises:
        EtcdFileDamaged: a file is not as etcd leaves it.
        OSError: a file cannot be read.

    """
    behind: dict[int, Request | None] = {}
    paths = sorted(it for it in directory.iterdir() if it.suffix == ".wal")
    crc = 0
    newest: int | None = None
    for path in paths:
        for record in _records(path, crc):
            crc = record.crc
            if record.kind == _SNAPSHOT:
                newest = max(newest or 0, _number(_fields(record.data, path).get(1, 0), path))
            if record.kind != _ENTRY:
                continue
            fields = _fields(record.data, path)
            held = _number(fields.get(3, 0), path)
            # The type of a record has no checksum: one that passes for another leaves a gap.
            if newest is not None and held > newest + 1:
                raise EtcdFileDamaged(f"{path}: entry {held} stands behind entry {newest}")
            newest = held
            if held <= index:
                continue
            # An entry takes the place of one that was never committed, and of all behind it.
            for stale in [it for it in behind if it >= held]:
                del behind[stale]
            behind[held] = _request_of(fields, held, path)
    return [it for it in behind.values() if it is not None]


def _records(path: Path, crc: int) -> Iterator[_Record]:
    """The records of a file, which goes on with the CRC of the one before it.

    A record that is not whole may be the last that was written before the power went, or may hide
    what stands behind it: that is not to be told for certain, so it is damage.
    """
    data = path.read_bytes()
    offset = 0
    while offset + _FRAME.size <= len(data):
        (told,) = _FRAME.unpack_from(data, offset)
        if not told and not data[offset:].strip(b"\0"):
            return  # etcd sets space aside for a file
        size = told & ((1 << 56) - 1)
        padding = told >> 56 & 7 if told >> 63 else 0
        begin = offset + _FRAME.size
        end = begin + size
        is_inside = size <= _RECORD_BYTES_MAX and end + padding <= len(data)
        record = _record(data[begin:end], crc, path) if is_inside else None
        if record is None:
            raise EtcdFileDamaged(
                f"{path}: the record at {offset} is not what was written, or not all of it; an "
                "etcd that is started on it mends its end, if that is all"
            )
        crc = record.crc
        yield record
        offset = end + padding


def _record(data: bytes, crc: int, path: Path) -> _Record | None:
    """Read a record; None when that is not what was written.

    Raises:
        EtcdFileDamaged: it goes on with another CRC than the file before it ended with.

    """
    try:
        fields = _fields(data, path)
        kind, told = _number(fields.get(1, 0), path), _number(fields.get(2, 0), path)
        body = fields.get(3, b"")
    except EtcdFileDamaged:
        return None
    if kind == _CRC:
        if crc not in (0, told):
            raise EtcdFileDamaged(f"{path}: it does not follow the file before it")
        return _Record(kind, b"", told)
    if not isinstance(body, bytes) or crc32c(body, crc) != told:
        return None
    return _Record(kind, body, told)


def _fields(data: bytes, path: Path) -> _Fields:
    """The fields of a protobuf message, by number; of one that is there twice the last.

    Raises:
        EtcdFileDamaged: it is none.

    """
    found: _Fields = {}
    offset = 0
    try:
        while offset < len(data):
            tag, offset = read_varint(data, offset)
            if tag & 7 == 0:
                found[tag >> 3], offset = read_varint(data, offset)
                continue
            if tag & 7 == 2:
                size, offset = read_varint(data, offset)
            else:
                size = {1: 8, 5: 4}.get(tag & 7, len(data) + 1)
            if size > len(data) - offset:
                raise EtcdFileDamaged(f"{path}: a field is longer than its message")
            found[tag >> 3] = data[offset : offset + size]
            offset += size
    except IndexError as error:
        raise EtcdFileDamaged(f"{path}: a message ends in a number") from error
    return found


def _number(value: int | bytes, path: Path) -> int:
    if isinstance(value, bytes):
        raise EtcdFileDamaged(f"{path}: bytes stand where a number should be")
    return value


def _request_of(entry: _Fields, index: int, path: Path) -> Request | None:
    """What an entry asks for; None when that changes nothing in the store."""
    data = entry.get(4, b"")
    if entry.get(1, _NORMAL) != _NORMAL or not data:
        return None  # a change of members, or what a new leader begins with
    if not isinstance(data, bytes):
        raise EtcdFileDamaged(f"{path}: entry {index} has no data")
    fields = _fields(data, path)
    if fields.get(2) in _V2_METHODS:
        return _v2_request(fields, index)  # of v2, as it was sent before v3 carried it
    wanted = fields.get(_V2)
    if isinstance(wanted, bytes):
        return _v2_request(_fields(wanted, path), index)
    asked = [it for it in fields if it not in (_ID, _HEADER)]
    if all(it in _HARMLESS for it in asked):
        return None
    return Request(index, _NAMES.get(asked[0], "a change of users or roles"))


def _v2_request(fields: _Fields, index: int) -> Request | None:
    method, place = fields.get(2, b""), fields.get(3, b"")
    if method in (b"GET", b"QGET", b"SYNC"):
        return None
    if isinstance(place, bytes) and place.startswith(_V2_OWN):
        return None
    name = method.decode(errors="replace") if isinstance(method, bytes) else "request"
    return Request(index, f"v2 {name}")
