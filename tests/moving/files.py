"""Files of etcd's, made by hand: small ones with one of everything."""

import hashlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

from roost.moving import backend as etcd
from roost.moving.bolt import BoltFile, Row
from roost.moving.bolt_writer import BoltWriter
from roost.proto import auth_pb2, kv_pb2

Rows = Iterable[tuple[bytes, bytes]]
LEASE = (0x7000000000000001).to_bytes(8, "big")


def bolt(buckets: Mapping[bytes, Rows]) -> bytes:
    """A file of bbolt's."""
    file = BytesIO()
    writer = BoltWriter(file)
    for name, rows in buckets.items():
        writer.add_bucket(name, rows)
    writer.finish()
    return file.getvalue()


def read(data: bytes) -> dict[bytes, list[Row]]:
    """All that a file holds."""
    return {name: list(rows) for name, rows in BoltFile(data, len(data)).buckets().items()}


def put(main: int, key: bytes, value: bytes, *, created: int = 0, version: int = 1,
        lease: int = 0, sub: int = 0) -> tuple[bytes, bytes]:  # fmt: skip
    """A row of a put."""
    made = kv_pb2.KeyValue(
        key=key,
        create_revision=created or main,
        mod_revision=main,
        version=version,
        value=value,
        lease=lease,
    )
    return etcd.revision_key(main, sub), made.SerializeToString()


def delete(main: int, key: bytes, sub: int = 0) -> tuple[bytes, bytes]:
    """A row of a deletion."""
    name = etcd.revision_key(main, sub, is_tombstone=True)
    return name, kv_pb2.KeyValue(key=key).SerializeToString()


def everything() -> dict[bytes, list[tuple[bytes, bytes]]]:
    """One of everything that etcd keeps."""
    lease = int.from_bytes(LEASE, "big")
    role = auth_pb2.Role(
        name=b"reader",
        keyPermission=[auth_pb2.Permission(permType=auth_pb2.Permission.READ, key=b"a")],
    )
    user = auth_pb2.User(name=b"ada", password=b"$2a$", roles=["reader"])
    return {
        **{name: [] for name in etcd.BUCKETS},
        etcd.KEY: [
            put(2, b"a", b"1"),
            put(3, b"b\0", b"1", lease=lease),
            put(3, b"c", b"2", sub=1),
            put(4, b"a", b"3", created=2, version=2),
            delete(5, b"c"),
            put(6, b"lost", b"", lease=9),
        ],
        etcd.META: [
            (etcd.CONSISTENT_INDEX, (40).to_bytes(8, "big")),
            (etcd.FINISHED, etcd.revision_key(2, 0)),
            (etcd.SCHEDULED, etcd.revision_key(3, 0)),
        ],
        etcd.LEASE: [(LEASE, b"\x08\x81" + b"\x80" * 7 + b"\x70\x10\x3c\x18\x05")],
        etcd.AUTH: [(etcd.AUTH_ENABLED, b"\x01"), (etcd.AUTH_REVISION, (7).to_bytes(8, "big"))],
        etcd.AUTH_USERS: [(b"ada", user.SerializeToString())],
        etcd.AUTH_ROLES: [(b"reader", role.SerializeToString())],
    }


def save(path: Path, buckets: Mapping[bytes, Rows], *, has_digest: bool = True) -> Path:
    """A file of etcd's."""
    data = bolt(buckets)
    path.write_bytes(data + (hashlib.sha256(data).digest() if has_digest else b""))
    return path
