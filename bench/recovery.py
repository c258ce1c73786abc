"""How long a member takes to come back: `python -m bench.recovery [--entries N] [--keys N]`.

Two figures, each with the memory it took:

    replay   a journal of N entries that the store does not have yet is read and applied
    open     a store of N keys is opened and read from

No peer is measured beside it, so these are absolutes: they count on the machine they were taken.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from bench.options import count, parser_of, start
from roost.journal import Identity, Journal
from roost.raft import Entry, EntryKind, HardState
from roost.store import BOOTSTRAP_INDEX, InlineKeeper, Store, StoreConfig, Txn
from roost.store.base_writer import BaseWriter
from roost.store.layer import Layer
from roost.store.write_set import HEAD, PUT

_VALUE = b"v" * 100
_BATCH = 100_000
_IDENTITY = Identity(cluster_id=1, member_id=2, incarnation=3, created=0.0)


def _bootstrap(txn: Txn) -> None:
    txn.tree("things")


def _payload(number: int) -> bytes:
    key = b"key-%012d" % number
    return HEAD.pack(PUT, 2, len(key), len(_VALUE)) + key + _VALUE


def make_journal(home: Path, entries: int) -> None:
    """A member's journal and store; the store has none of the entries."""
    store = _open_store(home)
    store.bootstrap(_bootstrap, guid=uuid.UUID(int=1))
    store.close()
    journal = Journal.open(home / "journal", identity=_IDENTITY)
    journal.begin_behind(BOOTSTRAP_INDEX, 1)
    journal.persist(HardState(1, 2), [])
    first = BOOTSTRAP_INDEX + 1
    for begin in range(first, first + entries, 1000):
        count = min(1000, first + entries - begin)
        rows = [Entry(it, 1, EntryKind.NORMAL, _payload(it)) for it in range(begin, begin + count)]
        journal.persist(None, rows)
    journal.abandon()


def _open_store(home: Path) -> Store:
    (home / "db").mkdir(exist_ok=True)
    return Store.open(config=StoreConfig(), keeper=InlineKeeper(home / "db", is_synced=False))


def replay(home: Path) -> float:
    """Seconds until everything in the journal is applied."""
    began = time.perf_counter()
    journal = Journal.open(home / "journal", identity=_IDENTITY)
    store = _open_store(home)
    while store.applied_index < journal.last_index:
        rows = journal.entries(store.applied_index + 1, journal.last_index + 1, 4 << 20)
        for row in rows:
            store.apply(row.index, row.payload, row.term)
    took_s = time.perf_counter() - began
    store.abandon()
    journal.abandon()
    return took_s


def make_store(home: Path, keys: int) -> None:
    """A store of `keys` keys."""
    writer = BaseWriter(home, is_synced=False)
    for begin in range(0, keys, _BATCH):
        layer = Layer()
        stop = min(begin + _BATCH, keys)
        for number in range(begin, stop):
            layer.put(2, b"key-%012d" % number, _VALUE)
        writer.commit(layer, 1 + begin, 1)
        sys.stderr.write(f"\r{stop:,} keys")
    sys.stderr.write("\n")
    writer.close()


def open_store(home: Path) -> float:
    """Seconds until a store answers."""
    began = time.perf_counter()
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(home, is_synced=False))
    held = store.view.get(2, b"key-%012d" % 0)
    took_s = time.perf_counter() - began
    assert held == _VALUE, "it is there"
    store.abandon()
    return took_s


def _measure(what: str, home: Path) -> tuple[float, float]:
    """Do it in a process of its own; seconds, and MiB at most."""
    command = [sys.executable, "-m", "bench.recovery", f"--do={what}", f"--home={home}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took_s, peak_kib = done.stdout.split()
    return float(took_s), int(peak_kib) / 1024


def main() -> None:
    """Print the figures."""
    parser = parser_of("bench.recovery", __doc__)
    text = "of the journal that is replayed (%(default)s)"
    parser.add_argument("--entries", type=count, default=100_000, help=text)
    text = "of the store that is opened (%(default)s)"
    parser.add_argument("--keys", type=count, default=10_000_000, help=text)
    parser.add_argument("--do", choices=("replay", "open"), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        took_s = replay(options.home) if options.do == "replay" else open_store(options.home)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.stdout.write(f"{took_s} {peak}\n")
        return
    for what, make, size in (
        ("replay", make_journal, options.entries),
        ("open", make_store, options.keys),
    ):
        home = Path(tempfile.mkdtemp())
        try:
            make(home, size)
            took_s, peak_mib = _measure(what, home)
        finally:
            shutil.rmtree(home)
        sys.stdout.write(f"{what} {size:,}: {took_s:.2f} s, {peak_mib:.0f} MiB at most\n")


if __name__ == "__main__":
    start(main)
