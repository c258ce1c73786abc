"""A derived tree beside writers: `python -m bench.derived [--rows 120000] [--rounds 4]`.

One member, on the disk.  Rounds of writers alone, and of the same writers while the tree is made
anew; then what the processor takes for a row when nobody writes.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import roost
from bench.options import add_rounds, count, parser_of, start
from roost.database.blocking import DerivedTree

WRITERS, ROUND_S, AT_ONCE = 16, 2.5, 2000
# Keys of one length, so that how much is there, as keys lie, is how many rows are.
FIRST = 1 << 40
rows = roost.Operations("rows")


@rows.operation
def fill(txn: roost.Transaction, first: int, count: int) -> None:
    """Many rows of about 90 bytes."""
    tree = txn.tree("people", key=int, value=dict[str, str])
    for number in range(first, first + count):
        tree[FIRST + number] = {"city": f"city{number % 1000}", "note": "y" * 57}


@roost.derived("ix_by_city", source="people", version=1)
def by_city(number: int, person: dict[str, str]) -> Iterator[tuple[tuple[str, int], bytes]]:
    """One row of each."""
    yield (person["city"], number), b""


def write(db: roost.Database) -> float:
    """Have threads put rows of another tree for a while; puts a second."""
    tree, end_s = db.tree("other", key=int, value=bytes), time.perf_counter() + ROUND_S
    counts = [0] * WRITERS

    def put(position: int) -> None:
        while time.perf_counter() < end_s:
            tree.put(position, bytes(100))
            counts[position] += 1

    threads = [threading.Thread(target=put, args=(it,)) for it in range(WRITERS)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    return sum(counts) / ROUND_S


def note_built(tree: DerivedTree[tuple[str, int], bytes], built_s: list[float]) -> None:
    """Note when a tree is complete."""
    tree.wait_built()
    built_s.append(time.perf_counter())


def measure(db: roost.Database, row_count: int, round_count: int) -> None:
    """Print one line a round, and one for the rows."""
    for first in range(0, row_count, AT_ONCE):
        db.run(fill, first, min(AT_ONCE, row_count - first))
    sums = [0.0, 0.0]
    for _ in range(round_count):
        db.drop_derived(by_city.name)
        alone = write(db)
        built_s: list[float] = []
        begun_s = time.perf_counter()
        waiting = threading.Thread(target=note_built, args=(db.derived(by_city), built_s))
        waiting.start()
        beside = write(db)
        share, took_s = db.status().derived[0].share, time.perf_counter() - begun_s
        waiting.join()
        made = row_count / (built_s[0] - begun_s) if share == 1 else share * row_count / took_s
        sums[0], sums[1] = sums[0] + alone, sums[1] + beside
        print(f"puts/s alone {alone:.0f}, beside {beside:.0f}; {made:.0f} rows/s made", flush=True)
    db.drop_derived(by_city.name)
    begun_s = time.process_time()
    db.derived(by_city).wait_built()
    took_us = (time.process_time() - begun_s) / row_count * 1e6
    print(f"puts beside / alone: {sums[1] / sums[0]:.2f}; {took_us:.0f} us of the processor a row")


def main() -> None:
    """Read the arguments, and measure."""
    parser = parser_of("bench.derived", __doc__)
    text = "of the tree (%(default)s)"
    parser.add_argument("--rows", type=count, default=120_000, help=text)
    add_rounds(parser, 4)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=".") as place,  # not in memory
        roost.open(Path(place) / "data", operations=[rows]) as db,
    ):
        measure(db, given.rows, given.rounds)


if __name__ == "__main__":
    start(main)
