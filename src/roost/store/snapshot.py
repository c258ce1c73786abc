"""A consistent copy of the base in a file, made while writes go on (D6).

`main`, given DIRECTORY FILE, is a process of its own, as the keeper is: it copies LMDB inside one
read transaction, compacting on the way, syncs the file, and prints one line of JSON,
`SnapshotFile`.  The file is LMDB's own `data.mdb`: to install a snapshot is to give it a
directory.  Memory does not grow with the size.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import msgspec

from roost.store.base import APPLIED_KEY, METADATA_ID, BaseReader, environment
from roost.store.errors import StoreBroken

_READ_BYTES = 1 << 20


class SnapshotFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds: everything up to entry `index` of `term`; blake2b-256 of the file."""

    index: int
    term: int
    size_bytes: int
    digest: str


def copy_base(directory: Path, target: Path) -> SnapshotFile:
    """Copy the base in `directory`, which another process writes, to the new file `target`."""
    source = environment(directory, is_writer=False)
    try:
        return make_copy(target, lambda descriptor: source.copyfd(descriptor, compact=True))
    finally:
        source.close()


def make_copy(target: Path, copy: Callable[[int], None]) -> SnapshotFile:
    """Let `copy(descriptor)` write the new file `target`; sync it, and look at what it holds."""
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        copy(descriptor)
        os.fsync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    reader = BaseReader(lmdb.open(str(target), subdir=False, readonly=True, lock=False))
    try:
        index, term = reader.applied()
    finally:
        reader.close()
    return SnapshotFile(index=index, term=term, size_bytes=size_bytes, digest=digest_of(target))


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_metadata(path: Path, key: bytes) -> bytes | None:
    """One value of the `$metadata` of a file that nobody writes to.

    Raises:
        ValueCorrupt, StoreBroken: the file is damaged.

    """
    try:
        copy = BaseReader(lmdb.open(str(path), subdir=False, readonly=True, lock=False))
        try:
            return copy.get(METADATA_ID, key)
        finally:
            copy.close()
    except lmdb.Error as error:
        raise StoreBroken(f"LMDB: {path.name}: {error}") from error


def read_applied(directory: Path) -> tuple[int, int]:
    """Index and term up to which the store in `directory`, which nobody uses, has everything.

    Raises:
        ValueCorrupt, StoreBroken: it is damaged.

    """
    return read_applied_file(directory / "data.mdb")


def read_applied_file(path: Path) -> tuple[int, int]:
    """As `read_applied`, of a store's file."""
    held = read_metadata(path, APPLIED_KEY) or bytes(16)
    return int.from_bytes(held[:8], "big"), int.from_bytes(held[8:], "big")


def digest_of(path: Path) -> str:
    """The blake2b-256 of a file, in hexadecimal."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()


def main() -> None:
    """Entry point of the process: directory and file are the arguments."""
    held = copy_base(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(msgspec.json.encode(held).decode() + "\n")
