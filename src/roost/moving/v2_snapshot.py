"""etcd's state of v2 at an entry: a file member/snap/<term>-<index>.snap (etcd: api/snap, v2store).

    file      snappb.Snapshot: 1 CRC-32C of what follows, 2 raftpb.Snapshot
    snapshot  1 data, 2 metadata: 2 index, 3 term
    data      JSON: {"Root": node, "CurrentIndex": n, ...}; a node is {"Path", "CreatedIndex",
              "ModifiedIndex", "ExpireTime", "Value", "Children": {name: node} or null}

etcd writes one every so many entries, and cuts its log behind it.  The tree has etcd's own members
below /0, the keys below /1, users and roles below /2.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from crc32c import crc32c

from roost.etcd.v2.paths import ROOT, child_of, is_too_long
from roost.etcd.v2.values import Node
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.moving.fields import bytes_of, fields_of, number_of

_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.snap")
_NEVER = "0001-01-01T00:00:00Z"
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_NS = 1_000_000_000
_INDEX_MAX = 1 << 62


class _Held(msgspec.Struct, frozen=True, rename="pascal"):
    """A node as it stands there."""

    path: str
    created_index: int
    modified_index: int
    expire_time: str
    value: str
    children: "dict[str, _Held] | None"


class _Tree(msgspec.Struct, frozen=True, rename="pascal"):
    root: _Held
    current_index: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tree at an entry of the log; `v2_index` is that of its last change."""

    path: Path
    index: int
    v2_index: int
    root: _Held

    def nodes(self) -> Iterator[tuple[bytes, Node]]:
        """All nodes but the root by their paths, directories before what is in them.

        Raises:
            EtcdFileDamaged: it contradicts itself.
            EtcdFileRefused: a path is longer than they may be here.

        """
        waiting = [(ROOT, self.root)]
        while waiting:
            path, held = waiting.pop()
            if held.path.encode() != path:
                raise EtcdFileDamaged(f"{self.path}: {held.path!r} stands at {path!r}")
            if path != ROOT:
                yield path, self._node_of(path, held)
            for name, child in (held.children or {}).items():
                waiting.append((child_of(path, name.encode()), child))

    def _node_of(self, path: bytes, held: _Held) -> Node:
        if is_too_long(path):
            raise EtcdFileRefused(f"{self.path}: the path {held.path!r} is too long, or too deep")
        if not 0 <= held.created_index <= self.v2_index >= held.modified_index >= 0:
            raise EtcdFileDamaged(f"{self.path}: {held.path!r} was changed behind the end")
        is_dir = held.children is not None
        value = b"" if is_dir else held.value.encode()
        expires_ns = self._ns_of(held.expire_time)
        return Node(is_dir, held.created_index, held.modified_index, expires_ns, value)

    def _ns_of(self, date: str) -> int:
        """Nanoseconds since 1970; 0 of what never ends."""
        if date == _NEVER:
            return 0
        found = _DATE.fullmatch(date)
        try:
            if found is None:
                raise ValueError("it is none")
            when = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
            past = when - datetime(1970, 1, 1, tzinfo=UTC)
            seconds = past.days * 86400 + past.seconds
            if seconds < 0:
                raise ValueError("it is too early")
        except (ValueError, OverflowError) as error:
            raise EtcdFileDamaged(f"{self.path}: the date {date!r}: {error}") from error
        return max(1, seconds * _NS + int((found[2] or "").ljust(9, "0")))


def newest_snapshot(directory: Path) -> Snapshot | None:
    """The newest that is whole; None when there is none at all.

    One that was being written when the power went is passed over: the log goes on from the one
    before, or else lacks entries, which `wal` says.

    Raises:
        EtcdFileDamaged: there are some, and none is whole.
        OSError: one cannot be read.

    """
    paths = sorted((it for it in directory.iterdir() if _NAME.fullmatch(it.name)), reverse=True)
    damage: EtcdFileDamaged | None = None
    for path in paths:
        try:
            return read_snapshot(path)
        except EtcdFileDamaged as error:
            damage = damage or error
    if damage is not None:
        raise damage
    return None


def read_snapshot(path: Path) -> Snapshot:
    """Read one.

    Raises:
        EtcdFileDamaged: it is not what was written.
        OSError: it cannot be read.

    """
    fields = fields_of(path.read_bytes(), path)
    inner = bytes_of(fields, 2, path)
    if not inner or crc32c(inner) != number_of(fields, 1, path):
        raise EtcdFileDamaged(f"{path}: its CRC is not that of what it holds")
    held = fields_of(inner, path)
    index = number_of(fields_of(bytes_of(held, 2, path), path), 2, path)
    try:
        tree = msgspec.json.decode(bytes_of(held, 1, path), type=_Tree)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EtcdFileDamaged(f"{path}: the tree of v2 cannot be read: {error}") from error
    if not 0 <= tree.current_index <= _INDEX_MAX or tree.root.children is None:
        raise EtcdFileDamaged(f"{path}: the tree of v2 contradicts itself")
    return Snapshot(path, index, tree.current_index, tree.root)
