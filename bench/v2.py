"""`python -m bench.v2`: the bench of 2014 for etcd's v2, Roost and real etcd in one run.

50,000 writes by 500 writers while 500 watchers listen, each on a connection of its own: a writer
sets a key (`PUT /v2/keys/...`), waits for the answer, and sets the next one; a watcher waits for
the next change of its key (`wait=true`), and waits again. Then the same writes while nobody
listens, and stream watchers (`stream=true`) of one directory, on as many connections as are asked
for, which are all told of each of a few changes.

    puts/s        writes that were answered, by the time of all
    waits/s       waits that were answered meanwhile
    p50, p99      from the sending of a write to its answer, in milliseconds
    CPU us        processor time of the server's processes for a write with its waits, in
                  microseconds: what a busy machine changes least
    KiB           resident memory of the server a stream watcher, by the growth from none to all:
                  when they wait, and after they were told (at its most, if it is not given back)
    told s        from a change to when the last of all stream watchers has heard of it, the longest
    put ms        the longest of the puts that another client makes meanwhile, one after another

The client is the same for both, one process: what it takes is part of all times, so a ratio of two
servers is smaller here than it is.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

from bench.options import add_json, add_rounds, count, parser_of, start
from bench.servers import Cluster

_VALUE = "x" * 100
_HEAD_END = b"\r\n\r\n"
_CONNECTIONS_AT_ONCE = 200
_START_S = 60.0
_EVENT = b'"action"'
_CHANGES = 5


class Connection(asyncio.Protocol):
    """One connection, on which one request at a time is asked."""

    def __init__(self) -> None:
        """Nothing is asked."""
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Some of an answer, or all of it."""
        self._buffer += data
        body = _body_of(self._buffer)
        if body is not None and self._waiting is not None:
            self._buffer = b""
            waiting, self._waiting = self._waiting, None
            if not waiting.done():
                waiting.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has closed it."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("the server has closed it"))

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        """Send a request; its answer's body, when all of it has come."""
        assert self._transport is not None, "it is connected"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        """Hang up; whoever waits hears nothing more."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._transport is not None:
            self._transport.abort()


class Hearer(asyncio.Protocol):
    """One connection with a stream watcher, who counts what it is told."""

    def __init__(self) -> None:
        """Nothing is told."""
        self.count = 0
        self._rest = b""
        self.transport: asyncio.Transport | None = None
        self.is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_wait("stream", is_stream=True))

    def data_received(self, data: bytes) -> None:
        """Some of an event, or several."""
        text = self._rest + data
        self.count += text.count(_EVENT)
        self._rest = text[1 - len(_EVENT) :]

    def connection_lost(self, exc: Exception | None) -> None:
        """It is told nothing more."""
        del exc
        self.is_gone = True


def _body_of(data: bytes) -> bytes | None:
    """The body of an answer that is whole; None while it is not."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    head, body = data[:end].lower(), data[end + len(_HEAD_END) :]
    at = head.find(b"content-length:")
    if at >= 0:
        stop = head.find(b"\r\n", at)
        length = int(head[at + 15 : stop if stop >= 0 else len(head)])
        return body if len(body) >= length else None
    return body if body.endswith(b"0\r\n\r\n") else None


_STATISTICS = b"GET /v2/stats/store HTTP/1.1\r\nhost: x\r\n\r\n"


def _put(key: str) -> bytes:
    body = f"value={_VALUE}"
    return (
        f"PUT /v2/keys/{key} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\n\r\n{body}"
    ).encode()


def _wait(key: str, *, is_stream: bool = False) -> bytes:
    more = "&stream=true&recursive=true" if is_stream else ""
    return f"GET /v2/keys/{key}?wait=true{more} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


@dataclass
class Load:
    """What comes of one run of writers."""

    puts_per_s: float = 0.0
    waits_per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: float = 0.0
    waits: int = 0
    latencies: list[float] = field(default_factory=list)


class Left:
    """Writes that all writers share."""

    def __init__(self, count: int) -> None:
        """All are left."""
        self._count = count

    def take(self) -> bool:
        """Take one; False when none is left."""
        self._count -= 1
        return self._count >= 0


class Bench:
    """One server, and its clients."""

    def __init__(self, port: int) -> None:
        """Nobody is connected."""
        self._port = port
        self._open: list[Connection] = []

    async def connected(self, count: int) -> list[Connection]:
        """So many new connections."""
        loop, found = asyncio.get_running_loop(), list[Connection]()
        while len(found) < count:
            batch = min(_CONNECTIONS_AT_ONCE, count - len(found))
            made = await asyncio.gather(
                *(loop.create_connection(Connection, "127.0.0.1", self._port) for _ in range(batch))
            )
            found += [protocol for _, protocol in made]
        self._open += found
        return found

    async def load(self, *, writes: int, writers: int, watchers: int) -> Load:
        """Have all write, and listen."""
        load = Load()
        listening = await self.connected(watchers)
        tasks = [
            asyncio.ensure_future(self._listen(it, f"bench/{number % writers}", load))
            for number, it in enumerate(listening)
        ]
        writing = await self.connected(writers)
        left = Left(writes)
        begin = time.monotonic()
        await asyncio.gather(
            *(self._write(it, f"bench/{number}", left, load) for number, it in enumerate(writing))
        )
        took = time.monotonic() - begin
        load.puts_per_s, load.waits_per_s = writes / took, load.waits / took
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.hang_up()
        ordered = sorted(load.latencies)
        load.p50_ms = statistics.median(ordered) * 1000
        load.p99_ms = ordered[int(len(ordered) * 0.99)] * 1000
        load.latencies = []
        return load

    async def _write(self, one: Connection, key: str, left: "Left", load: Load) -> None:
        request = _put(key)
        while left.take():
            begin = time.monotonic()
            said = await one.ask(request)
            load.latencies.append(time.monotonic() - begin)
            assert b'"action":"set"' in said, said

    async def _listen(self, one: Connection, key: str, load: Load) -> None:
        request = _wait(key)
        while True:
            said = await one.ask(request)
            assert b'"action":"set"' in said, said
            load.waits += 1

    async def stream(self, count: int) -> list[Hearer]:
        """Have so many listen to all that happens below one key, and wait until they do."""
        loop, found = asyncio.get_running_loop(), list[Hearer]()
        while len(found) < count:
            batch = min(_CONNECTIONS_AT_ONCE, count - len(found))
            made = await asyncio.gather(
                *(loop.create_connection(Hearer, "127.0.0.1", self._port) for _ in range(batch))
            )
            found += [protocol for _, protocol in made]
        [one] = await self.connected(1)
        async with asyncio.timeout(_START_S):
            while json.loads(await one.ask(_STATISTICS))["watchers"] < count:
                await asyncio.sleep(0.05)
        return found

    async def tell(self, hearers: list[Hearer]) -> tuple[float, float]:
        """Change something a few times; see the columns `told s` and `put ms`."""
        changing, beside = await self.connected(2)
        told_s, put_ms = 0.0, 0.0
        for number in range(_CHANGES):
            begin = time.monotonic()
            await changing.ask(_put("stream/x"))
            while any(it.count <= number for it in hearers):
                assert not any(it.is_gone for it in hearers), "a watcher was hung up on"
                asked = time.monotonic()
                await beside.ask(_put("bench/beside"))
                put_ms = max(put_ms, (time.monotonic() - asked) * 1000)
            told_s = max(told_s, time.monotonic() - begin)
        assert all(it.count == _CHANGES for it in hearers), "each was told of each once"
        return told_s, put_ms

    def hang_up(self) -> None:
        """Close all."""
        for it in self._open:
            it.close()
        self._open.clear()


async def _until_served(bench: Bench) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            try:
                [one] = await bench.connected(1)
                if b"action" in await one.ask(_put("bench/first")):
                    return
            except (OSError, ConnectionError):
                await asyncio.sleep(0.05)


@dataclass
class Figures:
    """What was measured of one server."""

    listened: Load
    alone: Load
    # A stream watcher; waiting, and after all were told.
    waiting_kib: float
    told_kib: float
    told_s: float
    put_ms: float


async def _measure(cluster: Cluster, options: argparse.Namespace) -> Figures:
    bench = Bench(cluster.ports[0])
    await _until_served(bench)
    writes, writers = options.writes, options.writers
    loads: list[Load] = []
    for watchers in (options.watchers, 0):
        used_s = cluster.cpu_seconds()
        load = await bench.load(writes=writes, writers=writers, watchers=watchers)
        load.cpu_us = (cluster.cpu_seconds() - used_s) / writes * 1e6
        loads.append(load)
    listened, alone = loads
    before, count = cluster.rss_bytes(), options.streams
    if not count:
        return Figures(listened, alone, 0.0, 0.0, 0.0, 0.0)
    hearers = await bench.stream(count)
    waiting = (cluster.rss_bytes() - before) / count / 1024
    told_s, put_ms = await bench.tell(hearers)
    told = (cluster.rss_bytes() - before) / count / 1024
    for it in hearers:
        assert it.transport is not None, "it is connected"
        it.transport.abort()
    bench.hang_up()
    return Figures(listened, alone, waiting, told, told_s, put_ms)


def measure(kind: str, options: argparse.Namespace) -> Figures:
    """Everything, of one server."""
    flags = {"enable-v2": "true"}
    if kind == "roost":
        flags["max-connections"] = str(options.streams + 2_000)
    cluster = Cluster(kind, options.members, flags=flags)
    cluster.start()
    try:
        return uvloop.run(_measure(cluster, options))
    finally:
        cluster.stop()


def main() -> None:
    """Measure both, and print a table."""
    parser = parser_of("bench.v2", __doc__)
    for name, default, text in (
        ("--writes", 50_000, "puts of all writers"),
        ("--writers", 500, "who put, each on a connection of its own"),
        ("--watchers", 500, "who wait for a change meanwhile, one after another"),
        ("--streams", 10_000, "stream watchers of one directory"),
        ("--members", 1, "of a cluster"),
    ):
        parser.add_argument(name, type=count, default=default, help=f"{text} (%(default)s)")
    add_rounds(parser, 1)
    add_json(parser)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows: list[tuple[str, Figures]] = []
    for number in range(options.rounds):
        for kind in ("roost", "etcd") if number % 2 == 0 else ("etcd", "roost"):
            print(f"{kind}, round {number + 1}", end="\r", file=sys.stderr, flush=True)
            rows.append((kind, measure(kind, options)))
    if options.json:
        said = [
            {
                "server": kind,
                "listened": vars(it.listened),
                "alone": vars(it.alone),
                "waiting_kib": it.waiting_kib,
                "told_kib": it.told_kib,
                "told_s": it.told_s,
                "put_ms": it.put_ms,
            }
            for kind, it in rows
        ]
        print(json.dumps(said))
        return
    columns: tuple[str, ...] = (
        "puts/s",
        "waits/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "puts/s alone",
        "CPU us alone",
    )
    columns += ("KiB a stream", "told s", "put ms")
    print(f"| server | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for kind, it in rows:
        load = it.listened
        print(
            f"| {kind} | {load.puts_per_s:,.0f} | {load.waits_per_s:,.0f} | {load.p50_ms:.1f} "
            f"| {load.p99_ms:.1f} | {load.cpu_us:.0f} | {it.alone.puts_per_s:,.0f} "
            f"| {it.alone.cpu_us:.0f} | {it.waiting_kib:.1f}, {it.told_kib:.1f} "
            f"| {it.told_s:.2f} | {it.put_ms:.0f} |"
        )


if __name__ == "__main__":
    start(main)
