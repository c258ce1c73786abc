"""The durable base: one LMDB environment; its format, how it is opened, what its errors say.

The keeper writes it (`base_writer`), and everybody reads it (`base_reader`).

All trees share one LMDB database.  A record is

    u16 tree id (big-endian), key   ->   u32 crc32c (little-endian), value

The checksum covers the record's LMDB key and the value, since LMDB's pages have none: a flipped
bit is found when the value is read (`ValueCorrupt`), and never handed out.

LMDB's keys are at most 511 bytes.  A key of LONG_KEY_BYTES or more stands in several records, see
`long_keys`.

What was applied last is `$metadata` (tree 1) key `applied`: u64 index, u64 term of the log
entry, big-endian, written in the same LMDB transaction as what it stands for.  Key `digest` is
the digest of all other records, see `digest`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path

import lmdb
from crc32c import crc32c

from roost.store.catalog import METADATA_ID
from roost.store.errors import (
    DiskFull,
    PageCorrupt,
    StoreBroken,
    StoreCorrupt,
    StoreError,
    ValueCorrupt,
)
from roost.store.long_keys import LONG_KEY_BYTES
from roost.store.meta import check_file

APPLIED_KEY, DIGEST_KEY = b"applied", b"digest"
MAP_BYTES_FIRST = 1 << 30
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


def seal(name: bytes, value: bytes) -> bytes:
    """A record's value with its checksum."""
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


def bounds(tree_id: int, first: bytes, stop: bytes | None) -> tuple[bytes, bytes]:
    """The LMDB keys between which a range lies; a stem at either end may have some of it."""
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


def fault_of(error: BaseException, *, has_room: bool = False) -> StoreError:
    """What an error of LMDB's says: all that is not about room, rights or our calls is damage.

    Those that are an error number of the system have no class of their own.  Where there is room
    (`base_writer`), one that speaks of none is the device's fault.
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
