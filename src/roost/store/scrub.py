"""Reading everything a store holds, to find what has changed behind everybody's back.

`main`, given DIRECTORY NICENESS, is a process of its own: it reads every record in one read
transaction, in the order of the pages, checks that it is the order of the keys, and each
checksum; counts them, and compares the sum of all with the digest that was kept while they were
written.  It prints one line of JSON, `ScrubReport`.  LMDB does not survive every damage to its
pages; when the process ends by a signal (see `crash`), that is what it has found.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import lmdb
import msgspec

from roost.store import digest
from roost.store.base import (
    APPLIED_NAME,
    DIGEST_NAME,
    READ_FAULTS,
    environment,
    fault_of,
    open_sealed,
)
from roost.store.errors import PageCorrupt, StoreCorrupt, StoreError

# Of a scrub that nobody waits for.
NICENESS = 19


class ScrubReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, up to which log position, and what is wrong; empty when nothing is."""

    record_count: int
    value_bytes: int
    index: int
    took_s: float
    fault: str = ""


@dataclass(slots=True)
class _Tally:
    """What was read so far; `total` is the digest of it, `kept` the one in the store."""

    count: int = 0
    value_bytes: int = 0
    index: int = 0
    total: int = 0
    kept: bytes = b""


def scrub(directory: Path) -> ScrubReport:
    """Read all of the store in `directory`, which another process may write.

    Raises:
        StoreBroken: it cannot be opened, for want of something else than a sound store.

    """
    try:
        env = environment(directory, is_writer=False)
    except StoreCorrupt as error:
        return ScrubReport(record_count=0, value_bytes=0, index=0, took_s=0.0, fault=str(error))
    try:
        return read_all(env)
    finally:
        env.close()


def read_all(env: lmdb.Environment) -> ScrubReport:
    """Read all of an open store.

    Raises:
        StoreBroken: LMDB refuses, for want of something else than a sound store.

    """
    began = time.monotonic()
    tally = _Tally()
    fault = ""
    try:
        with env.begin() as txn:
            _read_records(txn, tally)
            fault = _missing(txn.stat(env.open_db(txn=txn))["entries"], tally)
    except READ_FAULTS as error:
        told = error if isinstance(error, StoreCorrupt) else fault_of(error)
        if not isinstance(told, StoreCorrupt):
            raise told from error
        fault = f"{type(told).__name__}: {told}"
    return ScrubReport(
        record_count=tally.count,
        value_bytes=tally.value_bytes,
        index=tally.index,
        took_s=time.monotonic() - began,
        fault=fault,
    )


def _read_records(txn: "lmdb.Transaction[bytes]", tally: _Tally) -> None:
    """Read every record, from the first to the last.

    Raises:
        StoreCorrupt: one has changed, or stands where it does not belong.

    """
    before = b""
    with txn.cursor() as cursor:
        for name, sealed in cursor:
            value = open_sealed(name, sealed)
            if name <= before:
                raise PageCorrupt(f"the record {name!r} lies behind {before!r}")
            before = name
            tally.count += 1
            tally.value_bytes += len(sealed)
            if name == APPLIED_NAME:
                tally.index = int.from_bytes(value[:8], "big")
            elif name == DIGEST_NAME:
                tally.kept = value
            else:
                tally.total += digest.record_hash(name, sealed)


def _missing(entry_count: int, tally: _Tally) -> str:
    """What the records that were read are not, all together; empty when nothing is wrong."""
    if tally.count != entry_count:
        return f"{tally.count} records were found, and there are {entry_count}"
    if tally.count and tally.kept != digest.encode(tally.total):
        return f"the sum of {tally.count} records is not the digest kept with them"
    return ""


def main() -> None:
    """Entry point of the process: the directory and its niceness are the arguments."""
    os.nice(int(sys.argv[2]))
    try:
        report = scrub(Path(sys.argv[1]))
    except StoreError as error:  # it may have moved meanwhile
        sys.exit(f"the store was not read: {error}")
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
