"""Which rows of a source were changed, as write sets and the log say; how far a walk has come."""

from collections.abc import Sequence
from typing import Protocol

from roost.database.bounds import Range
from roost.database.dirty import Dirty
from roost.raft import Entry
from roost.store import (
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    PUT,
    Changes,
    LongChanges,
    MalformedWriteSet,
    Store,
    TreeLayer,
    View,
    Walk,
    is_effect,
)

# How many digits of a key tell how far a walk has come.
_SHARE_BYTES = 6
# Keys of a long write that are noted one by one: about two milliseconds.
LONG_KEYS_MAX = 4000


class LogMember(Protocol):
    """What of a member derived trees ask."""

    store: Store
    view: View

    @property
    def first_index(self) -> int:
        """The oldest entry that the log has still."""

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None = the log does not know."""

    def applied_entries(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries that are applied, from `first` on; none where that is damaged."""


def note_entry(dirty: Dirty, bounds: Range, tree_id: int, entry: Entry) -> None:
    """Note what an entry of the log changed in a range of a tree."""
    if is_effect(entry.payload):
        # What its parts were nobody knows any more.
        dirty.note_range(bounds.first, bounds.stop, entry.index)
        return
    changes = Changes(entry.payload)
    try:
        is_ours = tree_id in changes.trees
    except MalformedWriteSet:
        return  # it changed nothing
    if is_ours:
        note_changes(dirty, bounds, tree_id, entry.index, changes)


def note_changes(dirty: Dirty, bounds: Range, tree_id: int, index: int, changes: Changes) -> None:
    """Note what a write set changed in a range of a tree that it writes."""
    first, stop = bounds.first, bounds.stop
    if isinstance(changes, LongChanges):
        _note_long(dirty, bounds, changes.layer.trees[tree_id], index)
        return
    for kind, written_id, key, value in changes.writes:
        if written_id != tree_id:
            continue
        if kind in (PUT, DELETE):
            if first <= key and (stop is None or key < stop):
                dirty.note(key, index)
        elif kind in (DELETE_RANGE, DELETE_FROM):
            end = value if kind == DELETE_RANGE else None
            dirty.note_range(max(first, key), earlier(end, stop), index)


def _note_long(dirty: Dirty, bounds: Range, written: TreeLayer, index: int) -> None:
    """Note what a long write changed: each key by itself would be a long step of very many."""
    first, stop = bounds.first, bounds.stop
    if written.ranges:
        dirty.note_range(first, stop, index)
    elif len(written.values) <= LONG_KEYS_MAX:
        for key in written.values:
            if first <= key and (stop is None or key < stop):
                dirty.note(key, index)
    else:
        begin = next(written.items(first, stop, reverse=False), None)
        end = next(written.items(first, stop, reverse=True), None)
        if begin is not None and end is not None:
            dirty.note_range(begin[0], end[0] + b"\0", index)


def earlier(one: bytes | None, other: bytes | None) -> bytes | None:
    """Where the first of two ranges stops; None = at the end."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def share_of(first: bytes, last: bytes, place: bytes) -> float:
    """Where `place` lies between two keys, from 0 to 1."""
    common = 0
    while common < min(len(first), len(last)) and first[common] == last[common]:
        common += 1

    def digits(key: bytes) -> int:
        return int.from_bytes(key[common : common + _SHARE_BYTES].ljust(_SHARE_BYTES, b"\0"), "big")

    whole = digits(last) - digits(first)
    if whole <= 0 or place >= last:
        return 1.0 if place > last else 0.0
    return min(1.0, max(0.0, (digits(place) - digits(first)) / whole))


def merged(
    rows: list[tuple[bytes, bytes]], backs: dict[bytes, bytes], place: bytes | None
) -> Sequence[tuple[bytes, bytes | None]]:
    """Keys to look at before `place`, in order, with what they have now."""
    if not backs:  # as while a tree is made for the first time
        return rows if place is None or not rows or rows[-1][0] < place else [
            it for it in rows if it[0] < place
        ]  # fmt: skip
    values: dict[bytes, bytes | None] = dict.fromkeys(backs)
    values.update(rows)
    return [(it, values[it]) for it in sorted(values) if place is None or it < place]


def part(
    view: View, tree_id: int, first: bytes, stop: bytes | None, count: int
) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
    """The next rows of a range, and where it goes on; None = that is its end."""
    if not tree_id:
        return [], None
    walk = Walk(view, tree_id, first, stop)
    rows = walk.take(count)
    return rows, None if walk.is_done else walk.place
