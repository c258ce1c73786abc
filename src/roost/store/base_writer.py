"""Writes the base: layers, each in one durable transaction with the log position it stands for.

Only the keeper does.  The digest of all records goes on with each record that is written or goes
away, so what a record held before is read first.

LMDB splits a full page in the middle, unless what comes lies behind all that it has.  So rows that
come in order, in a tree with another one behind it, would leave half of each page empty.  Some of
them are put first, evenly chosen, and the rest fill up the pages that these have left behind them
(decision record 0038).

And when it is full?  The map is doubled.  A disk that is full is told from one that fails, since
the first may be asked again and the second may not.
"""

import os
from collections.abc import Callable, Iterator
from errno import EIO, ENOSPC
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import lmdb
from crc32c import crc32c

from roost.store import digest
from roost.store.base import (
    APPLIED_NAME,
    DIGEST_NAME,
    bounds,
    environment,
    fault_of,
    faults_told,
    open_sealed,
    seal,
)
from roost.store.base_reader import BaseReader
from roost.store.errors import DiskFull
from roost.store.key_order import KeyValues
from roost.store.layer import Layer, TreeLayer
from roost.store.long_keys import LONG_KEY_BYTES, below, names_of, space_of

_FULL_BYTES: Final = 1 << 20
# So many rows are put in one call; and when as many are written, that is said.
_ROWS_A_CALL: Final = 1000
# So many long keys of a range are found before they are deleted: each may have a megabyte.
_LONG_KEYS_A_CALL: Final = 50
# With so much free, or such a part of a small disk, none is full.
_PLENTY_BYTES, _PLENTY_PART = 64 << 20, 16


# Of a row beside its key and value: tree, checksum, head and place on its page.
_ROW_BYTES, _PAGE_BYTES = 2 + 4 + 8 + 2, 4096 - 16
# Of a hundred rows so many are put first, as long as nothing is known of the pages they leave.
_FIRST_PART: Final = 75
# So much more than they fill is put first: what overflows splits its page again.
_MARGIN: Final = 6
# Of fewer rows it does not matter.
_DIVIDED_MIN: Final = 64


class BaseWriter:
    """Writes layers into the base; only the keeper has one."""

    def __init__(self, directory: Path, *, is_synced: bool = True) -> None:
        """Open for writing, making the environment when it is not there."""
        self._env = environment(directory, is_writer=True, is_synced=is_synced)
        # Called before the map is moved: nobody in this process may read then.
        self.on_growing: Callable[[], None] = lambda: None
        # Called now and then while a layer is written, as far as it was not before.
        self.on_progress: Callable[[], None] = lambda: None
        self._furthest_count = 0

    def applied(self) -> tuple[int, int]:
        """Index and term of the log entry up to which the base holds everything.

        Raises:
            StoreCorrupt: that cannot be read.

        """
        with faults_told(), self._env.begin() as txn:
            sealed = txn.get(APPLIED_NAME)
        held = bytes(16) if sealed is None else open_sealed(APPLIED_NAME, sealed)
        return int.from_bytes(held[:8], "big"), int.from_bytes(held[8:], "big")

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a short key.

        Raises:
            StoreCorrupt: it cannot be read.

        """
        assert len(key) < LONG_KEY_BYTES, "who asks has short keys"
        name = tree_id.to_bytes(2, "big") + key
        with faults_told(), self._env.begin() as txn:
            sealed = txn.get(name)
        return None if sealed is None else open_sealed(name, bytes(sealed))

    def copy_to(self, descriptor: int) -> None:
        """Write a consistent, compacted copy to a file.

        Raises:
            StoreCorrupt, StoreBroken, DiskFull: LMDB cannot.

        """
        with faults_told():
            self._env.copyfd(descriptor, compact=True)

    def reader(self) -> BaseReader:
        """A reader in the same process: LMDB wants one environment a process."""
        return BaseReader(self._env, is_shared=True)

    def commit(self, layer: Layer, index: int, term: int) -> bytes:
        """Write a layer, and what was applied last, in one durable transaction; return the digest.

        A full map is doubled and the same layer written again (J38).

        Raises:
            StoreBroken: LMDB failed; what it holds is the state before.
            DiskFull: there is no room; the same may be asked for again.
            StoreCorrupt: what it held has changed.

        """
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    kept = txn.get(DIGEST_NAME)
                    before = digest.decode(open_sealed(DIGEST_NAME, bytes(kept))) if kept else 0
                    writing = _Writing(txn, self._env.open_db(), before, self._note_rows)
                    for tree_id, tree in layer.trees.items():
                        writing.write_tree(tree_id, tree)
                    applied = index.to_bytes(8, "big") + term.to_bytes(8, "big")
                    txn.put(APPLIED_NAME, seal(APPLIED_NAME, applied))
                    total = digest.encode(writing.total)
                    txn.put(DIGEST_NAME, seal(DIGEST_NAME, total))
            except lmdb.MapFullError:
                self.on_growing()
                self._env.set_mapsize(self._env.info()["map_size"] * 2)
            except lmdb.Error as error:
                if _is_full(self._env, error):
                    raise DiskFull(f"LMDB: {error}") from error
                raise fault_of(error, has_room=True) from error
            else:
                self._furthest_count = 0
                return total

    def _note_rows(self, count: int) -> None:
        """So many rows are written; what is begun anew has not got on before it is further."""
        if count > self._furthest_count:
            self._furthest_count = count
            self.on_progress()

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _is_full(env: lmdb.Environment, error: lmdb.Error) -> bool:
    """Whether a commit failed for want of space: LMDB calls a short write an I/O error.

    A device that has less room than its file system believes says the same of what it was to
    write back, once and from a sync: there is room then, and it is the device that failed (P3).
    """
    space = os.statvfs(env.path())
    free_bytes = space.f_bavail * space.f_frsize
    if os.strerror(ENOSPC) in str(error):
        return free_bytes < min(_PLENTY_BYTES, space.f_blocks * space.f_frsize // _PLENTY_PART)
    return os.strerror(EIO) in str(error) and free_bytes < _FULL_BYTES


class _Writing:
    """One transaction that writes, and the digest as it goes on."""

    def __init__(
        self,
        txn: lmdb.Transaction,
        records: lmdb._Database,
        total: int,
        on_rows: Callable[[int], None],
    ) -> None:
        """Go on from `total`, the digest of what is there."""
        self._records = records
        self._on_rows = on_rows
        self._row_count = 0
        self._txn = txn
        self._cursor = txn.cursor()
        self.total = total

    def write_tree(self, tree_id: int, tree: TreeLayer) -> None:
        """Deletions first; then everything else in the order of its keys."""
        for first, stop in tree.ranges:
            self._delete_range(tree_id, first, stop)
        prefix = tree_id.to_bytes(2, "big")
        values = tree.values
        plain: list[bytes] = []
        for key in tree.keys():  # noqa: SIM118 - in order, which iterating a dict is not
            value = values[key]
            if len(key) >= LONG_KEY_BYTES:
                self._write_long(tree_id, key, value)
                self._count_row()
            elif value is None:
                self._delete(prefix + key)
                self._count_row()
            else:
                plain.append(key)
        self._put_plain(prefix, plain, values)

    def _put_plain(self, prefix: bytes, keys: list[bytes], values: KeyValues) -> None:
        """Put rows of short keys, in the order in which pages become full."""
        # What lies behind the last was not there before: revisions and the like only ever grow.
        last = self._last_name(prefix)
        filling = _Filling(len(keys))
        for begin in range(0, len(keys), _ROWS_A_CALL):
            rows = filling.first_of(keys[begin : begin + _ROWS_A_CALL])
            before = self._page_count()
            self._put_rows(prefix, rows, values, last)
            byte_count = sum(len(it) + len(values[it] or b"") for it in rows)
            filling.note(byte_count, len(rows), self._page_count() - before)
        for begin in range(0, len(filling.rest), _ROWS_A_CALL):
            self._put_rows(prefix, filling.rest[begin : begin + _ROWS_A_CALL], values, last)

    def _page_count(self) -> int:
        return int(self._txn.stat(self._records)["leaf_pages"])

    def _put_rows(self, prefix: bytes, keys: list[bytes], values: KeyValues, last: bytes) -> None:
        self._cursor.putmulti(self._sealed(prefix, keys, values, last))
        self._count_row(len(keys))

    def _count_row(self, count: int = 1) -> None:
        before, self._row_count = self._row_count, self._row_count + count
        if before // _ROWS_A_CALL != self._row_count // _ROWS_A_CALL:
            self._on_rows(self._row_count)

    def _sealed(
        self, prefix: bytes, keys: list[bytes], values: KeyValues, last: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        held, record_hash, total = self._txn.get, digest.record_hash, self.total
        for key in keys:
            name, value = prefix + key, values[key]
            assert value is not None, "deletions are not put"
            sealed = crc32c(name + value).to_bytes(4, "little") + value
            if name <= last and (old := held(name)) is not None:
                total -= record_hash(name, bytes(old))
            total += record_hash(name, sealed)
            yield name, sealed
        self.total = total

    def _last_name(self, prefix: bytes) -> bytes:
        """The last record of a tree; its prefix where it has none."""
        beyond = (int.from_bytes(prefix, "big") + 1).to_bytes(3, "big")[1:]
        with self._txn.cursor() as cursor:
            # The last tree of all has nothing beyond it.
            is_there = (
                cursor.prev() if beyond > prefix and cursor.set_range(beyond) else cursor.last()
            )
            name = bytes(cursor.key()) if is_there else b""
        return max(name, prefix)

    def _put(self, name: bytes, sealed: bytes) -> None:
        self._subtract(name)
        self.total += digest.record_hash(name, sealed)
        self._txn.put(name, sealed)

    def _delete(self, name: bytes) -> bool:
        """Remove a record; say whether it was there."""
        old = self._cursor.pop(name)
        if old is None:
            return False
        self.total -= digest.record_hash(name, bytes(old))
        return True

    def _subtract(self, name: bytes) -> None:
        old = self._txn.get(name)
        if old is not None:
            self.total -= digest.record_hash(name, bytes(old))

    def _write_long(self, tree_id: int, key: bytes, value: bytes | None) -> None:
        """Write a key of several records; a stem is there as long as something is below it."""
        *stems, name = names = names_of(tree_id, key)
        if value is None:
            if self._delete(name):
                self._drop_stems(names)
            return
        self._put(name, seal(name, value))
        for stem in reversed(stems):
            if self._txn.get(stem) is not None:
                break
            self._put(stem, seal(stem, b""))

    def _drop_stems(self, names: list[bytes]) -> None:
        """Remove those, the last one first, below which nothing is any more."""
        for stem, lower in reversed(list(pairwise(names))):
            space = space_of(lower)
            if self._cursor.set_range(space) and bytes(self._cursor.key()).startswith(space):
                break
            self._delete(stem)

    def _delete_range(self, tree_id: int, first: bytes, stop: bytes | None) -> None:
        begin, end = bounds(tree_id, first, stop)
        with self._txn.cursor() as cursor:
            is_on = cursor.set_range(begin)
            while is_on:
                name = bytes(cursor.key())
                if name >= end:
                    return
                if len(name) < LONG_KEY_BYTES + 2:
                    self._count_row()
                    self.total -= digest.record_hash(name, bytes(cursor.value()))
                    is_on = cursor.delete() and bool(cursor.key())
                    continue
                self._delete_below(tree_id, name, first, stop)
                is_on = cursor.set_range(name)
                if is_on and bytes(cursor.key()) == name:
                    is_on = cursor.next()

    def _delete_below(self, tree_id: int, stem: bytes, first: bytes, stop: bytes | None) -> None:
        """Delete what lies below a stem, as far as it lies in a range."""
        count = _LONG_KEYS_A_CALL
        while count == _LONG_KEYS_A_CALL:
            with self._txn.cursor() as cursor:
                found = below(cursor, stem, first, stop, reverse=False)
                keys = [key for key, _ in islice(found, _LONG_KEYS_A_CALL)]
            for key in keys:
                self._write_long(tree_id, key, None)
                self._count_row()
            count = len(keys)


class _Filling:
    """Which rows of a tree are put first, by how full the pages are that the ones before left."""

    def __init__(self, count: int) -> None:
        """So many rows are to be put."""
        self._part = _FIRST_PART if count >= _DIVIDED_MIN else 100
        self._bytes = self._page_count = 0
        # Those that are put when all others are.
        self.rest: list[bytes] = []

    def first_of(self, keys: list[bytes]) -> list[bytes]:
        """Some of the next ones, evenly chosen; the others are kept."""
        part = self._part
        if part >= 100:
            return keys
        turns: tuple[list[bytes], list[bytes]] = ([], self.rest)
        for place, key in enumerate(keys):
            turns[place * part % 100 >= part].append(key)
        return turns[0]

    def note(self, byte_count: int, row_count: int, page_count: int) -> None:
        """Rows of so many bytes were put, and made so many pages more."""
        self._bytes += byte_count + row_count * _ROW_BYTES
        self._page_count += page_count
        # What goes to pages that are there and have room for it divides none.
        filled = self._bytes * 100 // (self._page_count * _PAGE_BYTES) if self._page_count else 100
        self._part = min(filled + _MARGIN, 100)
