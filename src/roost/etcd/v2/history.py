"""The last changes, in the store: what watches are answered from that come late.

    v2         b"now"     -> u64 index of the last change; u64 that of the first event that is
                             kept; u64 bytes of all that are
    v2_events  u64 index  -> u8 action, u8 flags, u16 length of the path; the path; the event as
                             JSON, as it is told

Every change that succeeds has one index, and one event; so events have no gaps.  They are part of
the state: restarts, snapshots and other leaders have them.

Full?  COUNT_MIN events are kept, and more while all take no more than BYTES_MIN; none beyond
BYTES_MAX.  Each change drops DROPPED_MAX at most, so a bound that was passed by much is reached
again over some changes.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from roost.database.model import Txn, View
from roost.etcd.v2.nodes import Trees, trees_in

COUNT_MIN = 1000
BYTES_MIN, BYTES_MAX = 4 << 20, 256 << 20
DROPPED_MAX = 16
NOW_KEY = b"now"
_NOW = struct.Struct(">QQQ")
_HEAD = struct.Struct(">BBH")
INDEX_BYTES = 8


class Action(IntEnum):
    """What was done; clients know the names."""

    CREATE = 1
    SET = 2
    UPDATE = 3
    SWAP = 4
    DELETE = 5
    COMPARE_DELETE = 6
    EXPIRE = 7


NAMES = {
    Action.CREATE: b"create",
    Action.SET: b"set",
    Action.UPDATE: b"update",
    Action.SWAP: b"compareAndSwap",
    Action.DELETE: b"delete",
    Action.COMPARE_DELETE: b"compareAndDelete",
    Action.EXPIRE: b"expire",
}


class Flags(IntFlag):
    """What watches have to know of an event."""

    NONE = 0
    # Only the time to live is another: nobody is told.
    REFRESH = 1
    # A directory is gone, with all that was below.
    DIRECTORY_GONE = 2


@dataclass(frozen=True, slots=True)
class Now:
    """Where the history stands; an empty one begins behind its end."""

    index: int = 0
    first: int = 1
    events_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One change."""

    index: int
    action: Action
    flags: Flags
    path: bytes
    # As it is told.
    text: bytes


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


def event_key(index: int) -> bytes:
    """Where an event stands."""
    return index.to_bytes(INDEX_BYTES, "big")


def decode(key: bytes, row: bytes) -> Event:
    """Read a row."""
    action, flags, path_bytes = _HEAD.unpack_from(row)
    stop = _HEAD.size + path_bytes
    index = int.from_bytes(key, "big")
    return Event(index, Action(action), Flags(flags), row[_HEAD.size : stop], row[stop:])


def add(trees: Trees, txn: Txn, event: Event) -> None:
    """Write the next event, and drop those for which there is no room."""
    held = now(trees, txn)
    assert event.index == held.index + 1, "each change has an index, and no other"
    row = _HEAD.pack(event.action, event.flags, len(event.path)) + event.path + event.text
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
