"""What an hour of very many points takes: `python -m bench.series_memory`.

One member is given an hour of many series, a stretch of each at a time, every stretch durable
before the next pass.  After each pass it is said what the member holds in memory, its keeper with
it, and on its disk: memory that grows with the points, and not with the series alone, shows here.

    --series 10000        so many series
    --points 10000        so many points of each, all within the hour
    --passes 10           in so many stretches
    --json                as lines of JSON
"""

import time
from collections.abc import Iterator

import numpy as np

from bench.found import Found, print_found, say
from bench.options import add_json, count, parser_of, start
from bench.series_load import BEGIN_S, MI, values_of
from bench.series_servers import Roost
from bench.servers import rss_bytes
from roost.client import series

HOUR_NS = 3600 * 10**9
# How many series are sent between looks at the memory.
LOOK_EACH = 500


def filled(server: Roost, series_count: int, points: int, passes: int) -> Iterator[Found]:
    """Give it all; a line for each pass.

    Raises:
        RoostError: a point is refused.

    """
    stretch, step_ns = points // passes, HOUR_NS // points
    with series.connect(f"127.0.0.1:{server.port}") as connection:
        for turn in range(passes):
            begun_s, most = time.perf_counter(), 0
            numbers = np.arange(turn * stretch, (turn + 1) * stretch)
            times = BEGIN_S * 10**9 + numbers * step_ns
            for it in range(series_count):
                connection.add_many(f"hour{it}", times, values_of(it, numbers))
                if not it % LOOK_EACH:
                    most = max(most, server.rss_bytes())
                    say(f"pass {turn + 1} of {passes}, {it:,} of {series_count:,} series")
            connection.flush()
            took_s = time.perf_counter() - begun_s
            own_bytes = rss_bytes((it.pid for it in server.cluster.processes), "RssAnon")
            count = (turn + 1) * stretch * series_count
            says = {
                "points/s": stretch * series_count / took_s,
                "most MiB": max(most, server.rss_bytes()) / MI,
                "not of files MiB": own_bytes / MI,
                "disk B a point": server.disk_bytes() / count,
            }
            yield Found("hour", f"{series_count:,} series, {count:,} points", {}, says)


def main() -> None:
    """Measure, and print a line a pass."""
    parser = parser_of("bench.series_memory", __doc__)
    parser.add_argument("--series", type=count, default=10_000, help="%(default)s")
    parser.add_argument("--points", type=count, default=10_000, help="%(default)s")
    parser.add_argument("--passes", type=count, default=10, help="%(default)s")
    add_json(parser)
    options = parser.parse_args()

    server = Roost(1)
    server.start()
    try:
        for found in filled(server, options.series, options.points, options.passes):
            print_found(found, as_json=options.json)
    finally:
        server.stop()


if __name__ == "__main__":
    start(main)
