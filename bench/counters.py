"""Counters beside etcd's puts and Redis' INCR, in one run: `python -m bench.counters`.

Each round asks Roost, etcd and Redis one right after the other, of one member each; what counts are
the ratios of a round, and the median of those.  All of them sync before they answer: etcd as it
does, Redis with `appendonly yes` and `appendfsync always`.  Redis is left out where there is no
`redis-server` and `redis-benchmark` (Debian: redis-server, redis-tools), and it is said.

    single     one increment a request, 1, 10, 100 and 1,000 clients
    batches    100 increments a request, 100 clients
    members    three members that each take the load of one, beside three times one alone
    size       many counters: bytes of each on the disk, memory, how long a page of them takes
    backlog    a member that was away while 1,000 counters were counted for an hour at 10,000 a
               second, as far as that can be seen: each has changed, in as many steps

    --rows single size    other rows than all
    --rounds 3            more rounds
    --scale 0.1           a tenth of the requests and counters: to try whether it runs
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

from bench.calls import PUT, VALUE, Load, find_leader, frame, h2load
from bench.found import Found, print_found, say
from bench.options import (
    add_json,
    add_rounds,
    add_rows,
    add_scale,
    parser_of,
    require_h2load,
    start,
)
from bench.servers import END_TIMEOUT_S, START_TIMEOUT_S, Cluster, wait
from roost.proto import counters_pb2, rpc_pb2
from roost.testing.ports import free_ports

INCREMENT = "/roost.Counters/Increment"
ROWS = ("single", "batches", "members", "size", "backlog")
SINGLE = (Load(1, 1, 2_000), Load(10, 1, 10_000), Load(100, 1, 40_000), Load(1000, 1, 40_000))
BATCHES = Load(100, 1, 6_000)
BATCH = 100
COUNTERS, PAGE, PAGES = 1_000_000, 1000, 50
BACKLOG_COUNTERS, BACKLOG_STEPS = 1000, 300
_LOOK_S = 0.005
_BENCHMARK_TIMEOUT_S = 300.0
_MI = 1 << 20


@dataclass(slots=True)
class Redis:
    """One server that syncs each change before it answers."""

    root: Any = field(default_factory=tempfile.TemporaryDirectory)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self.port,) = free_ports(1)
        self.process = subprocess.Popen(
            [
                *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", self.root.name, "--save", "", "--appendonly", "yes"),
                *("--appendfsync", "always"),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait(self._listens, "no Redis answers", look_s=_LOOK_S)

    def _listens(self) -> bool:
        # redis-benchmark that was refused once never asks again, and never ends
        socket.create_connection(("127.0.0.1", self.port), START_TIMEOUT_S).close()
        return True

    def rate(self, load: Load) -> float:
        """Increments a second of one counter.

        Raises:
            subprocess.SubprocessError: it does not measure, or takes too long.
            RuntimeError: it says no rate.

        """
        command = [
            *("redis-benchmark", "-p", str(self.port), "-c", str(load.clients)),
            *("-n", str(load.count), "--csv", "INCR", "views"),
        ]
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_BENCHMARK_TIMEOUT_S
        ).stdout
        rows = [it.split(",") for it in said.splitlines() if it.startswith('"INCR')]
        if not rows:
            raise RuntimeError(f"redis-benchmark says {said!r}")
        return float(rows[-1][1].strip('"'))

    def stop(self) -> None:
        """End it; its data goes with it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(END_TIMEOUT_S)
        self.root.cleanup()


def has_redis() -> bool:
    """Whether there is one to be measured beside."""
    return all(shutil.which(it) is not None for it in ("redis-server", "redis-benchmark"))


def increment(changes: Sequence[tuple[str, int]]) -> bytes:
    """A request, without a key: each is another one."""
    said = [counters_pb2.CounterChange(name=name, change=change) for name, change in changes]
    return counters_pb2.IncrementRequest(changes=said).SerializeToString()


class Bench:
    """What all rows share."""

    def __init__(
        self, rounds: int, scale: float, say: Callable[[str], None], scratch: Path
    ) -> None:
        """Write requests below `scratch`."""
        self.rounds, self.scale, self.say = rounds, scale, say
        self.scratch = scratch

    def body(self, name: str, request: bytes) -> Path:
        """A request as `h2load` sends it."""
        path = self.scratch / name
        path.write_bytes(frame(request))
        return path

    def single(self) -> Iterator[Found]:
        """One increment a request, beside a put and an INCR."""
        roost, etcd = Cluster("roost", 1), Cluster("etcd", 1)
        redis = Redis() if has_redis() else None
        ours = self.body("increment", increment([("views", 1)]))
        put = rpc_pb2.PutRequest(key=b"views", value=VALUE)
        theirs = self.body("put", put.SerializeToString())
        try:
            for cluster in (roost, etcd):
                cluster.start()
                find_leader(cluster)
            if redis is not None:
                redis.start()
            for full in SINGLE:
                load = full.scaled(self.scale)
                rates: dict[str, list[float]] = {"roost": [], "etcd": [], "redis": []}
                for turn in range(self.rounds):
                    self.say(f"single, {load}, round {turn + 1}/{self.rounds}")
                    rates["roost"].append(h2load(roost, 0, INCREMENT, ours, load))
                    rates["etcd"].append(h2load(etcd, 0, PUT, theirs, load))
                    if redis is not None:
                        rates["redis"].append(redis.rate(load))
                yield Found("single", str(load), rates, _ratios(rates))
        finally:
            roost.stop()
            etcd.stop()
            if redis is not None:
                redis.stop()

    def batches(self) -> Iterator[Found]:
        """A hundred increments a request."""
        roost = Cluster("roost", 1)
        body = self.body("batch", increment([(f"n{it}", 1) for it in range(BATCH)]))
        load = BATCHES.scaled(self.scale)
        try:
            roost.start()
            find_leader(roost)
            rates = []
            for turn in range(self.rounds):
                self.say(f"batches, round {turn + 1}/{self.rounds}")
                rates.append(BATCH * h2load(roost, 0, INCREMENT, body, load))
        finally:
            roost.stop()
        yield Found("batches", f"{load} x {BATCH}", {"roost": rates}, {"median": median(rates)})

    def members(self) -> Iterator[Found]:
        """Three members under load, each its own, beside one alone."""
        one, three = Cluster("roost", 1), Cluster("roost", 3)
        body = self.body("increment", increment([("views", 1)]))
        load = SINGLE[2].scaled(self.scale)
        rates: dict[str, list[float]] = {"one": [], "three": []}
        try:
            for cluster in (one, three):
                cluster.start()
                find_leader(cluster)
            for turn in range(self.rounds):
                self.say(f"members, round {turn + 1}/{self.rounds}")
                rates["one"].append(h2load(one, 0, INCREMENT, body, load))

                def ask(position: int) -> float:
                    return h2load(three, position, INCREMENT, body, load)

                with ThreadPoolExecutor(3) as pool:
                    rates["three"].append(sum(pool.map(ask, range(3))))
        finally:
            one.stop()
            three.stop()
        share = [it / (3 * alone) for alone, it in zip(*rates.values(), strict=True)]
        yield Found("members", f"3 x {load}", rates, {"of three times one": median(share)})

    def size(self) -> Iterator[Found]:
        """Many counters."""
        roost = Cluster("roost", 1)
        count = max(PAGE, int(COUNTERS * self.scale))
        try:
            roost.start()
            find_leader(roost)
            before = roost.rss_bytes()
            took_s = time.monotonic()
            for first in range(0, count, PAGE):
                self.say(f"size, {first} of {count}")
                changes = [[f"users/{it}/visits", 1] for it in range(first, first + PAGE)]
                _ask(roost, 0, "POST", "/counters/increment", json.dumps(changes))
            took_s = time.monotonic() - took_s
            pages, after = [], ""
            for _page in range(PAGES):
                began_s = time.monotonic()
                query = f"/counters?prefix=users/&limit=250&after={after}"
                said = _ask(roost, 0, "GET", query)
                pages.append(1000 * (time.monotonic() - began_s))
                after = said["after"] or ""
            stats = _ask(roost, 0, "GET", "/counters/stats")
            memory = roost.rss_bytes()
        finally:
            roost.stop()
        yield Found(
            "size",
            f"{count} counters",
            {"ms a page of 250": pages},
            {
                "bytes a counter": stats["bytes_a_counter"],
                "MiB of memory": memory / _MI,
                "MiB before": before / _MI,
                "ms a page": median(pages),
                "made a second": count / took_s,
            },
        )

    def backlog(self) -> Iterator[Found]:
        """A member that comes back to what was counted without it."""
        roost = Cluster("roost", 3)
        names = [f"n{it}" for it in range(BACKLOG_COUNTERS)]
        changes = json.dumps([[it, 120] for it in names])
        steps = max(1, int(BACKLOG_STEPS * self.scale))
        took: list[float] = []
        try:
            roost.start()
            find_leader(roost)
            total = 0
            for turn in range(self.rounds):
                self.say(f"backlog, round {turn + 1}/{self.rounds}")
                roost.end_member(2)
                for _step in range(steps):
                    _ask(roost, 0, "POST", "/counters/increment", changes)
                    total += 120
                roost.start_member(2)
                _wait(lambda: _ask(roost, 2, "GET", "/counters/stats")["state"] == "open")
                began_s = time.monotonic()
                _wait(lambda it=total: set(_read(roost, 2, names)) == {it})  # type: ignore[misc]  # bound at once
                took.append(time.monotonic() - began_s)
        finally:
            roost.stop()
        yield Found("backlog", f"{BACKLOG_COUNTERS} counters", {"s": took}, {"s": median(took)})


def _ratios(rates: dict[str, list[float]]) -> dict[str, float]:
    found = {}
    for other in ("etcd", "redis"):
        pairs = list(zip(rates["roost"], rates[other], strict=False))
        if pairs:
            found[f"of {other}"] = median(ours / theirs for ours, theirs in pairs)
    return found


def _ask(cluster: Cluster, position: int, method: str, path: str, body: str | None = None) -> Any:
    connection = HTTPConnection("127.0.0.1", cluster.ports[position], timeout=START_TIMEOUT_S)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {said!r}")
        return json.loads(said)
    finally:
        connection.close()


def _read(cluster: Cluster, position: int, names: Sequence[str]) -> list[int]:
    said = _ask(cluster, position, "GET", "/counters/read?" + "&".join(names))
    return list(said.values())


def _wait(holds: Callable[[], bool]) -> None:
    wait(holds, "a member does not come to have everything", look_s=_LOOK_S)


def main() -> None:
    """Measure, and print a line for each."""
    parser = parser_of("bench.counters", __doc__)
    add_rows(parser, ROWS)
    add_rounds(parser, 5)
    add_scale(parser, "requests and counters")
    add_json(parser)
    options = parser.parse_args()
    require_h2load()
    if not has_redis():
        print("no redis-server here: measured beside etcd only", file=sys.stderr)

    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.rounds, options.scale, say, Path(scratch))
        for row in options.rows:
            for found in getattr(bench, row)():
                say("")
                print_found(found, as_json=options.json, words=_in_words)


def _in_words(found: Found) -> str:
    rates = [f"{name} {median(it):,.1f}" for name, it in found.figures.items() if it]
    says = [f"{name} {it:,.2f}" for name, it in found.says.items()]
    return f"{found.row:<8} {found.load:<16} {'  '.join(rates)}  |  {'  '.join(says)}"


if __name__ == "__main__":
    start(main)
