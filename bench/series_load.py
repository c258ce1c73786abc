"""What drives servers of time series: lines of points, who posts them, and what a round took."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from statistics import median, quantiles
from typing import Any

import numpy as np

from bench.found import Found
from bench.series_servers import Server

BEGIN_S = 1_700_000_000
MI = 1 << 20


@dataclass(frozen=True, slots=True)
class Drive:
    """What one round of requests took."""

    point_count: int
    took_s: float
    cpu_s: float
    waits_ms: list[float]

    @property
    def rate(self) -> float:
        """Points a second."""
        return self.point_count / self.took_s

    @property
    def cpu_us(self) -> float:
        """Processor time of the servers a point."""
        return self.cpu_s / self.point_count * 1e6

    @property
    def p99_ms(self) -> float:
        """What one request of a hundred took longer than."""
        return quantiles(self.waits_ms, n=100)[98]


def values_of(number: Any, numbers: Any) -> Any:  # Any: numbers, or arrays
    """Values of series at some places: a slow wave, and noise, with two decimals."""
    noise = np.modf(np.sin(numbers * 12.9898 + number * 78.233) * 43758.5453)[0]
    return np.round(20 + 5 * np.sin(numbers / 500 + number) + noise, 2)


def lines_of(hosts: Sequence[int], times_s: Sequence[int]) -> bytes:
    """Lines of points."""
    values = values_of(np.array(hosts), np.array(times_s) - BEGIN_S).tolist()
    rows = zip(hosts, values, times_s, strict=True)
    return b"".join([b"m,host=%d v=%.2f %d\n" % row for row in rows])


def drive(server: Server, bodies: Sequence[bytes], point_count: int, connections: int = 1) -> Drive:
    """Post bodies over some connections, each of which waits for its answers.

    Raises:
        RuntimeError: one is refused.

    """
    waits, faults, places = list[float](), list[str](), count()

    def post() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        while not faults and (place := next(places)) < len(bodies):
            begun_s = time.perf_counter()
            connection.request("POST", server.write_path, bodies[place])
            answer = connection.getresponse()
            said = answer.read()
            waits.append(1000 * (time.perf_counter() - begun_s))
            if answer.status != 204:
                faults.append(f"{server.name}: {answer.status} {said[:200]!r}")
        connection.close()

    return driven(server, [post] * connections, point_count, waits, faults)


class _Poster(asyncio.Protocol):
    """One connection, that posts the next body as soon as one is answered."""

    def __init__(self, bodies: Iterator[bytes], path: str, waits_ms: list[float]) -> None:
        """Post them there."""
        self._bodies, self._path, self._waits_ms = bodies, path, waits_ms
        self._answer, self._begun_s = b"", 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._post()

    def _post(self) -> None:
        assert self._transport is not None
        body = next(self._bodies, None)
        if body is None:
            self._transport.close()
            return
        head = f"POST {self._path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        self._begun_s = time.perf_counter()
        self._transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        """Go on, when the answer is whole; one of success has no body."""
        self._answer += data
        if not self._answer.endswith(b"\r\n\r\n"):
            return
        if not self._answer.startswith(b"HTTP/1.1 204"):
            self.ended.set_exception(RuntimeError(f"{self._answer[:200]!r}"))
            self._bodies = iter(())
        self._waits_ms.append(1000 * (time.perf_counter() - self._begun_s))
        self._answer = b""
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        """All was posted, or the server does not want it."""
        if not self.ended.done():
            fault = RuntimeError(f"closed: {exc} {self._answer[:200]!r}")
            if self._answer or exc:
                self.ended.set_exception(fault)
            else:
                self.ended.set_result(None)


def drive_many(server: Server, bodies: Sequence[bytes], connections: int) -> Drive:
    """Post small bodies, of a point each, over many connections, with little of this process.

    Raises:
        RuntimeError: one is refused.

    """
    waits, path = list[float](), server.write_path

    async def post() -> None:
        loop, left = asyncio.get_running_loop(), iter(bodies)
        made = [
            await loop.create_connection(
                lambda: _Poster(left, path, waits), "127.0.0.1", server.port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(poster.ended for _, poster in made))

    before, begun_s = server.cpu_seconds(), time.perf_counter()
    asyncio.run(post())
    took_s = time.perf_counter() - begun_s
    if len(waits) != len(bodies):
        raise RuntimeError(f"{server.name}: {len(waits)} of {len(bodies)} were answered")
    return Drive(len(bodies), took_s, server.cpu_seconds() - before, waits)


def warm(server: Server) -> None:
    """Have it load what it needs for points; what its files take then is no point's."""
    drive(server, [lines_of([0, 1], [BEGIN_S - 1, BEGIN_S - 1])], 2)


def driven(
    server: Server, works: Sequence[Callable[[], None]], point_count: int, waits: list[float],
    faults: list[str],
) -> Drive:  # fmt: skip
    """Run works at once, each in a thread of its own.

    Raises:
        RuntimeError: one of them had a fault.

    """
    before, begun_s = server.cpu_seconds(), time.perf_counter()
    threads = [threading.Thread(target=it) for it in works]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    took_s = time.perf_counter() - begun_s
    if faults:
        raise RuntimeError(faults[0])
    return Drive(point_count, took_s, server.cpu_seconds() - before, waits)


def of_drives(row: str, load: str, drives: Sequence[Drive]) -> Found:
    """What rounds took, and the medians of it."""
    figures = {
        "points/s": [it.rate for it in drives],
        "cpu us": [it.cpu_us for it in drives],
        "p99 ms": [it.p99_ms for it in drives],
    }
    return Found(row, load, figures, {name: median(it) for name, it in figures.items()})
