"""etcd's multi-version keys on ordered trees.

    $etcd.kv         key                      -> mvccpb.KeyValue as answered; living keys only
    $etcd.revisions  u64 main, u64 sub        -> mvccpb.KeyValue; a tombstone has no version
    $etcd.history    escaped key, main, sub   -> b"" for a put, b"x" for a delete
    $etcd            b"revision"              -> u64, the current revision; u64, living keys
                     b"compacted"             -> u64, reads below it are refused
                     b"compacting"            -> where the removal of old revisions has come

A main revision is one transaction that wrote something; sub counts its writes.  An empty store
is at revision 1.  A current read is one look-up in `$etcd.kv`; a read at an older revision finds,
for each key in `$etcd.history`, the last entry at or below it.

An escaped key has 0x00 written as 0x00 0xff and ends with 0x00 0x01, so that the order of keys is
kept whatever follows.

What is compacted is refused at once, by `compacted`, and removed later (`compaction.py`).
"""

import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from roost.database.model import (
    CONSTANT,
    COUNTER,
    ESCAPED_KEY,
    KEY,
    MEASURED_KEY,
    Column,
    HeldView,
    Layer,
    Piece,
    Store,
    Txn,
    View,
    Walk,
)
from roost.etcd import errors
from roost.etcd.model.lines import Lines
from roost.etcd.model.page_counts import PageCounts
from roost.etcd.model.wire import encode_key_value, encode_tombstone, read_origin

KV_TREE: Final = "$etcd.kv"
REVISIONS_TREE: Final = "$etcd.revisions"
HISTORY_TREE: Final = "$etcd.history"
META_TREE: Final = "$etcd"
ALARMS_TREE: Final = "$etcd.alarms"
LEASES_TREE: Final = "$etcd.leases"
LEASE_KEYS_TREE: Final = "$etcd.lease_keys"
REVISION_KEY: Final = b"revision"
COMPACTED_KEY: Final = b"compacted"
COMPACTING_KEY: Final = b"compacting"
FIRST_REVISION: Final = 1
# Half of what an int64 holds: a restored cluster still has room to write.
REVISION_MAX: Final = 1 << 62
TOMBSTONE: Final = b"x"
_NOW: Final = struct.Struct(">QQ")
_NOTHING: Final = bytes(_NOW.size)
REVISION_BYTES: Final = 16
# From so many keys on it is cheaper to say once what is written of them.
_MANY = 8


def encode_now(revision: int, key_count: int) -> bytes:
    """The current revision, and how many keys live, as they stand under REVISION_KEY."""
    return _NOW.pack(revision, key_count)


def decode_now(row: bytes) -> tuple[int, int]:
    """Revision and count of keys."""
    revision, key_count = _NOW.unpack(row)
    return revision, key_count


def escape(key: bytes) -> bytes:
    """A form of `key` that keeps its order whatever is appended."""
    return key.replace(b"\0", b"\0\xff") + b"\0\x01" if b"\0" in key else key + b"\0\x01"


def revision_bytes(main: int, sub: int) -> bytes:
    """A revision as it stands in keys."""
    assert main > 0, "the first revision is 1"
    return (main << 64 | sub).to_bytes(16, "big")


def main_of(revision: bytes) -> int:
    """The main part of a revision's 16 bytes."""
    assert len(revision) == REVISION_BYTES, "a revision is as long as we wrote it"
    return int.from_bytes(revision[:8], "big")


def range_stop(key: bytes, range_end: bytes) -> bytes | None:
    """Etcd's range_end as an exclusive stop; None = to the end.  Empty = just `key`."""
    if not range_end:
        return key + b"\0"
    return None if range_end == b"\0" else range_end


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    for name in (KV_TREE, REVISIONS_TREE, HISTORY_TREE, ALARMS_TREE, LEASES_TREE, LEASE_KEYS_TREE):
        txn.tree(name)
    meta = txn.tree(META_TREE)
    txn.put_latest(meta.id, REVISION_KEY, _NOW.pack(FIRST_REVISION, 0))


def raise_revision(txn: Txn, by: int) -> None:
    """Let a restored store go on `by` revisions later, and forget all before (etcdutl restore).

    Whoever watched or cached what was written behind the backup meets a revision that is
    compacted, and looks at everything anew; no revision is ever given twice.

    Raises:
        Refused: there are not so many revisions.

    """
    meta = txn.tree(META_TREE).id
    revision, key_count = _NOW.unpack(txn.get(meta, REVISION_KEY) or _NOTHING)
    raised: int = revision + by
    if raised > REVISION_MAX:
        raise errors.too_many_revisions(raised)
    txn.put_latest(meta, REVISION_KEY, _NOW.pack(raised, key_count))
    txn.put(meta, COMPACTED_KEY, raised.to_bytes(8, "big"))
    txn.put(meta, COMPACTING_KEY, b"")


@dataclass(slots=True)
class KeyCounts:
    """What was done to keys by operations that ran here, and read here, since the start.

    What was `compacted` is counted when it is applied here: a slice may run, and come to nothing.
    """

    puts: int = 0
    deletes: int = 0
    ranges: int = 0
    transactions: int = 0
    compacted: int = 0


class Mvcc:
    """The trees, and reads at a revision."""

    def __init__(self, store: Store) -> None:
        """Look the trees up; they were made by `bootstrap`."""
        self._applied = store.view
        self.counts = KeyCounts()
        self.page_counts = PageCounts()
        self.lines = Lines()
        self.kv = store.tree(KV_TREE).id
        self.revisions = store.tree(REVISIONS_TREE).id
        self.history = store.tree(HISTORY_TREE).id
        self.meta = store.tree(META_TREE).id
        self.leases = store.tree(LEASES_TREE).id
        self.lease_keys = store.tree(LEASE_KEYS_TREE).id
        self.key_counts = store.count_keys(self.kv, self._newness, self._growth)

    def _newness(self, before: View) -> Callable[[bytes], bool]:
        """Whether a KeyValue that is written was created by what writes it."""
        revision = self.revision(before)
        return lambda encoded: read_origin(encoded).create_revision > revision

    def _growth(self, before: View, written: Layer) -> int:
        """How many keys more live when something is applied than before."""
        tree = written.trees.get(self.meta)
        row = None if tree is None else tree.get(REVISION_KEY)
        if not isinstance(row, bytes):
            return 0
        return int.from_bytes(row[8:], "big") - self.key_count(before)

    def is_newest(self, view: View) -> bool:
        """Whether a view shows what is applied now."""
        return view is self._applied or (isinstance(view, HeldView) and view.is_newest)

    def known_count(self, first: bytes, stop: bytes | None) -> int | None:
        """How many keys of what is applied now are in a range; None when only a walk can say."""
        return self.key_counts.known(first, stop)

    def revision(self, view: View) -> int:
        """The current revision."""
        return int.from_bytes((view.get(self.meta, REVISION_KEY) or b"")[:8], "big")

    def key_count(self, view: View) -> int:
        """How many keys live."""
        return int.from_bytes((view.get(self.meta, REVISION_KEY) or b"")[8:], "big")

    def compacted(self, view: View) -> int:
        """Reads below this revision are refused; -1 when nothing was compacted."""
        held = view.get(self.meta, COMPACTED_KEY)
        return -1 if held is None else int.from_bytes(held, "big")

    def check_revision(self, view: View, wanted: int, current: int) -> None:
        """Refuse revisions that are gone or not there yet.

        Raises:
            Refused: OUT_OF_RANGE with etcd's text.

        """
        if wanted > current:
            raise errors.future_revision()
        if wanted > 0 and wanted < self.compacted(view):
            raise errors.compacted()

    def at(self, view: View, key: bytes, revision: int) -> Generator[int, None, bytes | None]:
        """The KeyValue of one key at an older revision.

        All that was just compacted of a key that is gone may have to be passed: that takes steps,
        each of which yields what it has cost.
        """
        prefix = escape(key)
        stop = prefix + revision_bytes(revision + 1, 0)
        walk = Walk(view, self.history, prefix, stop, reverse=True)
        found = walk.take(1)
        while not found and not walk.is_done:
            yield walk.cost
            found = walk.take(1)
        if not found or found[0][1] == TOMBSTONE:
            return None
        return view.get(self.revisions, found[0][0][-REVISION_BYTES:])

    def before(self, view: View, key: bytes, main: int) -> bytes | None:
        """The KeyValue that a revision has changed, which was not the first of its key.

        Whatever of it is compacted lies before that.
        """
        stop = escape(key) + revision_bytes(main, 0)
        found = view.scan(self.history, escape(key), stop, reverse=True, limit=1)
        if not found or found[0][1] == TOMBSTONE:
            return None
        return view.get(self.revisions, found[0][0][-REVISION_BYTES:])


class Writer:
    """Writes of one operation: all of them share one main revision."""

    __slots__ = ("_key_count", "_mvcc", "_sub", "begin_revision", "txn")

    def __init__(self, mvcc: Mvcc, txn: Txn) -> None:
        """Nothing is written yet; the revision moves with the first write."""
        self._mvcc = mvcc
        self.txn = txn
        txn.gather()
        row = txn.get(mvcc.meta, REVISION_KEY) or _NOTHING
        self.begin_revision: int
        self._key_count: int
        self.begin_revision, self._key_count = _NOW.unpack(row)
        self._sub = 0

    @property
    def revision(self) -> int:
        """The revision as this operation's reads and answers see it."""
        return self.begin_revision + 1 if self._sub else self.begin_revision

    def put(self, key: bytes, value: bytes, lease: int, old: bytes | None) -> None:
        """Set a key; `old` is its current KeyValue."""
        mvcc, txn = self._mvcc, self.txn
        mvcc.counts.puts += 1
        main = self.begin_revision + 1
        create_revision, version = main, 1
        if old is not None:
            held = read_origin(old)
            create_revision, version = held.create_revision, held.version + 1
            if held.lease and held.lease != lease:
                txn.delete(mvcc.lease_keys, _lease_key(held.lease, key))
        if lease:
            txn.put(mvcc.lease_keys, _lease_key(lease, key), b"")
        encoded = encode_key_value(key, create_revision, main, version, value, lease)
        where = revision_bytes(main, self._sub)
        txn.put(mvcc.kv, key, encoded)
        txn.put_same(mvcc.revisions, where, encoded)
        txn.put(mvcc.history, escape(key) + where, b"")
        if old is None:
            mvcc.lines.note_created(key, main)
        self._count(main, 1 if old is None else 0)

    def delete(self, key: bytes, old: bytes) -> None:
        """Delete a living key; `old` is its KeyValue."""
        mvcc, txn = self._mvcc, self.txn
        lease = read_origin(old).lease
        if lease:
            txn.delete(mvcc.lease_keys, _lease_key(lease, key))
        main = self.begin_revision + 1
        where = revision_bytes(main, self._sub)
        txn.delete(mvcc.kv, key)
        txn.put(mvcc.revisions, where, encode_tombstone(key, main))
        txn.put(mvcc.history, escape(key) + where, TOMBSTONE)
        self._count(main, -1)

    def delete_leased(self, keys: list[bytes], lease: int) -> None:
        """Delete living keys, each once, that have all of them this lease.

        So nobody has to read their values, which may be large.
        """
        for key in keys:
            self.txn.delete(self._mvcc.lease_keys, _lease_key(lease, key))
        self.delete_many(keys)

    def delete_all(self, found: list[tuple[bytes, bytes]]) -> None:
        """Delete living keys, each once, of which these are the KeyValues."""
        if len(found) < _MANY:
            for key, encoded in found:
                self.delete(key, encoded)
            return
        self.leave_leases(found)
        self.delete_many([key for key, _ in found])

    def leave_leases(self, found: list[tuple[bytes, bytes]]) -> None:
        """Keys of which these are the KeyValues are deleted: their leases have them no more."""
        lease_keys, delete = self._mvcc.lease_keys, self.txn.delete
        for key, encoded in found:
            lease = read_origin(encoded).lease
            if lease:
                delete(lease_keys, _lease_key(lease, key))

    def delete_many(self, keys: list[bytes], *, as_range: bool = False) -> None:
        """Delete living keys, each once; what names their leases is the caller's.

        What is written is what `delete` writes of each, carried as the keys alone.  With `as_range`
        the caller takes them out of `kv` as well, all in one go, when it has seen the last of them.
        """
        mvcc, main = self._mvcc, self.begin_revision + 1
        counter = Piece(COUNTER, first=self._sub)
        revision = (Piece(CONSTANT, constant=main.to_bytes(8, "big")), counter)
        tombstone = (
            Piece(CONSTANT, constant=b"\x0a"),
            Piece(MEASURED_KEY),
            Piece(CONSTANT, constant=encode_tombstone(b"", main)[2:]),
        )
        columns = (
            *(() if as_range else (Column(mvcc.kv, (Piece(KEY),)),)),
            Column(mvcc.revisions, revision, tombstone),
            Column(
                mvcc.history,
                (Piece(ESCAPED_KEY), *revision),
                (Piece(CONSTANT, constant=TOMBSTONE),),
            ),
        )
        self.txn.write_rows(columns, keys)
        self._count(main, -len(keys), writes=len(keys))

    def _count(self, main: int, born: int, writes: int = 1) -> None:
        """More writes, by which so many keys more live."""
        if born or not self._sub:
            self._key_count += born
            row = _NOW.pack(main, self._key_count)
            self.txn.put_latest(self._mvcc.meta, REVISION_KEY, row)
        self._sub += writes


def _lease_key(lease: int, key: bytes) -> bytes:
    return (lease & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big") + key
