"""Trees in a directory whose newest rows lie in a log of steps: one sync for each small step.

A commit of LMDB's is two syncs one after the other, of its pages and then of the page that says
which of them count, and writes some ten pages for one row.  (Without the second one, which
MDB_NOMETASYNC leaves out, the last commit may be undone by a power cut: nothing that could be
acknowledged.)  So a small step is appended to `step_log`, and its rows are kept in memory; after
some thousands of them, or with a step that is not small, all go to LMDB in one transaction, and the
log begins again.  That transaction says up to which step it has everything:

    meta   `steps`   8 bytes of the log's id, u64 number of the newest step that LMDB has
           `marked`  the same number, and u64: the log's mark when LMDB took that step

    open   what LMDB has, and above it the rows of all steps in the log with a newer number
    commit one frame in the log, or all rows in memory and the step to LMDB; either is durable

So the log's mark is that number, or the one before: another one is that of an older copy of the
log, which would lack steps that were acknowledged.  (One that is no older than that number is not
told from the log itself; partners find it out, as an old state of the directory.)

Rows are whole values, so it does not matter that a step may be in both.  The first step behind an
opening goes to LMDB: what was read from the log is durable then, also where its own sync was never
answered.

Full?  The log has a size; LAYER_ROWS_MAX rows are kept in memory.  LMDB takes what does not fit.
"""

import os
from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from roost.counters.environment import TREES, LmdbTrees, Writes, fault_of
from roost.counters.errors import CounterStoreCorrupt
from roost.counters.step_log import FILE_BYTES, NAME, StepLog
from roost.errors import UNDECODABLE

LAYER_ROWS_MAX: Final = 4096
# A larger step gains little: LMDB's transaction is then dear by what it writes, not by its syncs.
STEP_ROWS_MAX, STEP_BYTES_MAX = 1024, 64 << 10
# Of LMDB's.
KEY_BYTES_MAX: Final = 511
_ID_BYTES: Final = 8
_ROW: Final = b"steps"
_MARKED: Final = b"marked"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, list[tuple[bytes, bytes | None]]]]).decode


class _Tree:
    """The rows of one tree that LMDB does not have yet; None = it has one that is gone."""

    __slots__ = ("below", "count", "keys", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.keys: list[bytes] = []
        self.below: set[bytes] = set()  # of those keys, the ones that LMDB has
        self.count = 0  # how many more rows there are than in LMDB

    def put(self, key: bytes, value: bytes | None, *, is_below: bool) -> None:
        """Have a row; `is_below` says of a key that is new here whether LMDB has it."""
        if key in self.rows:
            was_there = self.rows[key] is not None
            is_below = key in self.below
        else:
            was_there = is_below
            self._add(key, is_below=is_below)
        self.count += (value is not None) - was_there
        if value is None and not is_below:
            # It came and went while LMDB heard of neither.
            del self.rows[key]
            self.keys.pop(bisect_left(self.keys, key))
        else:
            self.rows[key] = value

    def _add(self, key: bytes, *, is_below: bool) -> None:
        if is_below:
            self.below.add(key)
        if not self.keys or key > self.keys[-1]:
            self.keys.append(key)
        else:
            insort(self.keys, key)
        self.rows[key] = None


class LoggedTrees:
    """Trees in a directory; small commits are one sync."""

    def __init__(self, directory: Path, *, log_bytes: int = FILE_BYTES) -> None:
        """Open or make it.

        Raises:
            CounterStoreError: it cannot be opened, or is damaged.

        """
        self._inner = LmdbTrees(directory)
        try:
            self._log = self._open_log(directory, log_bytes)
        except BaseException:
            self._inner.close()
            raise

    def _open_log(self, directory: Path, log_bytes: int) -> StepLog:
        self._layer = {it: _Tree() for it in TREES}
        # Durable, and not seen by reads before `refresh`.
        self._unseen: list[Writes] = []
        self._is_layer_below = False
        self._goes_below = True
        row = self._inner.get("meta", _ROW)
        try:
            if row is None:  # new, or of a version without a log
                self._id, self._number = os.urandom(_ID_BYTES), 0
                return StepLog.make(directory, self._id, log_bytes)
            self._id, self._number = row[:_ID_BYTES], int.from_bytes(row[_ID_BYTES:], "big")
            log = StepLog.open(directory, self._id)
        except OSError as error:
            raise fault_of(error, NAME) from error
        try:
            self._check_mark(log.mark)
            for frame in log.frames(self._number):
                self._see(_read(frame.payload))
                self._number = frame.number
        except OSError as error:
            log.close()
            raise fault_of(error, NAME) from error
        except BaseException:
            log.close()
            raise
        return log

    def _check_mark(self, mark: int) -> None:
        """See that a log belongs to what LMDB has."""
        row = self._inner.get("meta", _MARKED)
        number = self._number.to_bytes(8, "big")
        # A version that knows no marks may have taken steps since.
        if row is None or not row.startswith(number):
            return
        if mark.to_bytes(8, "big") not in (number, row[8:]):
            age = "an older" if mark < self._number else "a newer"
            raise CounterStoreCorrupt(
                f"{NAME} is {age} copy than what lies beside it, so steps that were acknowledged"
                " may be missing: put back what belongs together, or remove the directory, and let"
                " this member count under another name"
            )

    def get(self, tree: str, key: bytes) -> bytes | None:
        """A value, as of the last `refresh`.

        Raises:
            CounterStoreError: it cannot be read.

        """
        rows = self._layer[tree].rows
        return rows[key] if key in rows else self._inner.get(tree, key)

    def scan(self, tree: str, first: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `first` on, before `stop`; not beyond the next `refresh`.

        Raises:
            CounterStoreError: they cannot be read.

        """
        layer = self._layer[tree]
        rows, keys = layer.rows, layer.keys
        at = bisect_left(keys, first)
        end = len(keys) if stop is None else bisect_left(keys, stop)
        for key, value in self._inner.scan(tree, first, stop):
            while at < end and keys[at] < key:
                if (newer := rows[keys[at]]) is not None:
                    yield keys[at], newer
                at += 1
            if at < end and keys[at] == key:
                if (newer := rows[key]) is not None:
                    yield key, newer
                at += 1
            else:
                yield key, value
        for key in keys[at:end]:
            if (newer := rows[key]) is not None:
                yield key, newer

    def count(self, tree: str) -> int:
        """How many rows a tree has."""
        return self._inner.count(tree) + self._layer[tree].count

    def commit(self, writes: Writes) -> None:
        """One frame of the log, or one transaction of LMDB's; synced.

        Raises:
            CounterStoreError: it is not sure what of it is durable; nothing may be written again.

        """
        payload = None if self._goes_below else self._small(writes)
        if payload is None:
            self._commit_below(writes)
            return
        try:
            self._log.append(self._number + 1, payload)
        except OSError as error:
            raise fault_of(error, NAME) from error
        self._number += 1
        self._unseen.append(writes)

    def is_quick(self, rows_count: int) -> bool:
        """Whether it will go to the log."""
        held = sum(len(it.rows) for it in self._layer.values())
        return (
            not self._goes_below
            and not self._unseen
            and rows_count <= STEP_ROWS_MAX
            and held + rows_count <= LAYER_ROWS_MAX
            and self._log.has_room(STEP_BYTES_MAX)
        )

    def _small(self, writes: Writes) -> bytes | None:
        """A step as it lies in the log; None = it is not for that."""
        count = sum(map(len, writes.values()))
        unseen = sum(len(rows) for it in self._unseen for rows in it.values())
        held = sum(len(it.rows) for it in self._layer.values())
        if count > STEP_ROWS_MAX or held + unseen + count > LAYER_ROWS_MAX:
            return None
        if not all(0 < len(key) <= KEY_BYTES_MAX for rows in writes.values() for key in rows):
            return None  # LMDB says no, now, and not when it is in the log
        payload = _encode(
            [(TREES.index(tree), list(rows.items())) for tree, rows in writes.items() if rows]
        )
        is_small = len(payload) <= STEP_BYTES_MAX and self._log.has_room(len(payload))
        return payload if is_small else None

    def _commit_below(self, writes: Writes) -> None:
        """Have LMDB take all that it does not have yet, and the step."""
        number = self._number + 1
        merged: dict[str, dict[bytes, bytes | None]] = {tree: {} for tree in TREES}
        if not self._is_layer_below:
            for tree, layer in self._layer.items():
                merged[tree].update(layer.rows)
        for step in (*self._unseen, writes):
            for tree, rows in step.items():
                merged[tree].update(rows)
        merged["meta"][_ROW] = self._id + number.to_bytes(8, "big")
        merged["meta"][_MARKED] = number.to_bytes(8, "big") + self._log.mark.to_bytes(8, "big")
        self._inner.commit(merged)
        self._number = number
        self._goes_below = False
        self._log.begin_again(number)
        self._unseen.clear()
        self._is_layer_below = True

    def refresh(self) -> None:
        """Let reads see what was committed last.

        Raises:
            CounterStoreError: it cannot be read.

        """
        if self._is_layer_below:
            self._inner.refresh()
            self._layer = {it: _Tree() for it in TREES}
            self._is_layer_below = False
        for step in self._unseen:
            self._see(step)
        self._unseen.clear()

    def _see(self, writes: Writes) -> None:
        for tree, rows in writes.items():
            layer = self._layer[tree]
            for key, value in rows.items():
                is_below = key not in layer.rows and self._inner.has(tree, key)
                layer.put(key, value, is_below=is_below)

    def bytes_used(self) -> int:
        """Bytes of pages that hold something, and of rows that LMDB does not have yet."""
        above = sum(
            len(key) + len(value)
            for layer in self._layer.values()
            for key, value in layer.rows.items()
            if value is not None
        )
        return self._inner.bytes_used() + above

    def close(self) -> None:
        """Close both; what the log has is read when it is opened again."""
        self._log.close()
        self._inner.close()


def _read(payload: bytes) -> Writes:
    try:
        return {TREES[number]: dict(rows) for number, rows in _decode(payload)}
    except (*UNDECODABLE, IndexError) as error:
        raise CounterStoreCorrupt(f"a step that cannot be read: {error}") from error
