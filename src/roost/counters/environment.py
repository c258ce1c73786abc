"""Where the counters of a member lie: trees of an LMDB environment that is not replicated.

    <data-dir>/counters.1/     0700; data.mdb and lock.mdb, 0600, and `step_log`'s file; format 2

    parts        what all owners have counted            `rows`
    tombstones   what deletes have seen                  `rows`
    changed      this store's own registers by version   `rows`
    heard        u32 owner -> u64 version, u64 times 3: what was heard, and the digest of it
    owners       u32 owner -> its epoch and what became of it: see `owners`
    requests     idempotency key -> what was answered: see `requests`
    requested    u64 place in their order -> idempotency key
    passed       registers of others by version, while a link relays: see `passing`
    meta         `format`, `state`: see `store`; `steps`: see `logged`

Integers are big-endian.  Before each value, but for those of `changed`, stands a crc32c of 4
bytes (little-endian) of tree, key and value, since LMDB's pages have none.  A commit is one
transaction of LMDB's, durable when `commit` returns; it may run on another thread, while this one
reads what was there before.
"""

import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Protocol

import lmdb
from crc32c import crc32c

from roost.counters.errors import CounterStoreCorrupt, CounterStoreError, CounterStoreFull

TREES = (
    "parts",
    "tombstones",
    "changed",
    "heard",
    "owners",
    "requests",
    "requested",
    "meta",
    "passed",
)
DIRECTORY = "counters.1"
# Of the address space, not of the disk or of memory: the file grows as it is used.
MAP_BYTES_MAX = 64 << 30
_FAULTS = (lmdb.Error, MemoryError, SystemError, OSError)
# What LMDB says when there is no room, on the disk or for this user.
_FULL = (os.strerror(ENOSPC), os.strerror(EDQUOT))
_SEEDS = {it: crc32c(it.encode()) for it in TREES}
Writes = Mapping[str, Mapping[bytes, bytes | None]]


class Trees(Protocol):
    """What a store asks of the place where it lies."""

    def get(self, tree: str, key: bytes) -> bytes | None:
        """A value, as of the last `refresh`."""

    def scan(self, tree: str, first: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `first` on, before `stop`, in the order of their keys."""

    def count(self, tree: str) -> int:
        """How many rows a tree has."""

    def commit(self, writes: Writes) -> None:
        """Make all of it durable, or nothing; None removes a row.  Any thread, one at a time."""

    def is_quick(self, rows_count: int) -> bool:
        """Whether a commit of so many rows is one short sync, for which a thread is too dear."""

    def refresh(self) -> None:
        """Let reads see what was committed last."""

    def bytes_used(self) -> int:
        """Bytes of what holds something."""

    def close(self) -> None:
        """Give back what is held."""


def seal(tree: str, key: bytes, value: bytes) -> bytes:
    """A value with its checksum."""
    if tree == "changed":
        return value
    return crc32c(value, crc32c(key, _SEEDS[tree])).to_bytes(4, "little") + value


def open_sealed(tree: str, key: bytes, sealed: bytes) -> bytes:
    """A value without its checksum.

    Raises:
        CounterStoreCorrupt: it does not match.

    """
    if tree == "changed":
        return sealed
    value = sealed[4:]
    if crc32c(value, crc32c(key, _SEEDS[tree])) != int.from_bytes(sealed[:4], "little"):
        raise CounterStoreCorrupt(f"the value of {key!r} in {tree!r} has changed")
    return value


def fault_of(error: BaseException, whose: str = "LMDB") -> CounterStoreError:
    """Which of ours an error of LMDB's or of the device is."""
    text = f"{whose}: {type(error).__name__}: {error}"
    if isinstance(error, lmdb.MapFullError) or any(it in str(error) for it in _FULL):
        return CounterStoreFull(text)
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)):
        return CounterStoreCorrupt(text)
    return CounterStoreError(text)


class LmdbTrees:
    """Trees in a directory."""

    def __init__(self, directory: Path) -> None:
        """Open or make it.

        Raises:
            CounterStoreError: it cannot be opened.

        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._environment = lmdb.open(
                str(directory),
                map_size=MAP_BYTES_MAX,
                mode=0o600,
                readahead=False,
                max_dbs=len(TREES),
                max_readers=64,
                max_spare_txns=1,
            )
            self._handles = {it: self._environment.open_db(it.encode()) for it in TREES}
            self._reading = self._environment.begin()
        except _FAULTS as error:
            raise fault_of(error) from error

    def get(self, tree: str, key: bytes) -> bytes | None:
        """A value, as of the last `refresh`.

        Raises:
            CounterStoreError: it cannot be read.

        """
        try:
            sealed = self._reading.get(key, db=self._handles[tree])
        except _FAULTS as error:
            raise fault_of(error) from error
        return None if sealed is None else open_sealed(tree, key, sealed)

    def has(self, tree: str, key: bytes) -> bool:
        """Whether there is a row, as of the last `refresh`; its value is not looked at.

        Raises:
            CounterStoreError: it cannot be read.

        """
        try:
            return self._reading.get(key, db=self._handles[tree]) is not None
        except _FAULTS as error:
            raise fault_of(error) from error

    def scan(self, tree: str, first: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `first` on, before `stop`; not beyond the next `refresh`.

        Raises:
            CounterStoreError: they cannot be read.

        """
        try:
            cursor = self._reading.cursor(db=self._handles[tree])
            if cursor.set_range(first):
                for key, sealed in cursor:
                    if stop is not None and key >= stop:
                        return
                    yield key, open_sealed(tree, key, sealed)
        except _FAULTS as error:
            raise fault_of(error) from error

    def count(self, tree: str) -> int:
        """How many rows a tree has."""
        return int(self._reading.stat(self._handles[tree])["entries"])

    def commit(self, writes: Writes) -> None:
        """One transaction of LMDB's, synced.

        Raises:
            CounterStoreError: it is not sure what of it is durable; nothing may be written again.

        """
        try:
            with self._environment.begin(write=True) as txn:
                for tree, rows in writes.items():
                    handle = self._handles[tree]
                    for key in sorted(rows):
                        value = rows[key]
                        if value is None:
                            txn.delete(key, db=handle)
                        else:
                            self._put(txn, tree, key, seal(tree, key, value))
        except _FAULTS as error:
            raise fault_of(error) from error

    def is_quick(self, rows_count: int) -> bool:
        """Never: it is two syncs, and writes ten pages."""
        del rows_count
        return False

    def _put(self, txn: lmdb.Transaction, tree: str, key: bytes, sealed: bytes) -> None:
        handle = self._handles[tree]
        # Versions grow: told so, LMDB fills its pages, where it would leave them half empty.
        if tree == "changed" and txn.put(key, sealed, db=handle, append=True):
            return
        txn.put(key, sealed, db=handle)

    def refresh(self) -> None:
        """Let reads see what was committed last."""
        try:
            self._reading.abort()
            self._reading = self._environment.begin()
        except _FAULTS as error:
            raise fault_of(error) from error

    def bytes_used(self) -> int:
        """Bytes of pages that hold something."""
        size = 0
        for handle in self._handles.values():
            stat = self._reading.stat(handle)
            pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            size += int(pages * stat["psize"])
        return size

    def close(self) -> None:
        """Close the environment."""
        self._reading.abort()
        self._environment.close()


class MemoryTrees:
    """Trees in memory: for tests and simulations, in which a commit is durable as one."""

    def __init__(self) -> None:
        """Begin empty."""
        self._rows: dict[str, dict[bytes, bytes]] = {it: {} for it in TREES}
        self._keys: dict[str, list[bytes]] = {it: [] for it in TREES}

    def get(self, tree: str, key: bytes) -> bytes | None:
        """A value."""
        return self._rows[tree].get(key)

    def scan(self, tree: str, first: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `first` on, before `stop`."""
        keys, rows = self._keys[tree], self._rows[tree]
        at = bisect_left(keys, first)
        while at < len(keys) and (stop is None or keys[at] < stop):
            key = keys[at]
            yield key, rows[key]
            at = bisect_right(keys, key)

    def count(self, tree: str) -> int:
        """How many rows a tree has."""
        return len(self._keys[tree])

    def commit(self, writes: Writes) -> None:
        """All of it."""
        for tree, rows in writes.items():
            held, keys = self._rows[tree], self._keys[tree]
            for key, value in rows.items():
                if value is None:
                    if held.pop(key, None) is not None:
                        keys.pop(bisect_left(keys, key))
                else:
                    if key not in held:
                        insort(keys, key)
                    held[key] = value

    def is_quick(self, rows_count: int) -> bool:
        """Never: in a simulation it takes a while, in which a machine may lose its power."""
        del rows_count
        return False

    def refresh(self) -> None:
        """Nothing: reads see what is there."""

    def bytes_used(self) -> int:
        """Bytes of keys and values."""
        return sum(len(key) + len(it) for rows in self._rows.values() for key, it in rows.items())

    def close(self) -> None:
        """Nothing is held."""

    def copy(self) -> "MemoryTrees":
        """The same once more: a directory that somebody copies."""
        found = MemoryTrees()
        found._rows = {tree: dict(rows) for tree, rows in self._rows.items()}
        found._keys = {tree: list(keys) for tree, keys in self._keys.items()}
        return found
