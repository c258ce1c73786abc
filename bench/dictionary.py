"""Puts beside PySyncObj's replicated dictionary, with its two settings of batching."""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.calls import PUT, VALUE, find_leader, frame, h2load
from bench.pairs import KEY
from bench.servers import Cluster, PySyncObjCluster
from bench.workloads import LOADS
from roost.proto import rpc_pb2

PYSYNCOBJ_WAVES = 20


@dataclass(frozen=True, slots=True)
class DictionaryRow:
    """Puts a second into three members, by round."""

    load: str
    roost: list[float]
    batched: list[float]
    single: list[float]
    ratio: float


def measure_dictionary(
    rounds: int, scale: float, say: Callable[[str], None]
) -> list[DictionaryRow]:
    """Measure Roost beside PySyncObj's dictionary; the ratio is to its better setting."""
    roost = Cluster("roost", 3)
    others = {mode: PySyncObjCluster(mode=mode) for mode in ("batched", "single")}
    rows: list[DictionaryRow] = []
    try:
        roost.start()
        for it in others.values():
            it.start()
        position = find_leader(roost)
        leaders = {mode: cluster.find_leader() for mode, cluster in others.items()}
        with tempfile.TemporaryDirectory() as scratch:
            body = Path(scratch) / "put"
            request = rpc_pb2.PutRequest(key=KEY, value=VALUE)
            body.write_bytes(frame(request.SerializeToString()))
            for full in LOADS:
                load = full.scaled(scale)
                callers = load.clients * load.streams
                counts = {
                    "batched": callers * PYSYNCOBJ_WAVES,
                    "single": max(callers, load.count // 5),
                }
                rate: dict[str, list[float]] = {"roost": [], "batched": [], "single": []}
                for turn in range(rounds):
                    say(f"dictionary, {load}, round {turn + 1}/{rounds}")
                    rate["roost"].append(h2load(roost, position, PUT, body, load))
                    for mode, cluster in others.items():
                        line = f"put {callers} {counts[mode]}"
                        rate[mode].append(float(cluster.ask(leaders[mode], line)))
                ratios = [ours / max(theirs) for ours, *theirs in zip(*rate.values(), strict=True)]
                rows.append(DictionaryRow(str(load), **rate, ratio=statistics.median(ratios)))
    finally:
        roost.stop()
        for it in others.values():
            it.stop()
    return rows
