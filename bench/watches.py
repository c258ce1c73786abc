"""`python -m bench.watches`: many watchers on one member, Roost and real etcd in one run.

10,000 watchers on ten connections, 1,000 of them on one hot key, the others on a key each.  The
hot key is put again and again by a process of its own; each put is told to a thousand watchers.

    events/s     events that arrived, by the time from the first put to the last event
    p50, p99     from the moment before a put to the arrival of an event of it, every event of one
                 connection counted, while puts are paced
    stalled      the same, while another connection watches the hot key and takes nothing
    KiB          resident memory of the server a watcher, by the growth from none to all

The client is the same for both: it reads frames, and looks at nothing else.
"""

import argparse
import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import grpc

from bench.options import add_json, count, parser_of, start
from bench.servers import Cluster
from roost.proto import rpc_pb2 as pb
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as h2

CONNECTIONS = 10
_WINDOW = (1 << 31) - 1
HOT = b"hot"
_REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/etcdserverpb.Watch/Watch"),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)


class Watchers:
    """One connection with one stream and many watchers."""

    def __init__(self, port: int, *, window: int = _WINDOW) -> None:
        """Connect, and open the stream; with a `window` of 0 nothing is ever taken."""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.created_count = self.event_count = 0
        self.latencies: list[float] = []
        self.is_timed = False
        self._rest = b""
        self._message = b""
        self._unacknowledged = 0
        head = b"".join(
            b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
            for name, value in _REQUEST
        )
        self.socket.sendall(
            PREFACE
            + h2.settings({h2.INITIAL_WINDOW_SIZE: window})
            + h2.window_update(0, _WINDOW - h2.WINDOW_DEFAULT)
            + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, head)
        )

    def watch(self, key: bytes) -> None:
        """Ask for one more watcher."""
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key))
        body = create.SerializeToString()
        message = b"\0" + len(body).to_bytes(4, "big") + body
        self.socket.sendall(h2.frame(h2.DATA, 0, 1, message))

    def read(self) -> None:
        """Take what has come."""
        data = self.socket.recv(1 << 18)
        assert data, "the server has closed the connection"
        now = time.monotonic_ns()
        data = self._rest + data
        offset = 0
        while len(data) - offset >= h2.HEAD_BYTES:
            length = int.from_bytes(data[offset : offset + 3], "big")
            end = offset + h2.HEAD_BYTES + length
            if end > len(data):
                break
            kind, flags = data[offset + 3], data[offset + 4]
            payload = data[offset + h2.HEAD_BYTES : end]
            if kind == h2.DATA:
                self._unacknowledged += length
                self._take(payload, now)
            elif kind == h2.PING and not flags & h2.ACK:
                self.socket.sendall(h2.frame(h2.PING, h2.ACK, 0, payload))
            elif kind == h2.SETTINGS and not flags & h2.ACK:
                self.socket.sendall(h2.frame(h2.SETTINGS, h2.ACK, 0, b""))
            offset = end
        self._rest = data[offset:]
        if self._unacknowledged > 1 << 20:
            count, self._unacknowledged = self._unacknowledged, 0
            self.socket.sendall(h2.window_update(0, count) + h2.window_update(1, count))

    def _take(self, payload: bytes, now: int) -> None:
        data = self._message + payload
        offset = 0
        while len(data) - offset >= 5:
            end = offset + 5 + int.from_bytes(data[offset + 1 : offset + 5], "big")
            if end > len(data):
                break
            self._count(data[offset + 5 : end], now)
            offset = end
        self._message = data[offset:]

    def _count(self, message: bytes, now: int) -> None:
        if self.is_timed or len(message) > 1 << 12:
            answer = pb.WatchResponse.FromString(message)
            self.created_count += answer.created
            self.event_count += len(answer.events)
            for event in answer.events:
                self.latencies.append((now - int(event.kv.value)) / 1e6)
            return
        # Fields of a WatchResponse one after another: only their kinds are looked at.
        offset, end = 0, len(message)
        while offset < end:
            tag = message[offset]
            offset += 1
            number = shift = 0
            while True:
                byte = message[offset]
                offset += 1
                number |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            if tag & 7 == 2:
                offset += number
            if tag == 0x5A:
                self.event_count += 1
            elif tag == 0x18:
                self.created_count += 1


@dataclass
class Figures:
    """What was measured of one server."""

    kib_a_watcher: float
    events_per_s: float
    p50_ms: float
    p99_ms: float
    stalled_p99_ms: float


def put_hot(port: int, count: int, pause_ms: float) -> None:
    """Put the hot key `count` times, its value the moment before; a process of its own."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/etcdserverpb.KV/Put")
        for _ in range(count):
            request = pb.PutRequest(key=HOT, value=b"%d" % time.monotonic_ns())
            method(request.SerializeToString(), timeout=60)
            time.sleep(pause_ms / 1000)


def _drive(
    all_watchers: list[Watchers], port: int, puts: int, pause_ms: float, expected: int
) -> float:
    """Put, and read until every event has come; the seconds that took."""
    selector = selectors.DefaultSelector()
    for it in all_watchers:
        selector.register(it.socket, selectors.EVENT_READ, it)
    before = sum(it.event_count for it in all_watchers)
    command = [sys.executable, "-m", "bench.watches", "--put", str(port), str(puts), str(pause_ms)]
    putter = subprocess.Popen(command)
    begin = 0.0
    while (got := sum(it.event_count for it in all_watchers) - before) < expected:
        for key, _ in selector.select(60):
            key.data.read()
        if got and not begin:
            begin = time.monotonic()
    took = time.monotonic() - begin
    putter.wait()
    selector.close()
    return took


def _wait_created(found: list[Watchers], count: int) -> None:
    while sum(it.created_count for it in found) < count:
        for it in found:
            it.socket.setblocking(False)
            try:
                it.read()
            except BlockingIOError:
                continue
            finally:
                it.socket.setblocking(True)


def measure(kind: str, *, watchers: int, hot: int, puts: int) -> Figures:
    """Everything, of one server."""
    server = Cluster(kind, 1)
    server.start()
    try:
        port = server.ports[0]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(30)
            body = pb.PutRequest(key=b"first").SerializeToString()
            channel.unary_unary("/etcdserverpb.KV/Put")(body, timeout=30)
        before = server.rss_bytes()
        found = [Watchers(port) for _ in range(CONNECTIONS)]
        for number in range(watchers):
            found[number % CONNECTIONS].watch(HOT if number < hot else b"cold-%d" % number)
            if number % 500 == 499:
                _wait_created(found, number + 1)
        _wait_created(found, watchers)
        kib = (server.rss_bytes() - before) / watchers / 1024
        took = _drive(found, port, puts, 0, puts * hot)
        rate = puts * hot / took
        paced = max(20, puts // 4)
        found[0].is_timed = True
        _drive(found, port, paced, 50, paced * hot)
        latencies = sorted(found[0].latencies)
        stalled = Watchers(port, window=0)
        stalled.watch(HOT)
        found[0].latencies = []
        _drive(found, port, paced, 50, paced * hot)
        with_stalled = sorted(found[0].latencies)
        return Figures(
            kib,
            rate,
            statistics.median(latencies),
            latencies[int(len(latencies) * 0.99)],
            with_stalled[int(len(with_stalled) * 0.99)],
        )
    finally:
        server.stop()


def main() -> None:
    """Measure both, and print a table."""
    parser = parser_of("bench.watches", __doc__)
    for name, default, text in (
        ("--watchers", 10_000, "in all, on ten connections"),
        ("--hot", 1_000, "of them on the key that is put"),
        ("--puts", 300, "of that key"),
    ):
        parser.add_argument(name, type=count, default=default, help=f"{text} (%(default)s)")
    add_json(parser)
    parser.add_argument("--put", nargs=3, help=argparse.SUPPRESS)  # the process that puts
    options = parser.parse_args()
    if options.put:
        put_hot(int(options.put[0]), int(options.put[1]), float(options.put[2]))
        return
    if options.hot > options.watchers:
        parser.error(f"--hot: {options.hot} of {options.watchers} watchers cannot be on one key")
    rows = {}
    for kind in ("roost", "etcd"):
        print(f"{kind}: {options.watchers} watchers", end="\r", file=sys.stderr, flush=True)
        rows[kind] = measure(kind, watchers=options.watchers, hot=options.hot, puts=options.puts)
    if options.json:
        print(json.dumps({kind: vars(row) for kind, row in rows.items()}))
        return
    print("| server | KiB a watcher | events/s | p50 ms | p99 ms | p99 ms beside a stalled one |")
    print("|---|---|---|---|---|---|")
    for kind, row in rows.items():
        print(
            f"| {kind} | {row.kib_a_watcher:.1f} | {row.events_per_s:,.0f} | {row.p50_ms:.1f} "
            f"| {row.p99_ms:.1f} | {row.stalled_p99_ms:.1f} |"
        )


if __name__ == "__main__":
    start(main)
