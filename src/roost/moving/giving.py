"""Our keys, leases and users as a store of etcd's, for `etcdutl snapshot restore`.

Revisions, versions and leases of keys are those that Roost has answered.  What stands beside etcd's
model (counters, time series, v2, a program's trees) has no place there; `left_out` names it.

No applied entry is written: the member that is made of the file begins its log anew, and would take
what lies below such an entry for done.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from roost.etcd.access.users import (
    AUTH_TREE,
    ENABLED_KEY,
    REVISION_KEY,
    ROLES_TREE,
    TOKENS_TREE,
    USERS_TREE,
)
from roost.etcd.model import leases
from roost.etcd.model.mvcc import (
    ALARMS_TREE,
    COMPACTED_KEY,
    COMPACTING_KEY,
    HISTORY_TREE,
    KV_TREE,
    LEASE_KEYS_TREE,
    LEASES_TREE,
    META_TREE,
    REVISION_BYTES,
    REVISIONS_TREE,
    decode_now,
)
from roost.etcd.model.mvcc import REVISION_KEY as NOW_KEY
from roost.etcd.model.wire import decode_key_value, encode_key_only
from roost.member import MEMBERS_TREE, REMOVED_TREE
from roost.moving import backend as etcd
from roost.moving.bolt_writer import BoltWriter
from roost.moving.errors import NotForEtcd
from roost.store import CATALOG_ID, METADATA_NAME, PARTS_NAME, View

# What the file holds, or what is every cluster's own and is made anew.
_KNOWN = frozenset(
    {KV_TREE, REVISIONS_TREE, HISTORY_TREE, META_TREE, LEASES_TREE, LEASE_KEYS_TREE, ALARMS_TREE}
    | {AUTH_TREE, USERS_TREE, ROLES_TREE, TOKENS_TREE}
    | {METADATA_NAME, PARTS_NAME, MEMBERS_TREE, REMOVED_TREE}
)
_COPY_BYTES = 1 << 20
_Rows = Iterator[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Given:
    """What was written; `left_out` are trees that hold something and have no place in etcd."""

    path: Path
    revision: int
    compacted: int
    key_count: int
    lease_count: int
    user_count: int
    role_count: int
    size_bytes: int
    digest: str
    left_out: tuple[str, ...]


class _Source:
    """Our trees, as the rows of etcd's buckets."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._ids = {
            name.decode(): int.from_bytes(tree, "big") for name, tree in view.scan(CATALOG_ID)
        }
        if META_TREE not in self._ids:
            raise NotForEtcd("it has no keys of etcd's: it is a store without etcd's services")
        self.revision, self.key_count = decode_now(self._get(META_TREE, NOW_KEY))
        self.compacted = int.from_bytes(self._get(META_TREE, COMPACTED_KEY), "big")

    def _get(self, tree: str, key: bytes) -> bytes:
        """A value; b"" where there is none."""
        return self._view.get(self._ids[tree], key) or b""

    def _rows(self, tree: str) -> _Rows:
        return self._view.iterate(self._ids[tree])

    def left_out(self) -> tuple[str, ...]:
        """Trees that hold something and are not written."""
        return tuple(
            name
            for name, tree in sorted(self._ids.items())
            if name not in _KNOWN and next(self._view.iterate(tree, keys_only=True), None)
        )

    def buckets(self) -> dict[bytes, _Rows]:
        """The rows of each bucket, in order."""
        told: dict[bytes, _Rows] = {name: iter(()) for name in etcd.BUCKETS}
        told[etcd.KEY] = self._revisions()
        told[etcd.META] = self._meta()
        told[etcd.LEASE] = self._leases()
        told[etcd.AUTH] = self._auth()
        told[etcd.AUTH_USERS] = self._rows(USERS_TREE)
        told[etcd.AUTH_ROLES] = self._rows(ROLES_TREE)
        return told

    def _revisions(self) -> _Rows:
        for where, encoded in self._rows(REVISIONS_TREE):
            assert len(where) == REVISION_BYTES, "a revision is as long as we wrote it"
            held = decode_key_value(encoded)
            main, sub = int.from_bytes(where[:8], "big"), int.from_bytes(where[8:], "big")
            is_tombstone = not held.version
            value = encode_key_only(held.key) if is_tombstone else encoded
            yield etcd.revision_key(main, sub, is_tombstone=is_tombstone), value

    def _meta(self) -> _Rows:
        if not self.compacted:
            return
        said = etcd.revision_key(self.compacted, 0)
        # What is on its way to be removed here is removed there: then it is only said that it must.
        if self._view.get(self._ids[META_TREE], COMPACTING_KEY) is None:
            yield etcd.FINISHED, said
        yield etcd.SCHEDULED, said

    def _leases(self) -> _Rows:
        for name, row in self._rows(LEASES_TREE):
            yield name, etcd.encode_lease(name, leases.decode(row))

    def _auth(self) -> _Rows:
        is_enabled = self._view.get(self._ids[AUTH_TREE], ENABLED_KEY) is not None
        yield etcd.AUTH_ENABLED, b"\x01" if is_enabled else b"\x00"
        yield etcd.AUTH_REVISION, self._get(AUTH_TREE, REVISION_KEY)


def write_etcd_file(view: View, path: Path, part: Path) -> Given:
    """Write what `view` shows to `path`, as `etcdctl snapshot save` would; first to `part`.

    The file appears under its name when it is whole and durable.

    Raises:
        NotForEtcd: something has no place in a file of etcd's.
        StoreCorrupt: what is read is damaged.
        OSError: it cannot be written.

    """
    source = _Source(view)
    counts = {etcd.LEASE: 0, etcd.AUTH_USERS: 0, etcd.AUTH_ROLES: 0}

    def counted(name: bytes, rows: _Rows) -> _Rows:
        for row in rows:
            counts[name] += 1
            yield row

    descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            writer = BoltWriter(file)
            for name, rows in sorted(source.buckets().items()):
                writer.add_bucket(name, counted(name, rows) if name in counts else rows)
            writer.finish()
            digest, size_bytes = _seal(file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Given(
        path=path,
        revision=source.revision,
        compacted=source.compacted,
        key_count=source.key_count,
        lease_count=counts[etcd.LEASE],
        user_count=counts[etcd.AUTH_USERS],
        role_count=counts[etcd.AUTH_ROLES],
        size_bytes=size_bytes,
        digest=digest,
        left_out=source.left_out(),
    )


def _seal(file: BinaryIO) -> tuple[str, int]:
    """Write the SHA-256 of a file behind it, as snapshots have it; return it and the size."""
    digest = hashlib.sha256()
    file.seek(0)
    while data := file.read(_COPY_BYTES):
        digest.update(data)
    file.write(digest.digest())
    return digest.hexdigest(), file.tell()
