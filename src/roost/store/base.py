"""The durable base: one LMDB environment, as the keeper writes it and everybody reads it.

All trees share one LMDB database.  A record is

    u16 tree id (big-endian), key   ->   u32 crc32c (little-endian), value

The checksum covers the record's LMDB key and the value, since LMDB's pages have none: a flipped
bit is found when the value is read (`ValueCorrupt`), and never handed out.

LMDB's keys are at most 511 bytes.  A key of LONG_KEY_BYTES or more lives in a *bucket*: the
record of its first LONG_KEY_BYTES bytes, whose value is a MessagePack list of [rest of the key,
value], sorted.  Order is kept: whatever shares those first bytes is in the same bucket, and a
shorter key sorts before the bucket exactly when it sorts before all in it.  A change rewrites
the bucket, so many long keys that differ only behind byte LONG_KEY_BYTES are slow.

What was applied last is `$metadata` (tree 1) key `applied`: u64 index, u64 term of the log
entry, big-endian, written in the same LMDB transaction as what it stands for.  Key `digest` is
the digest of all other records, see `digest`.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EIO, ENOSPC
from pathlib import Path

import lmdb
import msgspec
from crc32c import crc32c

from roost.store import digest
from roost.store.catalog import METADATA_ID
from roost.store.errors import (
    DiskFull,
    PageCorrupt,
    StoreBroken,
    StoreCorrupt,
    StoreError,
    ValueCorrupt,
)
from roost.store.layer import Layer, TreeLayer
from roost.store.meta import check_file

LONG_KEY_BYTES = 480
APPLIED_KEY, DIGEST_KEY = b"applied", b"digest"
MAP_BYTES_FIRST = 1 << 30
_FULL_BYTES = 1 << 20
# With so much free, or such a part of a small disk, none is full.
_PLENTY_BYTES, _PLENTY_PART = 64 << 20, 16
Bucket = list[tuple[bytes, bytes]]
# A record whose length is garbage is asked of the interpreter as memory that there is not.
LMDB_FAULTS = (lmdb.Error, MemoryError, SystemError)
READ_FAULTS = (StoreCorrupt, *LMDB_FAULTS)
NOT_DAMAGE = (
    lmdb.DbsFullError,
    lmdb.DiskError,
    lmdb.LockError,
    lmdb.MapFullError,
    lmdb.MapResizedError,
    lmdb.MemoryError,
    lmdb.PanicError,  # follows a write that failed
    lmdb.ReadersFullError,
    lmdb.ReadonlyError,
    lmdb.TlsFullError,
    lmdb.TxnFullError,
)
APPLIED_NAME = METADATA_ID.to_bytes(2, "big") + APPLIED_KEY
DIGEST_NAME = METADATA_ID.to_bytes(2, "big") + DIGEST_KEY


def _seal(name: bytes, value: bytes) -> bytes:
    return crc32c(value, crc32c(name)).to_bytes(4, "little") + value


def open_sealed(name: bytes, sealed: bytes) -> bytes:
    """The value of a record.

    Raises:
        ValueCorrupt: its checksum does not match.

    """
    value = sealed[4:]
    if len(sealed) < 4 or crc32c(value, crc32c(name)) != int.from_bytes(sealed[:4], "little"):
        raise ValueCorrupt(f"the value of tree {name[:2].hex()} key {name[2:]!r} has changed")
    return value


def _open_bucket(name: bytes, sealed: bytes) -> Bucket:
    return msgspec.msgpack.decode(open_sealed(name, sealed), type=Bucket)


def _bounds(tree_id: int, first: bytes, stop: bytes | None) -> tuple[bytes, bytes]:
    """The LMDB keys between which a range lies; a bucket at either end may lie across it."""
    prefix = tree_id.to_bytes(2, "big")
    begin = prefix + first[:LONG_KEY_BYTES]
    if stop is None:
        return begin, (tree_id + 1).to_bytes(2, "big")
    end = prefix + stop[:LONG_KEY_BYTES]
    return begin, end + b"\0" if len(stop) > LONG_KEY_BYTES else end


def environment(directory: Path, *, is_writer: bool, is_synced: bool = True) -> lmdb.Environment:
    """Open the environment; files 0600 (LMDB's own default would let others read them).

    Raises:
        PageCorrupt: the file is not as LMDB leaves it.
        StoreBroken: LMDB cannot open it, for another reason.

    """
    path = directory / "data.mdb"
    if path.exists() and (not is_writer or path.stat().st_size):
        check_file(path)
    with faults_told():
        return lmdb.open(
            str(directory),
            map_size=MAP_BYTES_FIRST,
            readonly=not is_writer,
            mode=0o600,
            readahead=False,
            max_readers=64,
            max_spare_txns=1,
            metasync=is_synced,
            sync=is_synced,
        )


def open_copy(path: Path) -> lmdb.Environment:
    """Open a store's file that nobody writes to.

    Raises:
        PageCorrupt, StoreBroken: as `environment`.

    """
    if path.exists():
        check_file(path)
    with faults_told():
        return lmdb.open(str(path), subdir=False, readonly=True, lock=False)


class BaseReader:
    """Reads the base; one read transaction, renewed after each flush."""

    def __init__(self, env: lmdb.Environment, *, is_shared: bool = False) -> None:
        """Read `env`; a shared one is closed by its writer."""
        # Called with what is wrong before it is raised: whoever reads may not know whom to tell.
        self.on_corrupt: Callable[[StoreCorrupt], None] = lambda _error: None
        self._open(env, is_shared=is_shared)

    def _open(self, env: lmdb.Environment, *, is_shared: bool) -> None:
        self._env = env
        self._is_shared = is_shared
        with faults_told():
            self._env.reader_check()
            self._txn = self._env.begin(buffers=False)

    def become(self, other: "BaseReader") -> None:
        """Read what `other` reads, which is used up; views that read through us stay good."""
        self.close()
        other.release()
        self._open(other._env, is_shared=other._is_shared)  # noqa: SLF001 - of our own kind

    def refresh(self) -> None:
        """See what the keeper has committed meanwhile.

        Raises:
            PageCorrupt, StoreBroken: LMDB refuses.

        """
        self.release()
        with faults_told():
            try:
                self._txn = self._env.begin(buffers=False)
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)
                self._txn = self._env.begin(buffers=False)

    def release(self) -> None:
        """End the read transaction; nothing may be read until `refresh`."""
        self._txn.abort()

    def applied(self) -> tuple[int, int]:
        """Index and term of the log entry up to which the base holds everything."""
        held = self.get(METADATA_ID, APPLIED_KEY) or bytes(16)
        return int.from_bytes(held[:8], "big"), int.from_bytes(held[8:], "big")

    def digest(self) -> bytes:
        """The digest of everything, at the applied index."""
        return self.get(METADATA_ID, DIGEST_KEY) or bytes(digest.DIGEST_BYTES)

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """One value.

        Raises:
            ValueCorrupt: its checksum does not match.
            PageCorrupt: LMDB does not find its way to it.

        """
        try:
            return self._get(tree_id, key)
        except READ_FAULTS as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> StoreError:
        """What a read that failed says of the store; whoever must know is told."""
        fault = error if isinstance(error, StoreError) else fault_of(error)
        if isinstance(fault, StoreCorrupt):
            self.on_corrupt(fault)
        return fault

    def _get(self, tree_id: int, key: bytes) -> bytes | None:
        name = tree_id.to_bytes(2, "big") + key
        if len(key) < LONG_KEY_BYTES:
            sealed = self._txn.get(name)
            return None if sealed is None else open_sealed(name, sealed)
        name = name[: LONG_KEY_BYTES + 2]
        sealed = self._txn.get(name)
        if sealed is None:
            return None
        rest = key[LONG_KEY_BYTES:]
        return next((value for held, value in _open_bucket(name, sealed) if held == rest), None)

    def has(self, tree_id: int, key: bytes) -> bool:
        """Whether there is a value; it is not read.

        Raises:
            ValueCorrupt, PageCorrupt: as `get`.

        """
        if len(key) >= LONG_KEY_BYTES:
            return self.get(tree_id, key) is not None
        try:
            with self._txn.cursor() as cursor:
                return bool(cursor.set_key(tree_id.to_bytes(2, "big") + key))
        except READ_FAULTS as error:
            raise self._told(error) from error

    def items(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys_only: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in a range, in order; b"" for values that are not read.

        Raises:
            ValueCorrupt: the checksum of one does not match.
            PageCorrupt: LMDB does not find its way to it.

        """
        try:
            yield from self._items(tree_id, first, stop, reverse=reverse, keys_only=keys_only)
        except READ_FAULTS as error:
            raise self._told(error) from error

    def _items(
        self, tree_id: int, first: bytes, stop: bytes | None, *, reverse: bool, keys_only: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        begin, end = _bounds(tree_id, first, stop)
        with self._txn.cursor() as cursor:
            if reverse:
                is_on = cursor.last() if not cursor.set_range(end) else cursor.prev()
            else:
                is_on = cursor.set_range(begin)
            while is_on:
                name = cursor.key()
                if not begin <= name < end:
                    return
                if len(name) >= LONG_KEY_BYTES + 2:
                    sealed = cursor.value()
                    yield from _bucket_items(name, sealed, first, stop, reverse=reverse)
                elif keys_only:
                    yield name[2:], b""
                else:
                    yield name[2:], open_sealed(name, cursor.value())
                is_on = cursor.prev() if reverse else cursor.next()

    def size_bytes(self) -> tuple[int, int]:
        """Bytes of the file, and bytes of it in use."""
        info, stat = self._env.info(), self._env.stat()
        page = stat["psize"]
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return (info["last_pgno"] + 1) * page, pages * page

    def close(self) -> None:
        """Close the environment, unless its writer does."""
        self._txn.abort()
        if not self._is_shared:
            self._env.close()


def _bucket_items(
    name: bytes, sealed: bytes, first: bytes, stop: bytes | None, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    bucket = _open_bucket(name, sealed)
    for rest, value in reversed(bucket) if reverse else bucket:
        key = name[2:] + rest
        if key >= first and (stop is None or key < stop):
            yield key, value


class BaseWriter:
    """Writes layers into the base; only the keeper has one."""

    def __init__(self, directory: Path, *, is_synced: bool = True) -> None:
        """Open for writing, making the environment when it is not there."""
        self._env = environment(directory, is_writer=True, is_synced=is_synced)

    def applied(self) -> tuple[int, int]:
        """Index and term of the log entry up to which the base holds everything.

        Raises:
            StoreCorrupt: that cannot be read.

        """
        with faults_told(), self._env.begin() as txn:
            sealed = txn.get(APPLIED_NAME)
        held = bytes(16) if sealed is None else open_sealed(APPLIED_NAME, sealed)
        return int.from_bytes(held[:8], "big"), int.from_bytes(held[8:], "big")

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
                    writing = _Writing(txn, before)
                    for tree_id, tree in layer.trees.items():
                        writing.write_tree(tree_id, tree)
                    applied = index.to_bytes(8, "big") + term.to_bytes(8, "big")
                    txn.put(APPLIED_NAME, _seal(APPLIED_NAME, applied))
                    total = digest.encode(writing.total)
                    txn.put(DIGEST_NAME, _seal(DIGEST_NAME, total))
            except lmdb.MapFullError:
                self._env.set_mapsize(self._env.info()["map_size"] * 2)
            except lmdb.Error as error:
                if _is_full(self._env, error):
                    raise DiskFull(f"LMDB: {error}") from error
                raise fault_of(error, has_room=True) from error
            else:
                return total

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def fault_of(error: BaseException, *, has_room: bool = False) -> StoreError:
    """What an error of LMDB's says: all that is not about room, rights or our calls is damage.

    Those that are an error number of the system have no class of their own.  Where there is room
    (`_is_full`), one that speaks of none is the device's fault.
    """
    if isinstance(error, NOT_DAMAGE) or type(error) is lmdb.Error:
        is_full = os.strerror(ENOSPC) in str(error) and not has_room
        kind = DiskFull if is_full else StoreBroken
        return kind(f"LMDB: {error}")
    return PageCorrupt(f"LMDB: {type(error).__name__}: {error}")


@contextmanager
def faults_told() -> Iterator[None]:
    """Turn what LMDB raises into errors of ours."""
    try:
        yield
    except LMDB_FAULTS as error:
        raise fault_of(error) from error


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

    def __init__(self, txn: lmdb.Transaction, total: int) -> None:
        """Go on from `total`, the digest of what is there."""
        self._txn = txn
        self.total = total

    def write_tree(self, tree_id: int, tree: TreeLayer) -> None:
        """Deletions first; then everything else in the order of its keys, in one call."""
        for first, stop in tree.ranges:
            self._delete_range(tree_id, first, stop)
        prefix = tree_id.to_bytes(2, "big")
        values = tree.values
        plain: list[bytes] = []
        for key in tree.keys():  # noqa: SIM118 - in order, which iterating a dict is not
            value = values[key]
            if len(key) >= LONG_KEY_BYTES:
                self._write_long(prefix + key[:LONG_KEY_BYTES], key[LONG_KEY_BYTES:], value)
            elif value is None:
                self._delete(prefix + key)
            else:
                plain.append(key)
        if plain:
            with self._txn.cursor() as cursor:
                cursor.putmulti(self._sealed(prefix, plain, values))

    def _sealed(
        self, prefix: bytes, keys: list[bytes], values: dict[bytes, bytes | None]
    ) -> Iterator[tuple[bytes, bytes]]:
        held, record_hash, total = self._txn.get, digest.record_hash, self.total
        for key in keys:
            name, value = prefix + key, values[key]
            assert value is not None, "deletions are not put"
            sealed = crc32c(value, crc32c(name)).to_bytes(4, "little") + value
            if (old := held(name)) is not None:
                total -= record_hash(name, bytes(old))
            total += record_hash(name, sealed)
            yield name, sealed
        self.total = total

    def _put(self, name: bytes, sealed: bytes) -> None:
        self._subtract(name)
        self.total += digest.record_hash(name, sealed)
        self._txn.put(name, sealed)

    def _delete(self, name: bytes) -> None:
        self._subtract(name)
        self._txn.delete(name)

    def _subtract(self, name: bytes) -> None:
        old = self._txn.get(name)
        if old is not None:
            self.total -= digest.record_hash(name, bytes(old))

    def _write_long(self, name: bytes, rest: bytes, value: bytes | None) -> None:
        sealed = self._txn.get(name)
        bucket = [] if sealed is None else _open_bucket(name, bytes(sealed))
        position = bisect_left(bucket, rest, key=lambda item: item[0])
        if position < len(bucket) and bucket[position][0] == rest:
            del bucket[position]
        if value is not None:
            bucket.insert(position, (rest, value))
        self._put_bucket(name, bucket)

    def _put_bucket(self, name: bytes, bucket: Bucket) -> None:
        if bucket:
            self._put(name, _seal(name, msgspec.msgpack.encode(bucket)))
        else:
            self._delete(name)

    def _delete_range(self, tree_id: int, first: bytes, stop: bytes | None) -> None:
        begin, end = _bounds(tree_id, first, stop)
        with self._txn.cursor() as cursor:
            is_on = cursor.set_range(begin)
            while is_on:
                name = bytes(cursor.key())
                if name >= end:
                    return
                sealed = bytes(cursor.value())
                if len(name) < LONG_KEY_BYTES + 2:
                    self.total -= digest.record_hash(name, sealed)
                    is_on = cursor.delete() and bool(cursor.key())
                    continue
                bucket = _open_bucket(name, sealed)
                kept = [
                    (rest, value)
                    for rest, value in bucket
                    if name[2:] + rest < first or (stop is not None and name[2:] + rest >= stop)
                ]
                if kept:
                    self._put_bucket(name, kept)
                    is_on = cursor.set_key(name) and cursor.next()
                else:
                    self.total -= digest.record_hash(name, sealed)
                    is_on = cursor.delete() and bool(cursor.key())
