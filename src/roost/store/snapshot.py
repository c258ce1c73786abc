"""A consistent copy of the base in a file, made while writes go on (D6).

`main`, given DIRECTORY FILE, is a process of its own, as the keeper is: it copies LMDB inside one
read transaction, compacting on the way, syncs the file, and prints one line of JSON,
`SnapshotFile`.  The file is LMDB's own `data.mdb`: to install a snapshot is to give it a
directory.  Memory does not grow with the size.

The copy is read as a scrub does before it is handed out: damage is copied to nobody.  When there
is any, the process prints what is wrong, and ends with EXIT_CORRUPT.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from roost.store.base import (
    APPLIED_KEY,
    environment,
    faults_told,
    open_copy,
)
from roost.store.base_reader import BaseReader
from roost.store.catalog import METADATA_ID
from roost.store.errors import PageCorrupt, StoreCorrupt, StoreError
from roost.store.scrub import read_all

EXIT_CORRUPT = 3
_READ_BYTES = 1 << 20


class SnapshotFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds: everything up to entry `index` of `term`; blake2b-256 of the file."""

    index: int
    term: int
    size_bytes: int
    digest: str


def copy_base(directory: Path, target: Path) -> SnapshotFile:
    """Copy the base in `directory`, which another process writes, to the new file `target`.

    Raises:
        StoreCorrupt: something in it is damaged.

    """
    source = environment(directory, is_writer=False)
    try:
        with faults_told():
            made = make_copy(target, lambda descriptor: source.copyfd(descriptor, compact=True))
    finally:
        source.close()
    copy = open_copy(target)
    try:
        fault = read_all(copy).fault
    finally:
        copy.close()
    if fault:
        raise PageCorrupt(fault)
    return made


def make_copy(target: Path, copy: Callable[[int], None]) -> SnapshotFile:
    """Let `copy(descriptor)` write the new file `target`; sync it, and look at what it holds."""
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        copy(descriptor)
        os.fsync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    reader = BaseReader(open_copy(target))
    try:
        index, term = reader.applied()
    finally:
        reader.close()
    return SnapshotFile(index=index, term=term, size_bytes=size_bytes, digest=digest_of(target))


def read_metadata(path: Path, key: bytes) -> bytes | None:
    """One value of the `$metadata` of a file that nobody writes to.

    Raises:
        StoreCorrupt: the file is damaged.
        StoreBroken: it cannot be opened.

    """
    copy = BaseReader(open_copy(path))
    try:
        return copy.get(METADATA_ID, key)
    finally:
        copy.close()


def read_applied(directory: Path) -> tuple[int, int]:
    """Index and term up to which the store in `directory`, which nobody uses, has everything.

    Raises:
        StoreCorrupt, StoreBroken: as `read_metadata`.

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
    try:
        held = copy_base(Path(sys.argv[1]), Path(sys.argv[2]))
    except StoreCorrupt as fault:
        sys.stdout.write(f"{fault}\n")
        sys.exit(EXIT_CORRUPT)
    except StoreError as error:  # it may have moved meanwhile
        sys.exit(f"the store was not copied: {error}")
    sys.stdout.write(msgspec.json.encode(held).decode() + "\n")
