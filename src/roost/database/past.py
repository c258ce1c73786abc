"""Changes that were applied before somebody began to observe, read back from the log.

The log has what was written, and not what was there before.  So `before` is UNKNOWN, and where a
range of keys was deleted, or a long write touched a tree that is wanted, nobody knows which keys
went away: that is an `Overrun`.  So is what the log has no more, and an entry that is damaged here.

A slice is SLICE_BYTES of entries, or one that is larger.
"""

from typing import Any

from roost.database.changes import (
    UNKNOWN,
    Change,
    Overrun,
    Wanted,
    annotations_of,
    names_of,
)
from roost.member import Member
from roost.raft import Entry, EntryKind
from roost.store import (
    DELETE_FROM,
    DELETE_RANGE,
    PARTS_ID,
    PUT,
    Changes,
    Differences,
    MalformedWriteSet,
    Records,
    is_effect,
)

SLICE_BYTES = 32 << 10
Raw = Change[bytes, bytes]


class Past:
    """What is behind `index`, up to what is applied now."""

    def __init__(self, member: Member, wanted: Wanted[Any, Any], index: int) -> None:
        """Begin behind `index`."""
        self._member = member
        self._wanted = wanted
        # Everything up to here was told.
        self.index = index
        # Whether the long write under way touches what is wanted; None = we have not seen all of
        # it.
        self._long: bool | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.index >= self._member.store.applied_index

    def read(self) -> list[Raw | Overrun]:
        """Another slice; it may have nothing that is wanted.

        Raises:
            DeviceFault: the journal cannot be read.

        """
        assert not self.is_over, "there is something left"
        first, oldest = self.index + 1, self._member.first_index
        if first < oldest:
            return [self._skip(oldest - 1)]
        entries = self._member.applied_entries(first, SLICE_BYTES)
        if not entries:
            return [self._skip(first)]
        trees = self._wanted.trees_of(names_of(self._member.view))
        found: list[Raw | Overrun] = []
        for entry in entries:
            if entry.kind is EntryKind.NORMAL:
                found += self._of(entry, trees)
            self.index = entry.index
        return found

    def _skip(self, index: int) -> Overrun:
        self.index = index
        self._long = None
        return Overrun(index)

    def _of(self, entry: Entry, trees: dict[int, str]) -> list[Raw | Overrun]:
        if is_effect(entry.payload):
            is_lost, self._long = self._long is not False, None
            return [Overrun(entry.index)] if is_lost else []
        changes = Changes(entry.payload)
        try:
            written = changes.trees
        except MalformedWriteSet:
            return []  # it changed nothing
        if PARTS_ID in written:
            self._note_parts(changes, trees)
        meets = self._wanted.meets
        for kind, tree_id, key, value in changes.writes:
            is_range = kind in (DELETE_RANGE, DELETE_FROM)
            if is_range and tree_id in trees and meets(key, value):
                return [Overrun(entry.index)]
        return self._told(entry.index, changes, trees)

    def _note_parts(self, changes: Changes, trees: dict[int, str]) -> None:
        """Parts of a long write: whether it touches what is wanted."""
        for kind, _, _, part in changes.of_tree(PARTS_ID):
            if kind != PUT:
                self._long = False  # another one begins
            elif self._long is False and part is not None:
                try:
                    written = Changes(part).trees
                    # What writes nothing says something, and that is for those who want all.
                    is_said = not written and self._wanted.tree is None
                    self._long = is_said or not written.isdisjoint(trees)
                except MalformedWriteSet:
                    continue  # then all of it changes nothing

    def _told(self, index: int, changes: Changes, trees: dict[int, str]) -> list[Raw | Overrun]:
        found: list[Raw | Overrun] = []
        wanted = self._wanted
        for it in Differences(None).of(Records(changes, trees), trees):
            if it is None:
                continue
            said = annotations_of(it.annotations)
            if it.tree_id is None:
                if wanted.tree is None:
                    found.append(Change(index, "", b"", None, None, said))
            elif wanted.covers(it.key):
                found.append(Change(index, trees[it.tree_id], it.key, it.value, UNKNOWN, said))
        return found
