"""A cluster of Roost and one of etcd, measured turn and turn about."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from bench.calls import VALUE, call, find_leader
from bench.rows import RATE, Row
from bench.servers import Cluster
from roost.proto import rpc_pb2

KINDS = ("roost", "etcd")
KEY = b"key"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a campaign is done: rounds, times the requests of a round, and who is told of it."""

    rounds: int
    scale: float
    say: Callable[[str], None]


class Pair:
    """One cluster of each kind, the same size; what they hold goes with them."""

    def __init__(self, size: int, plan: Plan, *, is_tls: bool = False) -> None:
        """Nothing runs before `with`."""
        self.size = size
        self.plan = plan
        self.clusters = {kind: Cluster(kind, size, is_tls=is_tls) for kind in KINDS}
        self.leaders: dict[str, int] = {}

    def __enter__(self) -> "Pair":
        """Start all members, and wait until they serve and have the one key that is read."""
        try:
            for cluster in self.clusters.values():
                cluster.start()
            self.find_leaders()
            request = rpc_pb2.PutRequest(key=KEY, value=VALUE).SerializeToString()
            for kind, cluster in self.clusters.items():
                if not cluster.is_tls:
                    call(self.port(kind), "/etcdserverpb.KV/Put", request)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all members."""
        self._end()

    def _end(self) -> None:
        for cluster in self.clusters.values():
            cluster.stop()

    def find_leaders(self) -> None:
        """Look who leads now."""
        self.leaders = {kind: find_leader(cluster) for kind, cluster in self.clusters.items()}

    def port(self, kind: str) -> int:
        """The leader's."""
        return self.clusters[kind].ports[self.leaders[kind]]

    def alternate(self, where: str, measure: Callable[[str], float]) -> dict[str, list[float]]:
        """The figures of each kind, by rounds; every other round begins with the other one."""
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.find_leaders()
        for turn in range(self.plan.rounds):
            for kind in KINDS if turn % 2 == 0 else KINDS[::-1]:
                self.plan.say(f"{where}, round {turn + 1}/{self.plan.rounds}: {kind}")
                # What the other has left for the disk to write is written before, or who comes next
                # pays for it: 44 % of a rate was seen (2026-11-28).
                os.sync()
                found[kind].append(measure(kind))
        return found

    def rate(
        self, row: str, what: str, load: str, count: int, measure: Callable[[str], float]
    ) -> Row:
        """A row of requests a second; `measure(kind)` makes `count` of them."""
        spent: dict[str, float] = dict.fromkeys(KINDS, 0.0)

        def measured(kind: str) -> float:
            before = self.clusters[kind].cpu_seconds()
            rate = measure(kind)
            spent[kind] += self.clusters[kind].cpu_seconds() - before
            return rate

        found = self.alternate(f"{self.size} members, {what}, {load}", measured)
        micros = {kind: round(1e6 * spent[kind] / (count * self.plan.rounds), 1) for kind in KINDS}
        return Row(
            row=row,
            what=what,
            members=self.size,
            load=load,
            unit=RATE,
            roost=rounded(found["roost"]),
            etcd=rounded(found["etcd"]),
            roost_cpu_us=micros["roost"],
            etcd_cpu_us=micros["etcd"],
        )


def rounded(figures: Sequence[float]) -> tuple[float, ...]:
    """As many digits as a figure is worth."""
    return tuple(round(it, 1 if it >= 100 else 3) for it in figures)
