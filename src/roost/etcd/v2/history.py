"""The last changes, in the store: what watches are answered from that come late.

    $v2         b"now"    -> u64 index of the last change; u64 that of the first event that is
                             kept; u64 bytes of all that are
    $v2.events  u64 index -> u8 action, u8 flags, u16 length of the path, u32 length of the node's
                             row, u64 when it was, in ns since 1970; the path; the row (`nodes`),
                             as it is told; the row of what was there before, if anything was

What is told of an event is its JSON, which may be six times as long: it is made of the row when it
is told, in pieces.

Every change that succeeds has one index, and one event; so events have no gaps.  They are part of
the state: restarts, snapshots and other leaders have them.

Full?  COUNT_MIN events are kept, and more while all take no more than BYTES_MIN; none beyond
BYTES_MAX.  Each change drops DROPPED_MAX at most, so a bound that was passed by much is reached
again over some changes.
"""

import struct
from collections.abc import Iterator
from typing import Final

from roost.database.model import Txn, View
from roost.etcd.v2 import nodes
from roost.etcd.v2.nodes import Trees, trees_in
from roost.etcd.v2.values import Action, Event, Flags, Now

COUNT_MIN = 1000
BYTES_MIN, BYTES_MAX = 4 << 20, 256 << 20
DROPPED_MAX: Final = 16
NOW_KEY: Final = b"now"
_NOW: Final = struct.Struct(">QQQ")
_HEAD: Final = struct.Struct(">BBHIQ")
INDEX_BYTES: Final = 8


NAMES = {
    Action.CREATE: b"create",
    Action.SET: b"set",
    Action.UPDATE: b"update",
    Action.SWAP: b"compareAndSwap",
    Action.DELETE: b"delete",
    Action.COMPARE_DELETE: b"compareAndDelete",
    Action.EXPIRE: b"expire",
}


# What is gone is told without its value.
_GONE: Final = frozenset({Action.DELETE, Action.COMPARE_DELETE, Action.EXPIRE})


# To ask an Enum for a member by its number takes longer than all else of an event's head.
_ACTIONS = {int(it): it for it in Action}
_FLAGS = {int(it): it for it in Flags}


def size_of(event: Event) -> int:
    """What an event takes, about."""
    old = event.old
    return len(event.path) + len(event.node.value) + (0 if old is None else len(old.value))


def text_of(event: Event) -> bytes:
    """An event as JSON, as it is told."""
    action, path, old = event.action, event.path, event.old
    shown = nodes.text_of(path, event.node, event.now_ns, shows_value=action not in _GONE)
    if old is None:
        return b'{"action":"%b","node":%b}\n' % (NAMES[action], shown)
    before = nodes.text_of(path, old, event.now_ns)
    return b'{"action":"%b","node":%b,"prevNode":%b}\n' % (NAMES[action], shown, before)


def pieces_of(event: Event) -> Iterator[bytes]:
    """The same, piece by piece, for one that may be long."""
    action, path, old = event.action, event.path, event.old
    yield b'{"action":"%b","node":' % NAMES[action]
    shows_value = action not in _GONE
    yield from nodes.node_pieces(path, event.node, event.now_ns, shows_value=shows_value)
    if old is not None:
        yield b',"prevNode":'
        yield from nodes.node_pieces(path, old, event.now_ns)
    yield b"}\n"


def now(trees: Trees, view: View) -> Now:
    """Where it stands in a state."""
    row = view.get(trees.meta, NOW_KEY)
    return Now() if row is None else Now(*_NOW.unpack(row))


def raise_index(txn: Txn, by: int) -> None:
    """Let a restored store go on `by` indexes later, and forget all before.

    Whoever watches from an index behind the backup is told that it is cleared, and reads anew.
    """
    trees = trees_in(txn)
    index = now(trees, txn).index
    if index:
        txn.delete_range(trees.events, b"")
        txn.put_latest(trees.meta, NOW_KEY, _NOW.pack(index + by, index + by + 1, 0))


def begin_at(trees: Trees, txn: Txn, index: int) -> None:
    """Let an index be that of the last change, with no events: none are kept, or none are known."""
    txn.put_latest(trees.meta, NOW_KEY, _NOW.pack(index, index + 1, 0))


def event_key(index: int) -> bytes:
    """Where an event stands."""
    return index.to_bytes(INDEX_BYTES, "big")


def decode(key: bytes, row: bytes) -> Event:
    """Read a row."""
    action, flags, path_bytes, node_bytes, now_ns = _HEAD.unpack_from(row)
    stop = _HEAD.size + path_bytes
    path, node, old = (
        row[_HEAD.size : stop],
        row[stop : stop + node_bytes],
        row[stop + node_bytes :],
    )
    return Event(
        int.from_bytes(key, "big"),
        _ACTIONS[action],
        _FLAGS[flags],
        path,
        now_ns,
        nodes.decode(node),
        nodes.decode(old) if old else None,
    )


def encode(event: Event) -> bytes:
    """Write a row."""
    node, path = nodes.encode(event.node), event.path
    old = b"" if event.old is None else nodes.encode(event.old)
    head = _HEAD.pack(event.action, event.flags, len(path), len(node), event.now_ns)
    return head + path + node + old


def add(trees: Trees, txn: Txn, event: Event, held: Now) -> bytes:
    """Write the next event, and drop those for which there is no room; its row.

    `held` is where the history stands before.
    """
    assert event.index == held.index + 1, "each change has an index, and no other"
    row = encode(event)
    txn.put(trees.events, event_key(event.index), row)
    first, size = held.first, held.events_bytes + len(row)
    for _ in range(DROPPED_MAX):
        has_enough = event.index - first >= COUNT_MIN
        if size <= BYTES_MIN or (not has_enough and size <= BYTES_MAX) or first == event.index:
            break
        dropped = txn.get(trees.events, event_key(first))
        assert dropped is not None, "events have no gaps"
        txn.delete(trees.events, event_key(first))
        size -= len(dropped)
        first += 1
    txn.put_latest(trees.meta, NOW_KEY, _NOW.pack(event.index, first, size))
    return row
