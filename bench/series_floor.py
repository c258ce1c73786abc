"""The floor of time series, held: `python -m bench.series_floor --seconds 3600`.

Three members are given FLOOR points a second, each step durable on a majority before the next, and
puts beside, as of an application that keeps its keys where its sensors are.  It ends with 1, and
says why, when fewer points were taken, or when puts took longer than PUT_P99_MS_MAX.

    --seconds 3600        how long; a minute unless it is said
    --json                as one line of JSON
"""

import sys
import threading
import time
from collections.abc import Callable
from statistics import quantiles

import numpy as np

from bench.found import Found, print_found, say
from bench.options import add_json, count, parser_of, start
from bench.series_load import BEGIN_S, MI, Drive, driven, of_drives, values_of
from bench.series_servers import Roost
from roost.client import Client, series

# Requirement 176, and what issue 17 says of it.
FLOOR, PUT_P99_MS_MAX = 25_000, 50.0
# So many times a second points of so many series are given; and so many puts.
STEPS, SERIES, PUTS = 10, 100, 50
EACH = FLOOR // STEPS // SERIES
# Whoever is paced comes to the floor from below.
PART = 0.99
SECOND_NS = 10**9
Say = Callable[[str], None]


def held(server: Roost, seconds: float, say: Say) -> Found:
    """What points and puts took; who is late goes on without a pause, so the rate tells.

    Raises:
        RuntimeError: one is refused.

    """
    endpoint, steps = f"127.0.0.1:{server.port}", max(2, int(seconds * STEPS))
    waits, puts, faults = list[float](), list[float](), list[str]()
    is_over = threading.Event()

    def append() -> None:
        with series.connect(endpoint) as connection:
            begun_s = time.perf_counter()
            for step in range(steps):
                asked_s = time.perf_counter()
                numbers = np.arange(step * EACH, (step + 1) * EACH)
                times = BEGIN_S * SECOND_NS + numbers * (SECOND_NS // STEPS // EACH)
                for it in range(SERIES):
                    connection.add_many(f"floor{it}", times, values_of(it, numbers))
                connection.flush()
                waits.append(1000 * (time.perf_counter() - asked_s))
                if not step % (10 * STEPS):
                    say(f"{step // STEPS} of {seconds:.0f} s")
                time.sleep(max(0.0, begun_s + (step + 1) / STEPS - time.perf_counter()))

    def put() -> None:
        with Client([endpoint]) as client:
            while not is_over.wait(1 / PUTS):
                asked_s = time.perf_counter()
                client.put(f"floor/{len(puts) % 1000}", bytes(100))
                puts.append(1000 * (time.perf_counter() - asked_s))

    def told(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - said when all have ended
                faults.append(repr(error))
            finally:
                is_over.set()

        return run

    drive: Drive = driven(server, [told(append), told(put)], steps * EACH * SERIES, waits, faults)
    found = of_drives("floor", f"{server.name}, {seconds:.0f} s", [drive])
    says = {"longest ms": max(waits), "puts": float(len(puts)), "longest put ms": max(puts),
            "put p99 ms": quantiles(puts, n=100)[98], "MiB": server.rss_bytes() / MI}  # fmt: skip
    return Found(found.row, found.load, found.figures, found.says | says)


def shortfall(found: Found) -> str:
    """What is less than is promised; empty = nothing is."""
    rate, put_ms = found.says["points/s"], found.says["put p99 ms"]
    if rate < PART * FLOOR:
        return f"{rate:,.0f} points/s; {FLOOR:,} are the least"
    if put_ms > PUT_P99_MS_MAX:
        return f"of a hundred puts one took {put_ms:.0f} ms; {PUT_P99_MS_MAX:.0f} are the most"
    return ""


def main() -> None:
    """Measure, print a line, and fail when it is not enough."""
    parser = parser_of("bench.series_floor", __doc__)
    text = "how long (%(default)s)"
    parser.add_argument("--seconds", type=count, default=60, help=text)
    add_json(parser)
    options = parser.parse_args()

    server = Roost(3)
    server.start()
    try:
        found = held(server, options.seconds, say)
    finally:
        server.stop()
    say("")
    print_found(found, as_json=options.json)
    if text := shortfall(found):
        sys.exit(text)


if __name__ == "__main__":
    start(main)
