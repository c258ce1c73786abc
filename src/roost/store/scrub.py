"""Reading everything a store holds, to find what has changed behind everybody's back.

`main`, given DIRECTORY, is a process of its own: it reads every record in one read transaction,
checks its checksum, and compares the sum of all with the digest that was kept while they were
written.  It prints one line of JSON, `ScrubReport`.  LMDB does not survive every damage to its
pages; when the process dies by SIGBUS or SIGSEGV, that is what it has found.
"""

import os
import sys
import time
from pathlib import Path

import lmdb
import msgspec

from roost.store import digest
from roost.store.base import APPLIED_NAME, DIGEST_NAME, environment, open_sealed
from roost.store.errors import ValueCorrupt


class ScrubReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, up to which log position, and what is wrong; empty when nothing is."""

    record_count: int
    value_bytes: int
    index: int
    took_s: float
    fault: str = ""


def scrub(directory: Path) -> ScrubReport:
    """Read all of the store in `directory`, which another process may write."""
    began = time.monotonic()
    env = environment(directory, is_writer=False)
    count = size = total = index = 0
    fault = ""
    try:
        with env.begin() as txn, txn.cursor() as cursor:
            applied = txn.get(APPLIED_NAME)
            index = int.from_bytes(open_sealed(APPLIED_NAME, applied)[:8], "big") if applied else 0
            for name, sealed in cursor:
                open_sealed(name, sealed)
                count += 1
                size += len(sealed)
                if name not in (APPLIED_NAME, DIGEST_NAME):
                    total += digest.record_hash(name, sealed)
            kept = txn.get(DIGEST_NAME)
            if kept is not None and open_sealed(DIGEST_NAME, kept) != digest.encode(total):
                fault = f"the sum of {count} records is not the digest kept with them"
    except (lmdb.Error, ValueCorrupt) as error:
        fault = f"{type(error).__name__}: {error}"
    finally:
        env.close()
    took_s = time.monotonic() - began
    return ScrubReport(
        record_count=count, value_bytes=size, index=index, took_s=took_s, fault=fault
    )


def main() -> None:
    """Entry point of the process: the directory is the argument."""
    os.nice(19)
    report = scrub(Path(sys.argv[1]))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
