"""`python -m bench.objects`: `db.objects.dict` beside PySyncObj's replicated dictionary.

Three members of each, a process each, told by turns to put from within the one that leads; each
round has its own clusters, and a figure is the median of the rounds.  Ours syncs its journal before
it answers; PySyncObj never does, which no setting of its changes.
"""

import argparse
import json
from statistics import median

from bench.servers import ObjectsCluster, PySyncObjCluster, ToldCluster

CLIENTS = (1, 10, 100, 1000)
PUTS = {1: 300, 10: 2000, 100: 8000, 1000: 20000}
MODES = ("roost", "batched", "single")


def measure(mode: str, rounds: int, scale: float) -> dict[int, float]:
    """Puts a second, by clients."""
    found: dict[int, list[float]] = {it: [] for it in CLIENTS}
    for _ in range(rounds):
        cluster: ToldCluster = ObjectsCluster() if mode == "roost" else PySyncObjCluster(mode=mode)
        try:
            cluster.start()
            leader = cluster.find_leader()
            for clients in CLIENTS:
                # Ten appends a second are what PySyncObj's default gives a single caller.
                share = 0.1 if mode == "batched" and clients <= 10 else 1.0
                count = max(clients, int(PUTS[clients] * scale * share))
                found[clients].append(float(cluster.ask(leader, f"put {clients} {count}")))
        finally:
            cluster.stop()
    return {clients: median(it) for clients, it in found.items()}


def main() -> None:
    """Measure, and print rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.objects", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of puts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {mode: measure(mode, options.rounds, options.scale) for mode in MODES}
    for clients in CLIENTS:
        row = {mode: rows[mode][clients] for mode in MODES}
        ratio = row["roost"] / max(row["batched"], row["single"])
        if options.json:
            print(json.dumps({"clients": clients, **row, "ratio": ratio}))
        else:
            figures = "  ".join(f"{mode} {row[mode]:8.0f}/s" for mode in MODES)
            print(f"{clients:5} clients  {figures}  ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
