"""`python -m bench.operations`: operations on three members beside etcd's, turn and turn about.

    await      `await db.run(...)` of an operation that reads a row and writes it, by tasks on the
               loop of the member that leads
    threads    `db.run(...)` of the same, by as many threads of that member's program
    txn        etcd: a transaction that gets a key and puts it, by as many tasks of one process over
               a channel of grpcio's
    put        etcd: puts by `h2load`, the client that costs least

1, 10, 100 and 1,000 callers, who wait for their answers; values have 100 bytes, and every answer
is synced on a majority.  What counts are the ratios of a round, and their medians: of `await` to
`txn`, which is what a program does in either, and to `put`, which is the aim.  Processor time is
that of all members and, but for `put`, of the callers, microseconds a call.

`--scale 0.1` makes a tenth of the calls.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.calls import PUT, VALUE, Load, find_leader, frame, h2load
from bench.options import add_json, add_rounds, add_scale, parser_of, require_h2load, start
from bench.servers import Cluster, OperationsCluster, Told, cpu_seconds
from roost.proto import rpc_pb2

CALLS = {1: 1000, 10: 5000, 100: 20_000, 1000: 30_000}
KINDS = ("await", "threads", "txn", "put")
_CONNECTIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls a second and processor time of one kind, by rounds."""

    rates: list[float]
    cpu_us: list[float]


@dataclass(frozen=True, slots=True)
class Row:
    """So many callers."""

    callers: int
    kinds: dict[str, Measured]

    def ratio(self, ours: str, theirs: str) -> float:
        """How many times as many calls, in the median of the rounds."""
        pairs = zip(self.kinds[ours].rates, self.kinds[theirs].rates, strict=True)
        return median(one / other for one, other in pairs)

    def __str__(self) -> str:
        """As people read it."""
        figures = "  ".join(
            f"{kind} {median(it.rates):7.0f}/s {median(it.cpu_us):5.0f} us"
            for kind, it in self.kinds.items()
        )
        ratios = "  ".join(
            f"{ours}/{theirs} {self.ratio(ours, theirs):.2f}"
            for ours in ("await", "threads")
            for theirs in ("txn", "put")
        )
        return f"{self.callers:5} callers  {figures}  {ratios}"


class Side:
    """All that is measured, each kind ready to be told."""

    def __init__(self, stack: ExitStack) -> None:
        """Start three clusters, and a client."""
        self._etcd = Cluster("etcd", 3)
        self._ours = {kind: OperationsCluster(how=kind) for kind in ("await", "threads")}
        stack.callback(self._etcd.stop)
        self._etcd.start()
        for it in self._ours.values():
            stack.callback(it.stop)
            it.start()
        self._leader = find_leader(self._etcd)
        port = self._etcd.ports[self._leader]
        self._client = Told(["bench.operations_process", "txn", str(port)])
        stack.callback(self._client.end)
        self._leaders = {kind: it.find_leader() for kind, it in self._ours.items()}
        self._body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "put"
        request = rpc_pb2.PutRequest(key=b"key", value=VALUE)
        self._body.write_bytes(frame(request.SerializeToString()))

    def cpu_seconds(self, kind: str) -> float:
        """Processor time of one kind so far."""
        match kind:
            case "await" | "threads":
                return cpu_seconds(it.pid for it in self._ours[kind].processes)
            case "txn":
                return self._etcd.cpu_seconds() + cpu_seconds([self._client.pid])
            case _:
                return self._etcd.cpu_seconds()

    def rate(self, kind: str, callers: int, count: int) -> float:
        """Calls a second of one kind."""
        line = f"run {callers} {count}"
        match kind:
            case "await" | "threads":
                return float(self._ours[kind].ask(self._leaders[kind], line))
            case "txn":
                return float(self._client.ask(line))
            case _:
                connections = min(callers, _CONNECTIONS_MAX)
                load = Load(connections, callers // connections, count)
                return h2load(self._etcd, self._leader, PUT, self._body, load)


def measure(side: Side, callers: int, count: int, rounds: int) -> Row:
    """All kinds by turns; every other round the other way about."""
    found = {kind: Measured([], []) for kind in KINDS}
    for turn in range(rounds):
        for kind in KINDS if turn % 2 == 0 else KINDS[::-1]:
            print(f"\r{callers} callers, round {turn + 1}/{rounds}: {kind:10}",
                  end="", file=sys.stderr, flush=True)  # fmt: skip
            before_s = side.cpu_seconds(kind)
            found[kind].rates.append(side.rate(kind, callers, count))
            spent_s = side.cpu_seconds(kind) - before_s
            found[kind].cpu_us.append(1e6 * spent_s / count)
    return Row(callers, found)


def rows_of(rounds: int, scale: float, callers: Sequence[int]) -> list[Row]:
    """Measure everything."""
    with ExitStack() as stack:
        side = Side(stack)
        measure(side, 10, 200, 1)  # what is loaded and made once
        return [measure(side, it, max(it, int(CALLS[it] * scale)), rounds) for it in callers]


def main() -> None:
    """Measure, and print rows."""
    parser = parser_of("bench.operations", __doc__)
    add_rounds(parser, 5)
    add_scale(parser, "calls")
    text = "so many at once, one run after the other (all of these)"
    parser.add_argument(
        "--callers", type=int, nargs="+", choices=tuple(CALLS), default=[*CALLS], help=text
    )
    add_json(parser)
    given = parser.parse_args()
    require_h2load()
    rows = rows_of(given.rounds, given.scale, given.callers)
    print(file=sys.stderr)
    for it in rows:
        print(json.dumps(asdict(it)) if given.json else it)


if __name__ == "__main__":
    start(main)
