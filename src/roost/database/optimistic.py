"""Transactions that run where they are written: read here, committed by one operation.

What a transaction reads is noted as a digest, what it writes is kept; `commit` looks, on the member
that leads, whether everything read is still so, writes, or refuses with `Conflict`.  It costs one
operation, and a read on the leader for each read here; a range that was scanned is scanned again
(`committing`).

Reads come from this member's trees and, on the leader, from what is proposed besides: whatever they
saw that is not committed in the end, `commit` finds changed.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from roost.database import declared
from roost.database.declared import Declared, Found
from roost.database.errors import WriteSetTooLarge
from roost.database.limits import Limits, TreeLimits, check_key, check_value, check_write_set
from roost.database.rows import Row, check_annotation, check_description, scan_view
from roost.store import CATALOG_ID, LAST_TREE_ID, METADATA_ID, Mark, Store, check_name

DIGEST_BYTES = 16
# How many rows one transaction may read.
READS_MAX = 10_000
# What a commit of one step has at most: rows that were read, changes, and bytes of all.
FEW_READS, FEW_DONE, FEW_BYTES = 300, 250, 128 << 10
ROW_HEAD_BYTES = 16


class KeyRead(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="k"):
    """A key that was read; `digest` None: it was not there."""

    tree: str
    key: bytes
    digest: bytes | None


class RangeRead(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="r"):
    """A range that was read, up to `limit` rows, and the digest of all of them."""

    tree: str
    first: bytes
    stop: bytes | None
    reverse: bool
    limit: int
    digest: bytes


class Opening(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="o"):
    """A tree was opened as this."""

    tree: str
    keys: str
    values: str


class Putting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="p"):
    """A key got a value."""

    tree: str
    key: bytes
    value: bytes


class Deleting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="d"):
    """A key went."""

    tree: str
    key: bytes


class RangeDeleting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="x"):
    """A range of keys went."""

    tree: str
    first: bytes
    stop: bytes | None


class Describing(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="s"):
    """A tree was described."""

    tree: str
    purpose: str
    key_bytes_max: int
    value_bytes_max: int


class Annotating(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="a"):
    """Observers are told something."""

    kind: int
    data: bytes


Read = KeyRead | RangeRead
Done = Opening | Putting | Deleting | RangeDeleting | Describing | Annotating


def digest_of(rows: Sequence[Row]) -> bytes:
    """What tells these rows from any others: of each its head, its key and its value."""
    found = blake2b(digest_size=DIGEST_BYTES)
    for key, value in rows:
        found.update(head_of(key, value))
        found.update(key)
        found.update(value)
    return found.digest()


def head_of(key: bytes, value: bytes) -> bytes:
    """What stands before a row that is digested."""
    return len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big")


def digest_of_value(value: bytes | None) -> bytes | None:
    """What tells a value from any other; None: there is none."""
    return None if value is None else blake2b(value, digest_size=DIGEST_BYTES).digest()


class _Mark(NamedTuple):
    """What is put back by `rollback`."""

    place: Mark
    done_count: int
    written_bytes: int


class GuardedRows:
    """Rows of a transaction that is not on the leader: see the module."""

    def __init__(self, store: Store, limits: Limits) -> None:
        """Begin with what this member knows now."""
        self._below = store.begin()  # read only, so that our own writes are not taken for reads
        self._own = store.begin()
        self._limits = limits
        self.reads: list[Read] = []
        self.done: list[Done] = []
        self._written_bytes = self._read_count = self._read_bytes = 0
        self._opened: dict[str, Declared] = {}
        # Trees that are made here have numbers of their own, from the last one down: what they
        # are called in the end is said where all of it is committed.
        self._next_made_id = LAST_TREE_ID

    def _find(self, tree: str) -> Found:
        check_name(tree)
        return declared.find(self._own, tree)

    @property
    def is_short(self) -> bool:
        """Whether it can be committed in one step."""
        return (
            self._read_count <= FEW_READS
            and len(self.done) <= FEW_DONE
            and self._read_bytes + self._written_bytes <= FEW_BYTES
        )

    def _note(self, read: Read, row_count: int = 1, size: int = 0) -> None:
        self._read_count += max(1, row_count)
        self._read_bytes += size
        if self._read_count > READS_MAX:
            raise WriteSetTooLarge(f"one optimistic transaction reads {READS_MAX} rows at most: "
                                   "make it an operation")  # fmt: skip
        self.reads.append(read)

    def _do(self, done: Done, count: int) -> None:
        self.done.append(done)
        self._written_bytes += count + ROW_HEAD_BYTES
        check_write_set(self._written_bytes, len(self.done), self._limits)

    def open(self, tree: str, key: str, value: str) -> None:
        """See `Rows.open`."""
        declared.check_codecs(tree, self._find(tree).declared, key, value)
        said = self._opened.get(tree)
        if said is None:
            self._opened[tree] = Declared(key=key, value=value)
            self._do(Opening(tree=tree, keys=key, values=value), 0)
        else:
            declared.check_codecs(tree, said, key, value)

    def get(self, tree: str, key: bytes) -> bytes | None:
        """See `Rows.get`; noted, unless it is our own."""
        tree_id = self._find(tree).id
        below = None if tree_id is None else self._below.get(tree_id, key)
        held = None if tree_id is None else self._own.get(tree_id, key)
        if held == below:
            read = KeyRead(tree=tree, key=key, digest=digest_of_value(below))
            self._note(read, size=len(key) + len(below or b""))
        return held

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[Row]:
        """See `Rows.scan`; what is below our own writes is noted, as far as it was needed."""
        tree_id = self._find(tree).id
        found = scan_view(self._own, tree_id, first, stop, reverse=reverse, limit=limit)
        # What we deleted ourselves lies between: as far as we have seen, all of it was needed.
        if len(found) == limit and limit:
            last = found[-1][0]
            first, stop = (last, stop) if reverse else (first, last + b"\0")
        below = scan_view(self._below, tree_id, first, stop, reverse=reverse, limit=READS_MAX + 1)
        self._note(
            RangeRead(
                tree=tree,
                first=first,
                stop=stop,
                reverse=reverse,
                limit=len(below) + 1,
                digest=digest_of(below),
            ),
            len(below),
            sum(len(it) + len(value) for it, value in below),
        )
        return found

    def _tree_id(self, tree: str) -> int:
        found = self._find(tree)
        if found.id is not None:
            return found.id
        row = found.declared or self._opened[tree]
        # The next number may become another tree's meanwhile, whose rows ours must not hide.
        tree_id, self._next_made_id = self._next_made_id, self._next_made_id - 1
        self._own.put(CATALOG_ID, tree.encode("ascii"), tree_id.to_bytes(2, "big"))
        self._own.put(METADATA_ID, declared.row_name(tree), declared.encode(row))
        return tree_id

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        """See `Rows.put`."""
        row = self._find(tree).declared or self._opened[tree]
        own = TreeLimits(row.key_bytes_max, row.value_bytes_max)
        check_key(key, tree, own, self._limits)
        check_value(value, tree, own, self._limits)
        self._do(Putting(tree=tree, key=key, value=value), len(key) + len(value))
        self._own.put(self._tree_id(tree), key, value)

    def delete(self, tree: str, key: bytes) -> None:
        """See `Rows.delete`."""
        self._do(Deleting(tree=tree, key=key), len(key))
        tree_id = self._find(tree).id
        if tree_id is not None:
            self._own.delete(tree_id, key)

    def forget(self, tree: str, first: bytes, stop: bytes | None) -> int:
        """See `Rows.forget`."""
        tree_id = self._find(tree).id
        return 0 if tree_id is None else self._own.forget(tree_id, first, stop)

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        """See `Rows.delete_range`."""
        self._do(RangeDeleting(tree=tree, first=first, stop=stop), len(first) + len(stop or b""))
        tree_id = self._find(tree).id
        if tree_id is not None and (stop is None or first < stop):
            self._own.delete_range(tree_id, first, stop)

    def describe(self, tree: str, purpose: str, limits: TreeLimits) -> None:
        """See `Rows.describe`."""
        check_description(purpose, limits)
        self._find(tree)
        said = Describing(
            tree=tree,
            purpose=purpose,
            key_bytes_max=limits.key_bytes_max,
            value_bytes_max=limits.value_bytes_max,
        )
        self._do(said, len(purpose))

    def annotate(self, kind: int, data: bytes) -> None:
        """See `Rows.annotate`."""
        check_annotation(kind, data)
        self._do(Annotating(kind=kind, data=data), len(data))

    def savepoint(self) -> object:
        """See `Rows.savepoint`."""
        return _Mark(self._own.savepoint(), len(self.done), self._written_bytes)

    def rollback(self, mark: object) -> None:
        """See `Rows.rollback`; what was read stays noted."""
        assert isinstance(mark, _Mark), "it is of ours"
        self._own.rollback(mark.place)
        self._written_bytes = mark.written_bytes
        # A tree stays open: somebody may have it.
        since = self.done[mark.done_count :]
        self.done[mark.done_count :] = [it for it in since if isinstance(it, Opening)]
