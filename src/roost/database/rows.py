"""Rows of named trees, as a transaction reads and writes them: bytes, and no types.

`Rows` is what a transaction stands on.  `TxnRows` is it where an operation runs, on the member
that leads; an optimistic transaction has rows of its own (`optimistic`), and one of the blocking
face has them carried to another thread (`carried`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from roost.database import declared
from roost.database.declared import Declared, Found
from roost.database.errors import BadKey, BadValue
from roost.database.limits import (
    KEY_BYTES_HARD_MAX,
    WRITE_SET_BYTES_HARD_MAX,
    Limits,
    TreeLimits,
    check_key,
    check_value,
    check_write_set,
)
from roost.store import METADATA_ID, WRITE_BYTES_MAX, Mark, Txn, View, check_name

Row = tuple[bytes, bytes]
ANNOTATION_KIND_MIN, ANNOTATION_KIND_MAX = 256, 65535
# What eight rows cost that are written, in rows that are read: they take 1.5 us each, on a member
# that leads (measured with 100,000 of them, 2026-11-28), and those take four.
_COST_OF_ROWS = 3


class Rows(Protocol):
    """What a transaction can ask for; trees go by name."""

    def open(self, tree: str, key: str, value: str) -> None:
        """See that the tree is as it is said to be, or may become so.

        Raises:
            BadTreeName, NotYourTree, OtherCodec: it is not.

        """

    def get(self, tree: str, key: bytes) -> bytes | None:
        """The value of a key, or None."""

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[Row]:
        """`limit` rows of a range at most, in order."""

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        """Set a value."""

    def delete(self, tree: str, key: bytes) -> None:
        """Remove a key, if it is there."""

    def forget(self, tree: str, first: bytes, stop: bytes | None) -> int:
        """Of a range that is deleted next, let go of some rows that were written here; how many.

        A transaction that has put a million rows takes them out some thousands at a time.
        """

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        """Remove all keys from `first` to before `stop`; None = the end."""

    def describe(self, tree: str, purpose: str, limits: TreeLimits) -> None:
        """Say what a tree is for, and what may be in it."""

    def annotate(self, kind: int, data: bytes) -> None:
        """Tell observers on every member something that is in no tree."""

    def savepoint(self) -> object:
        """A mark to come back to."""

    def rollback(self, mark: object) -> None:
        """Undo everything since `mark`."""


def scan_view(
    view: View, tree_id: int | None, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
) -> list[Row]:
    """Rows of a tree that may never have been written."""
    if tree_id is None:
        return []
    return view.scan(tree_id, first, stop, reverse=reverse, limit=limit)


def check_annotation(kind: int, data: bytes) -> None:
    """Refuse an annotation that no write set could carry.

    Raises:
        BadKey, BadValue: its kind, or its data, is not what it must be.

    """
    if not isinstance(kind, int) or not ANNOTATION_KIND_MIN <= kind <= ANNOTATION_KIND_MAX:
        raise BadKey(f"kinds of annotations are numbers from {ANNOTATION_KIND_MIN} to "
                     f"{ANNOTATION_KIND_MAX}; {kind!r} is none")  # fmt: skip
    if not isinstance(data, bytes):
        raise BadValue("the data of an annotation are bytes")


def check_description(purpose: str, limits: TreeLimits) -> None:
    """Refuse what is no line of text, and limits that no tree can have.

    Raises:
        BadValue: one of them is not what it must be.

    """
    most = declared.PURPOSE_CHARACTERS_MAX
    if not isinstance(purpose, str) or len(purpose) > most:
        raise BadValue(f"a purpose is text of {most} characters at most")
    for name, it, most in (
        ("key_bytes_max", limits.key_bytes_max, KEY_BYTES_HARD_MAX),
        ("value_bytes_max", limits.value_bytes_max, WRITE_SET_BYTES_HARD_MAX),
    ):
        if type(it) is not int or not 0 <= it <= most:
            raise BadValue(f"{name}={it!r}: bytes, up to {most}; 0 = as the database")


@dataclass(frozen=True, slots=True)
class _Writable:
    """A tree that an operation writes, and what its keys and values may have, in bytes."""

    id: int
    key_bytes_max: int
    value_bytes_max: int


class _Mark(NamedTuple):
    """What is put back by `rollback`."""

    place: Mark
    row_count: int
    annotation_count: int


class TxnRows:
    """Rows where an operation runs: what it writes goes into the write set that is replicated."""

    def __init__(self, txn: Txn, limits: Limits) -> None:
        """Begin; what was written before is another operation's."""
        self._txn = txn
        self._limits = limits
        txn.keep_order()  # whoever observes is told so, over all trees
        self._begun = txn.savepoint()
        self._begun_bytes = txn.encoded_bytes
        # Of a long operation: what it wrote in slices that are over.
        self._taken_bytes = 0
        self._row_count = self._read_count = 0
        # Rows that were written and taken back: they cost what those do that stay.
        self._undone_count = 0
        # What it has written at most since somebody looked how much that is, and what was left
        # then: to look after each row takes longer than to write it.
        self._unseen_bytes, self._room_bytes = 0, limits.write_set_bytes_max
        # What the operation says of itself, and how much that is.
        self._annotations: list[tuple[int, bytes]] = []
        self._annotation_bytes = 0
        self._found: dict[str, Found] = {}
        self._writable: dict[str, _Writable] = {}
        # What a tree was opened as, so that its first write can say so.
        self._opened: dict[str, Declared] = {}

    def _find(self, tree: str) -> Found:
        found = self._found.get(tree)
        if found is None:
            check_name(tree)
            found = self._found[tree] = declared.find(self._txn, tree)
        return found

    def open(self, tree: str, key: str, value: str) -> None:
        """See `Rows.open`."""
        found = self._find(tree)
        declared.check_codecs(tree, found.declared, key, value)
        said = self._opened.get(tree)
        if said is not None:
            declared.check_codecs(tree, said, key, value)
        else:
            self._opened[tree] = Declared(key=key, value=value)

    def get(self, tree: str, key: bytes) -> bytes | None:
        """See `Rows.get`."""
        self._read_count += 1
        tree_id = self._find(tree).id
        return None if tree_id is None else self._txn.get(tree_id, key)

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[Row]:
        """See `Rows.scan`."""
        tree_id = self._find(tree).id
        found = scan_view(self._txn, tree_id, first, stop, reverse=reverse, limit=limit)
        self._read_count += 1 + len(found)
        return found

    def _make_writable(self, tree: str) -> _Writable:
        """The tree, made and declared when it is not there."""
        found = self._find(tree)
        row = found.declared
        said = self._opened[tree]
        if found.id is None or row is None or not row.key:
            row = said if row is None else msgspec.structs.replace(
                row, key=said.key, value=said.value
            )  # fmt: skip
            self._txn.put(METADATA_ID, declared.row_name(tree), declared.encode(row))
            found = self._found[tree] = Found(self._txn.tree(tree).id, row)
        assert found.id is not None, "it was made"
        limits = self._limits
        made = self._writable[tree] = _Writable(
            found.id,
            row.key_bytes_max or limits.key_bytes_max,
            row.value_bytes_max or limits.value_bytes_max,
        )
        return made

    def _refuse(self, tree: str, key: bytes, value: bytes) -> None:
        """Say what is too large.

        Raises:
            KeyTooLarge, ValueTooLarge: it is.

        """
        row = self._find(tree).declared
        assert row is not None, "it is written"
        own = TreeLimits(row.key_bytes_max, row.value_bytes_max)
        check_key(key, tree, own, self._limits)
        check_value(value, tree, own, self._limits)

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        """See `Rows.put`."""
        into = self._writable.get(tree) or self._make_writable(tree)
        if len(key) > into.key_bytes_max or len(value) > into.value_bytes_max:
            self._refuse(tree, key, value)
        self._txn.put(into.id, key, value)
        self._note(len(key) + len(value))

    def delete(self, tree: str, key: bytes) -> None:
        """See `Rows.delete`."""
        tree_id = self._find(tree).id
        if tree_id is not None:
            self._txn.delete(tree_id, key)
            self._note(len(key))

    def forget(self, tree: str, first: bytes, stop: bytes | None) -> int:
        """See `Rows.forget`."""
        tree_id = self._find(tree).id
        return 0 if tree_id is None else self._txn.forget(tree_id, first, stop)

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        """See `Rows.delete_range`."""
        tree_id = self._find(tree).id
        if tree_id is not None and (stop is None or first < stop):
            self._txn.delete_range(tree_id, first, stop)
            self._note(len(first) + len(stop or b""))

    def describe(self, tree: str, purpose: str, limits: TreeLimits) -> None:
        """See `Rows.describe`."""
        check_description(purpose, limits)
        found = self._find(tree)
        row = msgspec.structs.replace(
            found.declared or Declared(key="", value=""),
            purpose=purpose,
            key_bytes_max=limits.key_bytes_max,
            value_bytes_max=limits.value_bytes_max,
        )
        name, content = declared.row_name(tree), declared.encode(row)
        self._txn.put(METADATA_ID, name, content)
        self._found[tree] = Found(found.id, row)
        self._writable.pop(tree, None)
        self._note(len(name) + len(content))

    def annotate(self, kind: int, data: bytes) -> None:
        """See `Rows.annotate`."""
        check_annotation(kind, data)
        self._annotations.append((kind, data))
        self._annotation_bytes += len(data)
        self._note(len(data))

    def finish(self) -> None:
        """The operation is over: what it said goes before what it wrote, and is of that alone.

        One entry carries what many operations wrote, and whoever observes must know which of them
        said what.
        """
        if self._annotations:
            self._txn.tell(self._begun, self._annotations)

    def note_cost(self) -> None:
        """The operation is over, whether anything of it is kept or not: say what it has cost."""
        written_count = self._row_count + self._undone_count
        self._txn.cost += written_count * _COST_OF_ROWS // 8 + self._read_count

    def finish_long(self) -> None:
        """A long operation is over: what it said is of all its parts."""
        self._txn.tell_of_all(self._annotations)

    @property
    def _written_bytes(self) -> int:
        return self._taken_bytes + self._txn.encoded_bytes - self._begun_bytes

    def end_slice(self) -> None:
        """What a long operation has written up to here is taken from its transaction."""
        self._taken_bytes = self._written_bytes

    def _note(self, size: int) -> None:
        """Something of so many bytes was written: look how much that is in all, once it matters."""
        self._row_count += 1
        self._unseen_bytes += size + WRITE_BYTES_MAX
        if (
            self._unseen_bytes > self._room_bytes
            or self._row_count > self._limits.write_set_rows_max
        ):
            written_bytes = self._written_bytes + self._annotation_bytes
            check_write_set(written_bytes, self._row_count, self._limits)
            self._unseen_bytes = 0
            self._room_bytes = self._limits.write_set_bytes_max - written_bytes

    def savepoint(self) -> object:
        """See `Rows.savepoint`."""
        return _Mark(self._txn.savepoint(), self._row_count, len(self._annotations))

    def rollback(self, mark: object) -> None:
        """See `Rows.rollback`."""
        assert isinstance(mark, _Mark), "it is of ours"
        self._txn.rollback(mark.place)
        self._undone_count += self._row_count - mark.row_count
        self._row_count = mark.row_count
        for _, data in self._annotations[mark.annotation_count :]:
            self._annotation_bytes -= len(data)
        del self._annotations[mark.annotation_count :]
        # A tree that was made since is not there any more.
        self._found.clear()
        self._writable.clear()
