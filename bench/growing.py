"""Three members whose store grows: bulk load, puts, memory, disk and restart at each size.

Keys are loaded by transactions of 100 puts.  At each size puts of random keys that are there are
measured; what a key takes is what a member takes in all, by the keys of the largest size.  A
restart is one of a follower: from its start, after an orderly end, until it answers a linearizable
read.
"""

import random
import time
from collections.abc import Iterator

from bench.calls import VALUE, Load, wait_until_it_serves
from bench.conversations import Ask, Conversation, converse
from bench.pairs import KINDS, Pair, Plan, rounded
from bench.rows import KIB, SECONDS, Row
from roost.proto import rpc_pb2

SIZES = (10_000, 100_000, 1_000_000)
PUTS_A_TXN, LOADERS, LOADER_CONNECTIONS = 100, 32, 4
PUTS = Load(100, 1, 10_000)
PUT_CONNECTIONS = 8
_PUT, _TXN = b"/etcdserverpb.KV/Put", b"/etcdserverpb.KV/Txn"


def key_of(number: int) -> bytes:
    """The key of that number."""
    return b"key-%012d" % number


def loading(first: int, stop: int, step: int) -> Conversation:
    """One of the loaders: each `step`-th transaction from `first` on, below `stop`."""
    for begin in range(first, stop, step * PUTS_A_TXN):
        puts = [
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key_of(it), value=VALUE))
            for it in range(begin, min(begin + PUTS_A_TXN, stop))
        ]
        yield Ask(_TXN, rpc_pb2.TxnRequest(success=puts).SerializeToString())


def _putting(client: int, count: int, keys: int) -> Conversation:
    dice = random.Random(client)
    for _ in range(count):
        request = rpc_pb2.PutRequest(key=key_of(dice.randrange(keys)), value=VALUE)
        yield Ask(_PUT, request.SerializeToString())


class Growth:
    """One cluster of each kind, and how many keys they have."""

    def __init__(self, pair: Pair) -> None:
        """No keys yet."""
        self._pair = pair
        self._plan = pair.plan
        self.keys = 0

    def grow(self, target: int) -> Row:
        """Load keys up to `target`, a part a round."""
        pair, rounds = self._pair, self._plan.rounds
        # Each kind has been given as many; counted for each, for they come by turns.
        given = dict.fromkeys(KINDS, self.keys)
        part = -(-(target - self.keys) // rounds)

        def measure(kind: str) -> float:
            first, stop = given[kind], min(given[kind] + part, target)
            given[kind] = stop
            loaders = [
                loading(first + it * PUTS_A_TXN, stop, LOADERS)
                for it in range(min(LOADERS, -(-(stop - first) // PUTS_A_TXN)))
            ]
            began = time.perf_counter()
            converse(pair.port(kind), loaders, connections=LOADER_CONNECTIONS)
            return (stop - first) / (time.perf_counter() - began)

        what = f"load by txns of {PUTS_A_TXN}, to {target:,}"
        row = pair.rate("bulk", what, str(LOADERS), part, measure)
        self.keys = target
        return row

    def put(self) -> Row:
        """Puts of random keys of those that are there."""
        pair, load = self._pair, PUTS.scaled(self._plan.scale)
        each = max(1, load.count // load.clients)

        def measure(kind: str) -> float:
            clients = [_putting(it, each, self.keys) for it in range(load.clients)]
            began = time.perf_counter()
            converse(pair.port(kind), clients, connections=PUT_CONNECTIONS)
            return each * load.clients / (time.perf_counter() - began)

        what = f"put, of {self.keys:,} keys"
        return pair.rate("grow", what, str(load), each * load.clients, measure)

    def taken(self) -> Iterator[Row]:
        """Memory and disk of a member, by its keys."""
        clusters, shares = self._pair.clusters.items(), self.keys * self._pair.size * 1024
        memory = {kind: [it.rss_bytes() / shares] for kind, it in clusters}
        disk = {kind: [it.disk_bytes() / shares] for kind, it in clusters}
        for row, found in (("memory", memory), ("disk", disk)):
            yield _row(row, f"{row} a key, of {self.keys:,}", self._pair.size, KIB, found)

    def restart(self) -> Row:
        """Seconds until a follower serves again."""
        pair = self._pair

        def measure(kind: str) -> float:
            cluster = pair.clusters[kind]
            position = (pair.leaders[kind] + 1) % pair.size
            cluster.end_member(position)
            began = time.perf_counter()
            cluster.start_member(position)
            wait_until_it_serves(cluster.ports[position], key_of(self.keys - 1))
            return time.perf_counter() - began

        found = pair.alternate(f"restart with {self.keys:,} keys", measure)
        return _row("restart", f"restart with {self.keys:,} keys", pair.size, SECONDS, found)


def _row(row: str, what: str, size: int, unit: str, found: dict[str, list[float]]) -> Row:
    return Row(
        row=row,
        what=what,
        members=size,
        load="",
        unit=unit,
        roost=rounded(found["roost"]),
        etcd=rounded(found["etcd"]),
    )


def run_growing(plan: Plan) -> Iterator[Row]:
    """All of it, at `plan.scale` times the sizes."""
    # However small the scale, a round of each size has something to load.
    least = PUTS_A_TXN * plan.rounds
    sizes = [max(position * least, int(it * plan.scale)) for position, it in enumerate(SIZES, 1)]
    with Pair(3, plan) as pair:
        growth = Growth(pair)
        for size in sizes:
            yield growth.grow(size)
            yield growth.put()
        yield from growth.taken()
        yield growth.restart()


ROWS = ("bulk", "grow", "memory", "disk", "restart")
