"""`python -m bench.embedded`: the library's own figures, each beside what bounds it, in one run.

    run       `db.run` of a small operation on one durable member, from one thread and from 64,
              beside a loop of `os.write` and `os.fdatasync` there, turn and turn about
    store     rows of 100 bytes, 1,000 in a transaction: in order, backwards, at random; a queue
              of 1,000 rows that go in at one end and out at the other; reads; a scan.  Beside
              SQLite (WAL, synchronous=FULL), and RocksDB (synced batches) where `rocksdict` is
              installed.  Ours is a whole member, with its log and its thread
    machine   a snapshot of a machine with a million rows: time, and memory above that before

`--scale 0.1` does a tenth of everything.  What counts are ratios of a round, and their median.
"""

import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from typing import BinaryIO, Protocol

import roost
from bench.options import add_rounds, add_rows, add_scale, parser_of, start

THREADS, AT_ONCE, QUEUE_ROWS = 64, 1000, 1000
ROWS = ("run", "store", "machine")
VALUE = b"v" * 100
KEY_BYTES = 8
Row = tuple[bytes, bytes]
bench = roost.Operations("bench")


@bench.operation
def add(txn: roost.Transaction, number: int) -> int:
    """A small operation: one row is read, and written."""
    tree = txn.tree("counts", key=int, value=int)
    tree[number] = held = tree.get(number, 0) + 1
    return held


@bench.operation
def put_rows(txn: roost.Transaction, rows: list[Row]) -> None:
    """Many rows."""
    tree = txn.tree("rows")
    for key, value in rows:
        tree[key] = value


@bench.operation
def turn_over(txn: roost.Transaction, rows: list[Row], gone: list[bytes]) -> None:
    """Rows in at one end, and out at the other."""
    tree = txn.tree("rows")
    for key, value in rows:
        tree[key] = value
    for key in gone:
        tree.discard(key)


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second."""
    begun_s = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun_s)


def sync_loop(directory: Path, count: int) -> None:
    """What bounds a durable write from one thread: its bytes, and a sync."""
    handle = os.open(directory / "synced", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        for _ in range(count):
            os.write(handle, VALUE)
            os.fdatasync(handle)
    finally:
        os.close(handle)


def run_many(db: roost.Database, threads: int, count: int) -> None:
    """So many calls by so many threads."""

    def calls(number: int) -> None:
        for _ in range(count // threads):
            db.run(add, number)

    started = [threading.Thread(target=calls, args=(it,)) for it in range(threads)]
    for it in started:
        it.start()
    for it in started:
        it.join()


def measure_run(directory: Path, rounds: int, scale: float) -> None:
    """Print the rates of rounds, and the medians of their ratios."""
    alone, many = max(50, int(1500 * scale)), max(THREADS, int(20000 * scale))
    ones, alls = [], []
    with roost.open(directory / "run", operations=[bench]) as db:
        run_many(db, 1, 50)
        for _ in range(rounds):
            synced = rate(alone, lambda: sync_loop(directory, alone))
            one = rate(alone, lambda: run_many(db, 1, alone))
            every = rate(many, lambda: run_many(db, THREADS, many))
            ones.append(one / synced)
            alls.append(every / one)
            print(f"run      synced {synced:7.0f}/s  one thread {one:7.0f}/s  "
                  f"{THREADS} threads {every:7.0f}/s", flush=True)  # fmt: skip
    print(f"run      one thread to syncs {median(ones):.2f}, {THREADS} threads to one "
          f"{median(alls):.1f}", flush=True)  # fmt: skip


class Rows(Protocol):
    """What is measured: ordered rows that last."""

    def put(self, rows: list[Row], gone: Sequence[bytes] = ()) -> None:
        """Put and remove rows in one synced transaction."""

    def get(self, key: bytes) -> bytes | None:
        """One row."""

    def scan(self) -> Iterator[Row]:
        """All rows, of one state."""


class OurRows:
    """A member of one."""

    def __init__(self, db: roost.Database) -> None:
        """Stand on an open database."""
        self._db = db

    def put(self, rows: list[Row], gone: Sequence[bytes] = ()) -> None:
        """See `Rows.put`."""
        if gone:
            self._db.run(turn_over, rows, list(gone))
        else:
            self._db.run(put_rows, rows)

    def get(self, key: bytes) -> bytes | None:
        """See `Rows.get`; from what is applied here, as the others."""
        return self._db.local.tree("rows").get(key)

    def scan(self) -> Iterator[Row]:
        """See `Rows.scan`."""
        with self._db.view() as view:
            yield from view.tree("rows").items()


class SqliteRows:
    """A file of SQLite."""

    def __init__(self, path: Path) -> None:
        """Make it."""
        self._held = sqlite3.connect(path, isolation_level=None)
        self._held.execute("PRAGMA journal_mode=WAL")
        self._held.execute("PRAGMA synchronous=FULL")
        self._held.execute("CREATE TABLE rows(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def put(self, rows: list[Row], gone: Sequence[bytes] = ()) -> None:
        """See `Rows.put`."""
        self._held.execute("BEGIN")
        self._held.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
        self._held.executemany("DELETE FROM rows WHERE key = ?", [(it,) for it in gone])
        self._held.execute("COMMIT")

    def get(self, key: bytes) -> bytes | None:
        """See `Rows.get`."""
        found = self._held.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def scan(self) -> Iterator[Row]:
        """See `Rows.scan`."""
        yield from self._held.execute("SELECT key, value FROM rows ORDER BY key")

    def close(self) -> None:
        """Close the file."""
        self._held.close()


class RocksRows:
    """A directory of RocksDB."""

    def __init__(self, path: Path) -> None:
        """Make it.

        Raises:
            ImportError: `rocksdict` is not installed.

        """
        import rocksdict  # type: ignore[import-not-found,unused-ignore] # it need not be there

        self._module = rocksdict
        self._held = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
        synced = rocksdict.WriteOptions()
        synced.sync = True
        self._synced = synced

    def put(self, rows: list[Row], gone: Sequence[bytes] = ()) -> None:
        """See `Rows.put`."""
        batch = self._module.WriteBatch(raw_mode=True)
        for key, value in rows:
            batch.put(key, value)
        for key in gone:
            batch.delete(key)
        self._held.write(batch, self._synced)

    def get(self, key: bytes) -> bytes | None:
        """See `Rows.get`."""
        found: bytes | None = self._held.get(key)
        return found

    def scan(self) -> Iterator[Row]:
        """See `Rows.scan`."""
        yield from self._held.items()

    def close(self) -> None:
        """Close it."""
        self._held.close()


def in_pages(numbers: Sequence[int]) -> Iterator[list[Row]]:
    """Rows, AT_ONCE at a time."""
    for first in range(0, len(numbers), AT_ONCE):
        page = numbers[first : first + AT_ONCE]
        yield [(it.to_bytes(KEY_BYTES, "big"), VALUE) for it in page]


def put_all(rows: Rows, numbers: Sequence[int]) -> None:
    """Put rows, in this order."""
    for page in in_pages(numbers):
        rows.put(page)


def play_queue(rows: Rows, first: int, count: int) -> None:
    """Rows go in at the end; those that came QUEUE_ROWS before them go out."""
    for page in in_pages(range(first, first + count)):
        gone = [(int.from_bytes(key, "big") - QUEUE_ROWS).to_bytes(KEY_BYTES, "big")
                for key, _ in page]  # fmt: skip
        rows.put(page, gone)


def read_all(rows: Rows, keys: Sequence[bytes]) -> None:
    """One row after another."""
    for it in keys:
        assert rows.get(it) is not None, "it was put"


def measure_rows(rows: Rows, count: int) -> dict[str, float]:
    """Rows a second, by what was done; each part has keys of its own."""
    dice = random.Random(1)
    part = 1 << 40
    mixed = list(range(3 * part, 3 * part + count))
    dice.shuffle(mixed)
    keys = [it.to_bytes(KEY_BYTES, "big") for it in dice.sample(mixed, min(count, 20_000))]
    found = {
        "in order": rate(count, lambda: put_all(rows, range(part, part + count))),
        "backwards": rate(count, lambda: put_all(rows, range(2 * part + count, 2 * part, -1))),
        "at random": rate(count, lambda: put_all(rows, mixed)),
        "queue": rate(count, lambda: play_queue(rows, 4 * part, count)),
        "reads": rate(len(keys), lambda: read_all(rows, keys)),
    }
    row_count = 0

    def scan() -> None:
        nonlocal row_count
        row_count = sum(1 for _ in rows.scan())

    used_s = time.process_time()
    took = rate(1, scan)
    found["scan"] = row_count * took
    # Rows a second of processor time, of all threads: others' work plays no part in it.
    found["scan, CPU"] = row_count / (time.process_time() - used_s)
    return found


def measure_store(directory: Path, rounds: int, scale: float) -> None:
    """Print a line for each kind of work, with medians of rounds."""
    count = max(AT_ONCE, int(100_000 * scale))
    found: dict[str, list[dict[str, float]]] = {"roost": [], "sqlite": [], "rocksdb": []}
    for number in range(rounds):
        with roost.open(directory / f"roost{number}", operations=[bench]) as db:
            found["roost"].append(measure_rows(OurRows(db), count))
        with closing(SqliteRows(directory / f"sqlite{number}")) as sqlite:
            found["sqlite"].append(measure_rows(sqlite, count))
        with suppress(ImportError), closing(RocksRows(directory / f"rocks{number}")) as rocks:
            found["rocksdb"].append(measure_rows(rocks, count))
    for what in found["roost"][0]:
        said = [f"{name} {median(it[what] for it in runs):9.0f}/s"
                for name, runs in found.items() if runs]  # fmt: skip
        print(f"store    {what:10} {'  '.join(said)}", flush=True)


class Large(roost.Machine):
    """Many rows in memory, whose snapshot is streamed."""

    def __init__(self) -> None:
        """There are none."""
        self.rows: dict[int, int] = {}

    @roost.command
    def fill(self, context: roost.Context, first: int, count: int) -> int:
        """Put rows; how many there are."""
        del context
        self.rows.update((it, it) for it in range(first, first + count))
        return len(self.rows)

    def save(self, out: BinaryIO) -> None:
        """A row after the other."""
        rows = self.rows.items()
        out.writelines(key.to_bytes(8, "big") + it.to_bytes(8, "big") for key, it in rows)

    def load(self, source: BinaryIO) -> None:
        """The same way."""
        while row := source.read(16):
            self.rows[int.from_bytes(row[:8], "big")] = int.from_bytes(row[8:], "big")


def memory_mib(field: str) -> float:
    """What this process takes, or took at most (VmRSS, VmHWM of proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def measure_machine(directory: Path, scale: float) -> None:
    """Print what a snapshot takes."""
    count, page = int(1_000_000 * scale), 5000
    with roost.open(directory / "machine") as db:
        machine = db.machine("large", Large)
        for first in range(0, count, page):
            machine.run(Large.fill, first, min(page, count - first))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = memory_mib("VmRSS")
        begun_s = time.perf_counter()
        machine.snapshot()
        took_s = time.perf_counter() - begun_s
        size_mib = machine.status().snapshot_bytes / (1 << 20)
        above = memory_mib("VmHWM") - before
        print(f"machine  {count} rows, {size_mib:.1f} MiB: {took_s:.1f} s, "
              f"{above:.0f} MiB above {before:.0f} MiB", flush=True)  # fmt: skip


def main() -> None:
    """Read the arguments, and measure."""
    parser = parser_of("bench.embedded", __doc__)
    add_rounds(parser, 3)
    add_scale(parser, "rows and calls")
    add_rows(parser, ROWS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:  # not in memory
        place = Path(name)
        if "run" in given.rows:
            measure_run(place, given.rounds, given.scale)
        if "store" in given.rows:
            measure_store(place, given.rounds, given.scale)
        if "machine" in given.rows:
            measure_machine(place, given.scale)


if __name__ == "__main__":
    start(main)
