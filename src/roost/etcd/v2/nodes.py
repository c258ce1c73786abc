"""The tree of v2 in the store: a row for each directory and each key, and when which runs out.

    $v2.nodes    key of the node (`paths`)  -> u8 1 = directory; u64 created, u64 modified index;
                                              u64 when it expires, in ns since 1970, 0 = never;
                                              the value
    $v2.expiries u64 when, then the path     -> b""
    $v2.events   u64 index                   -> see `history`
    $v2          b"now"                      -> see `history`

A node whose parent is missing, or a key, does not exist: so what is there can be looked up at
once, and why something is not by its parents, from the root on.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from roost.database.model import Store, Txn, View, Walk
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.json_text import PIECE_BYTES, date_text, quoted, quoted_pieces, seconds_left
from roost.etcd.v2.paths import ROOT, children_range, key_of, parents_of
from roost.etcd.v2.values import Node

_HEAD: Final = struct.Struct(">BQQQ")
_WHEN_BYTES: Final = 8


ROOT_NODE = Node(is_dir=True, created=0, modified=0, expires_ns=0, value=b"")


@dataclass(frozen=True, slots=True)
class Trees:
    """Their numbers in one store."""

    nodes: int
    expiries: int
    events: int
    meta: int


_NAMES = ("$v2.nodes", "$v2.expiries", "$v2.events", "$v2")


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    for name in _NAMES:
        txn.tree(name)


def trees_of(store: Store) -> Trees:
    """Where they are."""
    return Trees(*(store.tree(name).id for name in _NAMES))


def trees_in(txn: Txn) -> Trees:
    """The same, for a transaction on a store that nobody serves."""
    return Trees(*(txn.tree(name).id for name in _NAMES))


def decode(row: bytes) -> Node:
    """Read a row."""
    is_dir, created, modified, expires_ns = _HEAD.unpack_from(row)
    return Node(bool(is_dir), created, modified, expires_ns, row[_HEAD.size :])


def encode(node: Node) -> bytes:
    """Write a row."""
    return _HEAD.pack(node.is_dir, node.created, node.modified, node.expires_ns) + node.value


def expiry_key(expires_ns: int, path: bytes) -> bytes:
    """Where it stands that a node runs out."""
    return expires_ns.to_bytes(_WHEN_BYTES, "big") + path


def expiring_path(key: bytes) -> bytes:
    """Which node runs out."""
    return key[_WHEN_BYTES:]


def expiring_ns(key: bytes) -> int:
    """When it does."""
    return int.from_bytes(key[:_WHEN_BYTES], "big")


def get(trees: Trees, view: View, path: bytes) -> Node | None:
    """What is there."""
    if path == ROOT:
        return ROOT_NODE
    row = view.get(trees.nodes, key_of(path))
    return None if row is None else decode(row)


def find(trees: Trees, view: View, path: bytes, index: int) -> Node:
    """What is there; `index` is the store's.

    Raises:
        Fault: a directory on the way is missing, or is none, or there is nothing at its end.

    """
    node = get(trees, view, path)
    if node is None:
        for parent in parents_of(path):
            above = get(trees, view, parent)
            if above is None:
                raise Fault(Reason.KEY_NOT_FOUND, parent, index)
            if not above.is_dir:
                raise Fault(Reason.NOT_A_DIRECTORY, parent, index)
        raise Fault(Reason.KEY_NOT_FOUND, path, index)
    return node


def children(trees: Trees, view: View, path: bytes) -> Walk:
    """A walk over the rows of a directory's children."""
    return Walk(view, trees.nodes, *children_range(path))


def put(trees: Trees, txn: Txn, path: bytes, node: Node, old: Node | None = None) -> None:
    """Write a node where `old` was."""
    txn.put(trees.nodes, key_of(path), encode(node))
    if old is not None and old.expires_ns and old.expires_ns != node.expires_ns:
        txn.delete(trees.expiries, expiry_key(old.expires_ns, path))
    if node.expires_ns:
        txn.put(trees.expiries, expiry_key(node.expires_ns, path), b"")


def remove(trees: Trees, txn: Txn, path: bytes, node: Node) -> None:
    """Take a node away; nothing is below it."""
    txn.delete(trees.nodes, key_of(path))
    if node.expires_ns:
        txn.delete(trees.expiries, expiry_key(node.expires_ns, path))


def open_pieces(
    path: bytes, node: Node, now_ns: int, *, shows_value: bool = True
) -> Iterator[bytes]:
    """A node as JSON, as far as its children, which may follow; one piece unless it is long."""
    parts = [] if path == ROOT else [b'"key":' + quoted(path)]
    if node.is_dir:
        parts.append(b'"dir":true')
    elif shows_value and len(node.value) <= PIECE_BYTES:
        parts.append(b'"value":' + quoted(node.value))
    elif shows_value:
        yield b"{" + b",".join([*parts, b'"value":'])
        yield from quoted_pieces(node.value)
        yield b"".join(b"," + it for it in _ending_parts(node, now_ns))
        return
    yield b"{" + b",".join(parts + _ending_parts(node, now_ns))


def _ending_parts(node: Node, now_ns: int) -> list[bytes]:
    """When it ends."""
    if not node.expires_ns:
        return []
    parts = [b'"expiration":"%b"' % date_text(node.expires_ns)]
    left_s = seconds_left(node.expires_ns, now_ns)
    if left_s:
        parts.append(b'"ttl":%d' % left_s)
    return parts


def close_text(node: Node) -> bytes:
    """What follows behind its children."""
    if not node.modified:
        return b"}"
    return b',"modifiedIndex":%d,"createdIndex":%d}' % (node.modified, node.created)


def text_of(path: bytes, node: Node, now_ns: int, *, shows_value: bool = True) -> bytes:
    """A node as JSON, without children."""
    is_plain = shows_value and path != ROOT and not (node.is_dir or node.expires_ns)
    if not is_plain:
        return b"".join(node_pieces(path, node, now_ns, shows_value=shows_value))
    return b'{"key":%b,"value":%b,"modifiedIndex":%d,"createdIndex":%d}' % (
        quoted(path),
        quoted(node.value),
        node.modified,
        node.created,
    )


def node_pieces(
    path: bytes, node: Node, now_ns: int, *, shows_value: bool = True
) -> Iterator[bytes]:
    """The same, piece by piece, of one that may be long."""
    yield from open_pieces(path, node, now_ns, shows_value=shows_value)
    yield close_text(node)
