"""What an entry of etcd's log asks for (etcd: raft_internal.proto, etcdserver.proto).

    InternalRaftRequest   100 header: 1 id, 2 user, 3 revision of users; then the request itself, by
                          its number
    Request (v2)          1 id, 2 method, 3 path, 4 value, 5 directory, 6 previous value, 7 previous
                          index, 8 previous exists, 9 expires, in ns since 1970, 12 recursive,
                          15 time, in ns since 1970, 17 refresh

A request of v2 stands there by itself, or in field 2 of the other.
"""

from dataclasses import dataclass
from pathlib import Path

from roost.moving.fields import Fields, bytes_of, fields_of, number_of
from roost.moving.wal import NORMAL, Entry

_HEADER, _ID, _V2 = 100, 1, 2
_V2_METHODS = (b"GET", b"PUT", b"POST", b"DELETE", b"QGET", b"SYNC")


@dataclass(frozen=True, slots=True)
class V3Request:
    """A request of v3; `field` says which, `user` who asks, by users of which revision."""

    index: int
    field: int
    body: bytes
    user: str
    auth_revision: int


@dataclass(frozen=True, slots=True)
class V2Request:
    """A request of v2; `previous_exists` and `refresh` None are not said."""

    method: bytes
    path: bytes
    value: bytes
    is_dir: bool
    previous_value: bytes
    previous_index: int
    previous_exists: bool | None
    expires_ns: int
    is_recursive: bool
    time_ns: int
    refresh: bool | None


def request_of(entry: Entry, path: Path) -> V2Request | V3Request | None:
    """What an entry asks for; None when it is a change of members, or what a leader begins with.

    Raises:
        EtcdFileDamaged: it is none of etcd's.

    """
    if entry.kind != NORMAL or not entry.data:
        return None
    fields = fields_of(entry.data, path)
    if fields.get(2) in _V2_METHODS:
        return _v2_of(fields, path)
    if _V2 in fields:
        return _v2_of(fields_of(bytes_of(fields, _V2, path), path), path)
    header = fields_of(bytes_of(fields, _HEADER, path), path)
    field = next((it for it in fields if it not in (_HEADER, _ID)), 0)
    return V3Request(
        entry.index,
        field,
        bytes_of(fields, field, path),
        bytes_of(header, 2, path).decode(errors="replace"),
        number_of(header, 3, path),
    )


def _v2_of(fields: Fields, path: Path) -> V2Request:
    def flag(tag: int) -> bool | None:
        return bool(number_of(fields, tag, path)) if tag in fields else None

    return V2Request(
        method=bytes_of(fields, 2, path),
        path=bytes_of(fields, 3, path),
        value=bytes_of(fields, 4, path),
        is_dir=bool(flag(5)),
        previous_value=bytes_of(fields, 6, path),
        previous_index=number_of(fields, 7, path),
        previous_exists=flag(8),
        expires_ns=number_of(fields, 9, path),
        is_recursive=bool(flag(12)),
        time_ns=number_of(fields, 15, path),
        refresh=flag(17),
    )
