"""`python -m bench.tracing`: what a request's id costs (decision record 0035).

One member of Roost on the disk, and callers of gRPC that put, by turns:

    without   no id, and nobody looks: what nearly all requests are
    unread    an id of its own each, and nobody looks
    looking   no id, while the ways of requests are logged
    logged    an id of its own each, while they are

The figure is processor time of the member's processes for a put, in microseconds: what a busy
machine changes least; and of each round its ratio to `without`.  Then, in nanoseconds, single
steps: the look at a flow's class, which is all that a layer does for a request without an id; the
search for an id among a request's headers; and what a whole way of seven steps costs that becomes
a span of OpenTelemetry, or a line a step.
"""

import asyncio
import json
import logging
import statistics
import timeit
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import HTTPConnection

import grpc.aio

from bench.calls import PUT, VALUE, find_leader
from bench.options import add_rounds, count, parser_of, start
from bench.servers import Cluster
from roost import tracing
from roost.flow import Flow
from roost.proto import rpc_pb2
from roost.tracing import Way, id_of

MODES = {"without": (False, "default"), "unread": (True, "default"),
         "looking": (False, "debug"), "logged": (True, "debug")}  # fmt: skip
CALLERS = 64
_TIMEOUT_S = 60.0
_HEADERS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/etcdserverpb.KV/Put"),
    (b":authority", b"127.0.0.1:2379"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python-asyncio/1.85 grpc-c/51.0"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
_STEPS = ("queued", "run", "proposed", "durable", "committed", "applied")


class Callers:
    """So many at once, over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Nobody has asked."""
        self._put = channel.unary_unary(PUT)
        self._number = 0

    async def run(self, count: int, *, has_id: bool) -> None:
        """Make `count` puts."""
        end = self._number + count

        async def calls() -> None:
            while self._number < end:
                self._number += 1
                key = b"key-%d" % (self._number % 1000)
                request = rpc_pb2.PutRequest(key=key, value=VALUE).SerializeToString()
                metadata = [("x-request-id", f"bench-{self._number}")] if has_id else []
                await self._put(request, timeout=_TIMEOUT_S, metadata=metadata)

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(calls())


def look(port: int, level: str) -> None:
    """Have the member note the ways of requests, or not.

    Raises:
        RuntimeError: it does not.

    """
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        body = json.dumps({"Level": level, "Module": "roost.tracing"})
        connection.request("PUT", "/config/local/log", body)
        answer = connection.getresponse()
        if answer.status != HTTPStatus.NO_CONTENT:
            raise RuntimeError(answer.read().decode())
    finally:
        connection.close()


async def measure(cluster: Cluster, *, rounds: int, count: int) -> dict[str, list[float]]:
    """Processor time for a put, in microseconds, by mode and round."""
    found: dict[str, list[float]] = {name: [] for name in MODES}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cluster.ports[0]}") as channel:
        callers = Callers(channel)
        await callers.run(count, has_id=False)  # a member that has just started is slower
        for number in range(rounds):
            # Each is first, second, third and last as often as the others.
            names = list(MODES)
            for name in (*names[number % 4 :], *names[: number % 4]):
                has_id, level = MODES[name]
                await asyncio.to_thread(look, cluster.ports[0], level)
                used_s = cluster.cpu_seconds()
                await callers.run(count, has_id=has_id)
                found[name].append((cluster.cpu_seconds() - used_s) / count * 1e6)
    return found


def nanoseconds(step: Callable[[], object], count: int = 20_000) -> float:
    """What one takes, by the best of several times; the empty call is taken off."""

    def best(it: Callable[[], object]) -> float:
        return min(timeit.repeat(it, number=count, repeat=7)) / count * 1e9

    return best(step) - best(lambda: None)


def walk() -> None:
    """The way of a put at its leader."""
    way = Way("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "etcd.put", "m1")
    for it in _STEPS:
        way.note(it, entry="3:1842", requests=17)
    way.end("answered", outcome="done")


def span_sink() -> Callable[[Way], None]:
    """What makes spans, kept by nobody."""
    from opentelemetry.sdk.trace import TracerProvider

    from roost.cli.spans import sink_of

    return sink_of(TracerProvider(shutdown_on_exit=False).get_tracer("bench"))


def single_steps() -> dict[str, float]:
    """Nanoseconds by step."""
    flow = Flow("10.0.0.1", 4711)
    found = {
        "a look at a flow's class": nanoseconds(lambda: type(flow) is not Flow),
        "whether anybody looks": nanoseconds(tracing.is_on),
        "an id among eight headers, which is not there": nanoseconds(lambda: id_of(_HEADERS)),
        "a way of seven steps that nobody hears": nanoseconds(walk, 2_000),
    }
    tell = span_sink()
    tracing.sinks.append(tell)
    try:
        found["the same as a span"] = nanoseconds(walk, 2_000)
    finally:
        tracing.sinks.remove(tell)
    told = logging.getLogger("roost.tracing")
    told.addHandler(logging.NullHandler())
    told.propagate, level = False, told.level
    told.setLevel(logging.DEBUG)
    try:
        found["the same as lines, written nowhere"] = nanoseconds(walk, 2_000)
    finally:
        told.setLevel(level)
    return found


def report(found: dict[str, list[float]], steps: dict[str, float]) -> Sequence[str]:
    """Two tables."""
    lines = ["| puts | CPU us a put, median | to `without`, median (all) |", "|---|---|---|"]
    for name, all_us in found.items():
        ratios = [it / base for it, base in zip(all_us, found["without"], strict=True)]
        listed = ", ".join(f"{it:.2f}" for it in sorted(ratios))
        text = f"{statistics.median(ratios):.2f} ({listed})"
        lines.append(f"| {name} | {statistics.median(all_us):.0f} | {text} |")
    lines += ["", "| step | ns |", "|---|---|"]
    return [*lines, *(f"| {name} | {took_ns:,.0f} |" for name, took_ns in steps.items())]


def main() -> None:
    """Measure, and print."""
    parser = parser_of("bench.tracing", __doc__)
    add_rounds(parser, 8)
    text = "in each mode of a round (%(default)s)"
    parser.add_argument("--puts", type=count, default=4000, help=text)
    given = parser.parse_args()
    cluster = Cluster("roost", 1)
    cluster.start()
    try:
        find_leader(cluster)
        found = asyncio.run(measure(cluster, rounds=given.rounds, count=given.puts))
    finally:
        cluster.stop()
    print("\n".join(report(found, single_steps())))


if __name__ == "__main__":
    start(main)
