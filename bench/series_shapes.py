"""Rows of `bench.series` that ask what becomes of many series, single points and long ones."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from urllib.parse import urlencode

import numpy as np

from bench.found import TRIES, Found, timed
from bench.series_load import (
    BEGIN_S,
    MI,
    Drive,
    drive,
    drive_many,
    lines_of,
    of_drives,
    values_of,
)
from bench.series_load import warm as warm_up
from bench.series_servers import Roost, Server, ask, others
from roost.series.blocks import ROWS_MAX, cut, decode
from roost.series.tables import Table

LINES = 5_000
WIDE, WIDE_BATCHES = 10_000, 60
CLIENTS, POINTS = 64, 20_000
MADE_BATCHES = 20
LONG_POINTS, SHORT_POINTS, MINUTES = 10_000_000, 1_000_000, 3 * 365 * 1440
YEAR_MINUTES = 365 * 1440
DELETED = 1_000_000
HOUR_S, DAY_S, MINUTE_S = 3_600, 86_400, 60
BLOCK_POINTS = 2_000_000
ZONE = "Europe/Prague"
# Which series of `m` is which.
LONG, SHORT, SLOW = 0, 1, 2


def _posted(server: Server, bodies: Sequence[bytes]) -> Drive:
    """Bodies of LINES each, over one connection."""
    return drive(server, bodies, LINES * len(bodies))


class Shapes:
    """What all rows share, and some of them."""

    def __init__(self, rounds: int, scale: float, say: Callable[[str], None]) -> None:
        """Measure so often, and so much."""
        self.rounds, self.scale, self.say = rounds, scale, say

    def scaled(self, number: int) -> int:
        """A number of points or requests, as small as was asked for."""
        return max(2, int(number * self.scale))

    def wide(self) -> Iterator[Found]:
        """One point after another, each of another series."""
        hosts, begin_s = [*range(WIDE)], BEGIN_S
        rounds = []
        for _ in range(self.rounds):
            bodies = []
            for place in range(self.scaled(WIDE_BATCHES)):
                half = hosts[:LINES] if place % 2 == 0 else hosts[LINES:]
                bodies.append(lines_of(half, [begin_s] * LINES))
                begin_s += place % 2
            rounds.append(bodies)
        first = [lines_of(hosts[it : it + LINES], [BEGIN_S - 1] * LINES) for it in (0, LINES)]
        yield from self._compared("wide", rounds, _posted, first)

    def ones(self) -> Iterator[Found]:
        """Many clients, each with one point a request."""
        rounds, begin_s = [], BEGIN_S
        for _ in range(self.rounds):
            times = range(begin_s, begin_s + self.scaled(POINTS))
            rounds.append([lines_of([it % CLIENTS], [it]) for it in times])
            begin_s = times.stop
        first = [lines_of([*range(CLIENTS)], [BEGIN_S - 1] * CLIENTS)]
        yield from self._compared("ones", rounds, partial(drive_many, connections=CLIENTS), first)

    def made(self) -> Iterator[Found]:
        """Series that are new."""
        rounds, begun = [], 0
        for _ in range(self.rounds):
            bodies = []
            for _ in range(self.scaled(MADE_BATCHES)):
                bodies.append(lines_of([*range(begun, begun + LINES)], [BEGIN_S] * LINES))
                begun += LINES
            rounds.append(bodies)
        yield from self._compared("made", rounds, _posted, [lines_of([begun], [BEGIN_S])])

    def _compared(
        self,
        row: str,
        rounds: Sequence[Sequence[bytes]],
        post: Callable[[Server, Sequence[bytes]], Drive],
        first: Sequence[bytes],
    ) -> Iterator[Found]:
        """Have each server take the rounds, one server right after the other."""
        servers: list[Server] = [Roost(1), *(it() for it in others())]
        drives: dict[str, list[Drive]] = {it.name: [] for it in servers}
        try:
            for it in servers:
                it.start()
                for body in first:
                    drive(it, [body], 1)
            for turn, bodies in enumerate(rounds):
                for it in servers:
                    self.say(f"{row}, {it.name}, round {turn + 1}/{self.rounds}")
                    drives[it.name].append(post(it, bodies))
        finally:
            for it in servers:
                it.stop()
        yield from (of_drives(row, name, held) for name, held in drives.items())

    def long(self) -> Iterator[Found]:
        """A series of ten million points, one of a million, and three years of minutes."""
        makes: list[Callable[[], Server]] = [Roost, *others()]
        for make in makes:
            server = make()
            server.start()
            try:
                warm_up(server)
                yield from self._long(server)
                if isinstance(server, Roost):
                    yield from self._only_ours(server)
            finally:
                server.stop()

    def _long(self, server: Server) -> Iterator[Found]:
        """What all are asked."""
        shapes = ((LONG, LONG_POINTS, 1), (SHORT, SHORT_POINTS, 1), (SLOW, MINUTES, MINUTE_S))
        ends = {}
        for host, wanted, step_s in shapes:
            total = max(1, self.scaled(wanted) // LINES) * LINES
            self.say(f"long, {server.name} is filled")
            for begin in range(0, total, LINES * 200):
                numbers = range(begin, min(begin + LINES * 200, total), LINES)
                bodies = [
                    lines_of(
                        [host] * LINES,
                        range(BEGIN_S + it * step_s, BEGIN_S + (it + LINES) * step_s, step_s),
                    )
                    for it in numbers
                ]
                drive(server, bodies, LINES * len(bodies))
            ends[host] = BEGIN_S + total * step_s
        server.come_to_rest()
        year_s = min(ends[SLOW], BEGIN_S + YEAR_MINUTES * MINUTE_S)
        asked = {
            "hours of 10^7 points": (LONG, ends[LONG], HOUR_S),
            "days of 10^7 points": (LONG, ends[LONG], DAY_S),
            "days of 10^6 points": (SHORT, ends[SHORT], DAY_S),
            "hours of a year of minutes": (SLOW, year_s, HOUR_S),
        }
        for what, (host, end_s, step_s) in asked.items():
            begin_s = BEGIN_S // step_s * step_s
            wanted = -(-(end_s - begin_s) // step_s)
            look = partial(server.rows, host, begin_s, end_s, step_s)
            yield timed("long", f"{what}, {server.name}", look, wanted)
        hosts = [*range(WIDE)]
        for it in (0, LINES):
            drive(server, [lines_of(hosts[it : it + LINES], [BEGIN_S - 1] * LINES)], LINES)
        server.come_to_rest()
        memory = {"MiB": server.rss_bytes() / MI}
        yield Found("long", f"memory, 10,000 series, {server.name}", {}, memory)

    def _only_ours(self, server: Roost) -> Iterator[Found]:
        """Days of a zone, and a range that is deleted."""
        minutes = max(1, self.scaled(MINUTES) // LINES) * LINES
        end_s = BEGIN_S + minutes * MINUTE_S
        zoned = {
            "name": f"m.v{{host={SLOW}}}", "start": BEGIN_S, "end": end_s, "precision": "s",
            "window": "1d", "tz": ZONE, "agg": "mean",
        }  # fmt: skip
        days = partial(server.answered, zoned)
        yield timed("long", f"days of {ZONE}, three years of minutes", days, minutes // 1440 + 1)
        total = max(1, self.scaled(LONG_POINTS) // LINES) * LINES
        deleted = min(DELETED, total // (TRIES + 1))
        took = []
        for turn in range(TRIES):
            begin_s = BEGIN_S + turn * deleted
            given = {
                "name": f"m.v{{host={LONG}}}", "start": begin_s, "end": begin_s + deleted,
                "precision": "s",
            }  # fmt: skip
            begun_s = time.perf_counter()
            ask(server.port, "DELETE", f"/series/points?{urlencode(given)}")
            took.append(1000 * (time.perf_counter() - begun_s))
        yield Found("long", f"{deleted:,} points deleted", {"ms": took}, {"ms": median(took)})

    def blocks(self) -> Iterator[Found]:
        """Decode sealed blocks, in this process."""
        numbers = np.arange(self.scaled(BLOCK_POINTS))
        times = (BEGIN_S + numbers) * 10**9
        rows = Table(times, values_of(1, numbers).reshape(1, -1))
        bodies = [it.body for it in cut(rows)]
        assert len(bodies) >= len(numbers) // ROWS_MAX
        rates = []
        for _ in range(self.rounds):
            begun_s = time.perf_counter()
            total = sum(len(decode(it, 1)) for it in bodies)
            rates.append(total / (time.perf_counter() - begun_s))
        size = sum(map(len, bodies)) / len(numbers)
        says = {"points/s": median(rates), "B a point": size}
        yield Found("blocks", "two decimals, 1 s", {"points/s": rates}, says)
