"""Time series beside InfluxDB, VictoriaMetrics and DuckDB, in one run: `python -m bench.series`.

Servers that are compared run at once and are asked one right after the other in each round; medians
of the rounds count.  Whoever is not installed is left out, aloud (`series_servers`); DuckDB is the
package duckdb, in this process.  Values have two decimals, as those of sensors.

    log      bytes of the log a point takes with all that comes of it; a member in this process
    native   batches of 10,000 points by the client, each durable before the next; 1 and 3 members
    lines    line protocol, 5,000 lines a request, one and four connections; then disk and memory
    late     lines of 1,000 series in order, and with a tenth up to an hour late
    query    points and means over a million points of a second each
    wide     10,000 series: 5,000 lines a request, each of another one
    ones     64 clients, each with one point a request
    made     series that nobody has seen before, 5,000 a request
    long     ten million points of a second, and three years of a point a minute: means, days of a
             zone, a range that is deleted, memory with 10,000 series beside
    blocks   points of sealed blocks that this process decodes in a second

    --rows log late       other rows than all
    --rounds 3            more rounds
    --scale 0.1           a tenth of the points: to try whether it runs
"""

import asyncio
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import roost.aio
from bench.found import Found, print_found, say, timed
from bench.options import add_json, add_rounds, add_rows, add_scale, parser_of, start
from bench.series_load import (
    BEGIN_S,
    MI,
    Drive,
    drive,
    driven,
    lines_of,
    of_drives,
    values_of,
    warm,
)
from bench.series_servers import Roost, Server, others
from bench.series_shapes import Shapes
from roost.client import series
from roost.database import Refused
from roost.series.engine import Engine
from roost.series.errors import STAGING_FULL
from roost.series.names import Info
from roost.series.records import batch, encode_batch

ROWS = ("log", "native", "lines", "late", "query", "wide", "ones", "made", "long", "blocks")
SECOND_NS = 10**9
NATIVE_BATCH, NATIVE_BATCHES = 10_000, 60
LINES, LINE_BATCHES = 5_000, 80
LATE_SERIES, LATE_S = 1_000, 3_600
QUERY_POINTS = 1_000_000
# Series, seconds between their points, points of a record.
LOGS = ((1, 1, 10_000), (10, 1, 5_000), (1_000, 60, 10_000))
LOG_POINTS = 4_000_000


class Bench(Shapes):
    """All rows."""

    def log(self) -> Iterator[Found]:
        """Bytes of a log, of one member in this process."""
        for series_count, step_s, record in LOGS:
            load = f"{series_count} x {step_s} s"
            self.say(f"log, {load}")
            said = asyncio.run(logged(series_count, step_s, record, self.scaled(LOG_POINTS)))
            yield Found("log", load, {}, said)

    def native(self) -> Iterator[Found]:
        """Batches by the client."""
        for size in (1, 3):
            server = Roost(size)
            server.start()
            try:
                drives = [self._native(server, turn) for turn in range(self.rounds)]
                server.come_to_rest()
            finally:
                server.stop()
            yield of_drives("native", server.name, drives)

    def _native(self, server: Roost, turn: int) -> Drive:
        self.say(f"native, {server.name}, round {turn + 1}/{self.rounds}")
        waits, faults, batches = list[float](), list[str](), self.scaled(NATIVE_BATCHES)

        def append(number: int) -> None:
            try:
                with series.connect(f"127.0.0.1:{server.port}") as connection:
                    for place in range(turn * batches, (turn + 1) * batches):
                        numbers = np.arange(place * NATIVE_BATCH, (place + 1) * NATIVE_BATCH)
                        times = (BEGIN_S + numbers) * SECOND_NS
                        begun_s = time.perf_counter()
                        values = values_of(number, numbers)
                        connection.add_many(f"n{number}", times, values)
                        connection.flush()
                        waits.append(1000 * (time.perf_counter() - begun_s))
            except Exception as error:  # noqa: BLE001 - said when all have ended
                faults.append(repr(error))

        works = [lambda: append(1), lambda: append(2)]
        return driven(server, works, len(works) * batches * NATIVE_BATCH, waits, faults)

    def lines(self) -> Iterator[Found]:
        """Line protocol, of ten series."""
        servers: list[Server] = [Roost(1), Roost(3), *(it() for it in others())]
        drives: dict[tuple[str, int], list[Drive]] = {}
        sizes: dict[str, dict[str, float]] = {}
        empty: dict[str, int] = {}
        begin_s, written = BEGIN_S, 0
        try:
            for it in servers:
                it.start()
                warm(it)
                empty[it.name] = it.disk_bytes()
            for turn in range(self.rounds):
                for connections in (1, 4):
                    bodies = []
                    for _ in range(self.scaled(LINE_BATCHES)):
                        times = range(begin_s, begin_s + LINES // 10)
                        bodies.append(
                            lines_of(
                                [*range(10)] * len(times), [t for t in times for _ in range(10)]
                            )
                        )
                        begin_s = times.stop
                    written += LINES * len(bodies)
                    for it in servers:
                        self.say(f"lines, {it.name}, {connections}, round {turn + 1}/{self.rounds}")
                        took = drive(it, bodies, LINES * len(bodies), connections)
                        drives.setdefault((it.name, connections), []).append(took)
            for it in servers:
                it.come_to_rest()
                grown = it.disk_bytes() - empty[it.name]
                sizes[it.name] = {"disk B": grown / written, "MiB": it.rss_bytes() / MI}
        finally:
            for it in servers:
                it.stop()
        for (name, connections), held in drives.items():
            found = of_drives("lines", f"{name}, {connections}", held)
            yield Found(found.row, found.load, found.figures, found.says | sizes[name])

    def late(self) -> Iterator[Found]:
        """Points that come late, beside those that do not."""
        server, dice = Roost(1), np.random.default_rng(1)
        server.start()
        warm(server)
        drives: dict[str, list[Drive]] = {"in order": [], "a tenth late": []}
        begin_s = BEGIN_S
        try:
            for turn in range(2 * self.rounds):
                kind = list(drives)[turn % 2]
                self.say(f"{kind}, round {turn // 2 + 1}/{self.rounds}")
                bodies = []
                for _ in range(self.scaled(LINE_BATCHES)):
                    times = np.repeat(
                        np.arange(begin_s, begin_s + LINES // LATE_SERIES), LATE_SERIES
                    )
                    begin_s = int(times[-1]) + 1
                    if kind != "in order":
                        chosen = dice.random(len(times)) < 0.1
                        times -= chosen * dice.integers(1, LATE_S, len(times))
                    hosts = [*range(LATE_SERIES)] * (LINES // LATE_SERIES)
                    bodies.append(lines_of(hosts, times.tolist()))
                drives[kind].append(drive(server, bodies, LINES * len(bodies)))
                server.come_to_rest()
        finally:
            server.stop()
        share = [late.rate / it.rate for it, late in zip(*drives.values(), strict=True)]
        for kind, held in drives.items():
            found = of_drives("late", kind, held)
            stall = max(max(it.waits_ms) for it in held)
            says = found.says | {"longest ms": stall, "of in order": median(share)}
            yield Found("late", kind, found.figures, says)

    def query(self) -> Iterator[Found]:
        """Points and means of one long series."""
        total = self.scaled(QUERY_POINTS) // LINES * LINES or LINES
        stop_s = BEGIN_S + total
        asked = {
            "3,600 points": (max(BEGIN_S, stop_s - 3_600), stop_s, 0),
            "hours": (BEGIN_S // 3600 * 3600, stop_s, 3_600),
            "days": (BEGIN_S // 86_400 * 86_400, stop_s, 86_400),
        }
        bodies = [
            lines_of([0] * LINES, range(begin, begin + LINES))
            for begin in range(BEGIN_S, stop_s, LINES)
        ]
        makes: list[Callable[[], Server]] = [Roost, *others()]
        for make in makes:
            server = make()
            server.start()
            try:
                self.say(f"query, {server.name} is filled")
                drive(server, bodies, total)
                server.come_to_rest()
                for what, span in asked.items():
                    self.say(f"query, {server.name}, {what}")
                    look = partial(server.rows, 0, *span)
                    yield timed("query", f"{what}, {server.name}", look, _wanted(span))
            finally:
                server.stop()
        if importlib.util.find_spec("duckdb") is not None:
            yield from _in_duckdb(total, asked)


def _wanted(span: tuple[int, int, int]) -> int:
    """How many rows such a question has."""
    begin, end, step = span
    return -(-(end - begin) // (step or 1))


def _in_duckdb(total: int, asked: dict[str, tuple[int, int, int]]) -> Iterator[Found]:
    import duckdb  # where somebody has installed it

    with tempfile.TemporaryDirectory() as place:
        held = duckdb.connect(str(Path(place) / "m.db"))
        numbers = np.arange(total)
        times, values = BEGIN_S + numbers, values_of(0, numbers)
        held.register("given", {"t": times, "v": values})
        held.execute("create table m as select t, v from given")
        for what, (begin, end, step) in asked.items():
            text = f"select t, v from m where t >= {begin} and t < {end} order by t"
            if step:
                text = f"select t // {step}, avg(v) from m where t >= {begin} group by 1 order by 1"
            look = partial(_fetched, held, text)
            yield timed("query", f"{what}, duckdb", look, _wanted((begin, end, step)))


def _fetched(held: Any, text: str) -> int:
    return len(held.execute(text).fetchall())


async def logged(series_count: int, step_s: int, record: int, total: int) -> dict[str, float]:
    """Append, seal as a member would, and add up the entries of the log."""
    written = 0
    with tempfile.TemporaryDirectory(dir=".") as place:
        async with roost.aio.open(Path(place) / "data") as db:
            engine = Engine(db)
            told = [
                await engine.declare(
                    [Info(f"s{it}") for it in range(begin, min(begin + 50, series_count))]
                )
                for begin in range(0, series_count, 50)
            ]
            sids = np.array([sid for it in told for sid in it.sids])
            host: Any = db.host

            def note(_index: int, changes: Any) -> None:
                nonlocal written
                written += len(changes.payload)

            host._embedded.member.observe(note)  # noqa: SLF001 - entries are nobody else's business
            begun_s, staged = time.process_time(), 0
            each = record // series_count
            for begin in range(0, total // series_count, each):
                numbers = np.tile(np.arange(begin, begin + each), series_count)
                times = (BEGIN_S + numbers * step_s) * SECOND_NS
                body = encode_batch(
                    batch(np.repeat(sids, each), times, values_of(np.repeat(sids, each), numbers))
                )
                staged += len(body)
                while True:
                    try:
                        await engine.append(told[-1].epoch, body)
                        break
                    except Refused as refused:
                        if refused.code != STAGING_FULL:
                            raise
                        await engine.seal_slice()
            while await engine.freeze():
                while await engine.seal_slice():
                    pass
            took_s = time.process_time() - begun_s
    point_count = total // series_count // each * each * series_count
    return {
        "points": point_count,
        "B a point": written / point_count,
        "of it staged": staged / point_count,
        "us of the processor": took_s / point_count * 1e6,
    }


def main() -> None:
    """Measure, and print a line for each."""
    parser = parser_of("bench.series", __doc__)
    add_rows(parser, ROWS)
    add_rounds(parser, 3)
    add_scale(parser, "points")
    add_json(parser)
    options = parser.parse_args()
    missing = {"influxdb", "victoria-metrics"} - {it().name for it in others()}
    if importlib.util.find_spec("duckdb") is None:
        missing.add("duckdb")
    if missing:
        print(f"not here, and left out: {', '.join(sorted(missing))}", file=sys.stderr)

    bench = Bench(options.rounds, options.scale, say)
    for row in options.rows:
        for found in getattr(bench, row)():
            say("")
            print_found(found, as_json=options.json)


if __name__ == "__main__":
    start(main)
