"""Servers of time series to measure: Roost, InfluxDB, VictoriaMetrics, with the same face.

InfluxDB and VictoriaMetrics are Debian's packages influxdb and victoria-metrics; where one is not
installed, and no variable INFLUXD or VICTORIA_METRICS names the program, it is left out, aloud.
Debian's are old versions, 1.6 and 1.79, and VictoriaMetrics answers before anything is on a disk.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from bench.calls import find_leader
from bench.servers import (
    END_TIMEOUT_S,
    STAT_BLOCK_BYTES,
    Cluster,
    cpu_seconds,
    rss_bytes,
    wait,
)
from roost.testing.ports import free_ports

_LOOK_S = 0.05
_ASK_S = 60.0


class Server(Protocol):
    """What is measured; times are seconds, and a series is `v` of a measurement `m` by `host`."""

    port: int
    # Where lines are posted, with times in seconds.
    write_path: str

    @property
    def name(self) -> str:
        """What it is called."""

    def start(self) -> None:
        """Start it, empty, and wait until it serves."""

    def stop(self) -> None:
        """End it; its data goes with it."""

    def come_to_rest(self) -> None:
        """Have it do what it does behind writers, as far as it can be told."""

    def rows(self, host: int, start: int, stop: int, step: int) -> int:
        """Ask for means of windows of `step` seconds, 0 for points; how many were answered."""

    def cpu_seconds(self) -> float:
        """Processor time so far."""

    def rss_bytes(self) -> int:
        """Resident memory."""

    def disk_bytes(self) -> int:
        """What its files take."""


def ask(port: int, method: str, target: str, body: bytes | None = None) -> bytes:
    """The body of an answer.

    Raises:
        RuntimeError: it is no success.

    """
    connection = HTTPConnection("127.0.0.1", port, timeout=_ASK_S)
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 204):
        raise RuntimeError(f"{method} {target}: {answer.status} {said[:200]!r}")
    return said


@dataclass(slots=True)
class Roost:
    """Members of ours; one of them is asked."""

    size: int = 1
    port: int = 0
    write_path: str = "/write?precision=s"
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        """Nothing runs."""
        self.cluster = Cluster("roost", self.size)

    @property
    def name(self) -> str:
        """How many there are."""
        return f"roost x {self.size}"

    @property
    def endpoints(self) -> list[str]:
        """Where they serve."""
        return [f"127.0.0.1:{it}" for it in self.cluster.ports]

    def start(self) -> None:
        """See `Server`."""
        self.cluster.start()
        self.port = self.cluster.ports[find_leader(self.cluster)]

    def stop(self) -> None:
        """See `Server`."""
        self.cluster.stop()

    def come_to_rest(self) -> None:
        """Wait until nothing is frozen."""
        wait(lambda: not self.statistics()["frozen_points"], "sealing does not end", look_s=_LOOK_S)

    def statistics(self) -> dict[str, Any]:
        """What it says of series."""
        return dict(json.loads(ask(self.port, "GET", "/series/stats")))

    def rows(self, host: int, start: int, stop: int, step: int) -> int:
        """See `Server`."""
        given = {"name": f"m.v{{host={host}}}", "start": start, "end": stop, "precision": "s"}
        return self.answered(given | ({"window": f"{step}s", "agg": "mean"} if step else {}))

    def answered(self, given: dict[str, Any]) -> int:
        """How many rows a query has."""
        said = json.loads(ask(self.port, "GET", f"/series/query?{urlencode(given)}"))
        return sum(len(it["rows"]) for it in said["series"])

    def cpu_seconds(self) -> float:
        """See `Server`."""
        return self.cluster.cpu_seconds()

    def rss_bytes(self) -> int:
        """See `Server`."""
        return self.cluster.rss_bytes()

    def disk_bytes(self) -> int:
        """See `Server`."""
        return self.cluster.disk_bytes()


@dataclass(slots=True)
class Other:
    """A process of somebody else's, with its data in a directory of its own."""

    name: str
    write_path: str
    port: int = 0
    root: Any = field(default_factory=tempfile.TemporaryDirectory)
    process: subprocess.Popen[bytes] | None = None

    def command(self, port: int, place: Path) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def begin(self) -> None:
        """Ask it for what it needs before points; it fails until it serves."""
        raise NotImplementedError

    def start(self) -> None:
        """See `Server`."""
        (self.port,) = free_ports(1)
        place = Path(self.root.name)
        environment = {**os.environ, "HOME": str(place)}
        with (place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(self.port, place), stdout=log, stderr=log, env=environment
            )

        def serves() -> bool:
            self.begin()
            return True

        wait(serves, f"{self.name} does not serve", look_s=_LOOK_S)

    def stop(self) -> None:
        """See `Server`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(END_TIMEOUT_S)
        self.root.cleanup()

    def come_to_rest(self) -> None:
        """It cannot be told."""

    def rows(self, host: int, start: int, stop: int, step: int) -> int:
        """See `Server`."""
        raise NotImplementedError

    def _pids(self) -> list[int]:
        return [] if self.process is None else [self.process.pid]

    def cpu_seconds(self) -> float:
        """See `Server`."""
        return cpu_seconds(self._pids())

    def rss_bytes(self) -> int:
        """See `Server`."""
        return rss_bytes(self._pids())

    def disk_bytes(self) -> int:
        """See `Server`."""
        held = (it for it in Path(self.root.name).rglob("*") if it.is_file())
        return sum(it.stat().st_blocks for it in held) * STAT_BLOCK_BYTES


class Influx(Other):
    """InfluxDB 1: its write-ahead log is synced with each request, as it is when installed."""

    def __init__(self) -> None:
        """Nothing runs."""
        super().__init__("influxdb", "/write?db=bench&precision=s")

    def command(self, port: int, place: Path) -> list[str]:
        """See `Other`."""
        (backup,) = free_ports(1)
        config = place / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup}"\n'
            f'[meta]\ndir = "{place}/meta"\n'
            f'[data]\ndir = "{place}/data"\nwal-dir = "{place}/wal"\nindex-version = "tsi1"\n'
            "query-log-enabled = false\nmax-series-per-database = 0\nmax-values-per-tag = 0\n"
            f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
            "[monitor]\nstore-enabled = false\n"
        )
        return [str(program("influxd", "INFLUXD")), "-config", str(config)]

    def begin(self) -> None:
        """See `Other`."""
        ask(self.port, "POST", f"/query?{urlencode({'q': 'CREATE DATABASE bench'})}")

    def rows(self, host: int, start: int, stop: int, step: int) -> int:
        """See `Server`."""
        what, by = ("mean(v)", f" GROUP BY time({step}s)") if step else ("v", "")
        text = f"SELECT {what} FROM m WHERE host='{host}' AND time>={start}s AND time<{stop}s{by}"
        query = urlencode({"db": "bench", "epoch": "s", "q": text})
        said = json.loads(ask(self.port, "GET", f"/query?{query}"))
        series = said["results"][0].get("series", [])
        return sum(len(it["values"]) for it in series)


class Victoria(Other):
    """VictoriaMetrics, without its cache of answers."""

    def __init__(self) -> None:
        """Nothing runs."""
        super().__init__("victoria-metrics", "/write?precision=s")

    def command(self, port: int, place: Path) -> list[str]:
        """See `Other`."""
        return [
            str(program("victoria-metrics", "VICTORIA_METRICS")),
            *(f"-storageDataPath={place}/data", f"-httpListenAddr=127.0.0.1:{port}"),
            *("-retentionPeriod=100y", "-search.disableCache", "-loggerLevel=ERROR"),
            *("-search.maxPointsPerTimeseries=2000000", "-search.latencyOffset=0s"),
        ]

    def begin(self) -> None:
        """See `Other`."""
        ask(self.port, "GET", "/health")

    def come_to_rest(self) -> None:
        """Have it show what it took, and merge its parts."""
        ask(self.port, "GET", "/internal/force_flush")

    def rows(self, host: int, start: int, stop: int, step: int) -> int:
        """See `Server`; for points, the exported ones."""
        selector = f'm_v{{host="{host}"}}'
        if not step:
            given = {"match[]": selector, "start": start, "end": stop - 1}
            said = ask(self.port, "GET", f"/api/v1/export?{urlencode(given)}")
            return sum(len(json.loads(line)["values"]) for line in said.splitlines())
        query = f"avg_over_time({selector}[{step}s])"
        given = {"query": query, "start": start + step, "end": stop, "step": step, "nocache": 1}
        said = json.loads(ask(self.port, "GET", f"/api/v1/query_range?{urlencode(given)}"))
        return sum(len(it["values"]) for it in said["data"]["result"])


def program(name: str, variable: str) -> Path | None:
    """Where a program is; None where it is not."""
    found = os.environ.get(variable) or shutil.which(name)
    return None if found is None else Path(found)


def others() -> list[Callable[[], Other]]:
    """Those that are installed."""
    found: list[Callable[[], Other]] = []
    if program("influxd", "INFLUXD") is not None:
        found.append(Influx)
    if program("victoria-metrics", "VICTORIA_METRICS") is not None:
        found.append(Victoria)
    return found
