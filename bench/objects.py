"""`python -m bench.objects`: `db.objects.dict` beside PySyncObj's replicated dictionary.

Three members of each, a process each, told by turns to put from within the one that leads; each
round has its own clusters, and a figure is the median of the rounds.  Ours syncs its journal before
it answers.  PySyncObj never does, which no setting of its changes; so it is measured as it is, and
with a journal that is synced (`pysyncobj_member`), which is what can be compared.  Each ratio is
to the better of its two ways of sending, and the median of those of the rounds.
"""

import json
from statistics import median

from bench.options import add_json, add_rounds, add_scale, parser_of, start
from bench.servers import ObjectsCluster, PySyncObjCluster, ToldCluster

CLIENTS = (1, 10, 100, 1000)
PUTS = {1: 300, 10: 2000, 100: 8000, 1000: 20000}
AS_IT_IS, SYNCED = ("batched", "single"), ("batched-synced", "single-synced")
MODES = ("roost", *SYNCED, *AS_IT_IS)
SHARES = {"single-synced": 0.2}


def measure(mode: str, scale: float) -> dict[int, float]:
    """Puts a second, by clients; one round."""
    cluster: ToldCluster = ObjectsCluster() if mode == "roost" else PySyncObjCluster(mode=mode)
    found = {}
    try:
        cluster.start()
        leader = cluster.find_leader()
        cluster.ask(leader, "put 10 20")  # what is loaded and made once
        for clients in CLIENTS:
            # Ten appends a second are what PySyncObj's default gives a single caller; where each
            # entry is synced by itself, more callers make it no faster.
            share = 0.1 if mode.startswith("batched") and clients <= 10 else SHARES.get(mode, 1.0)
            count = max(clients, int(PUTS[clients] * scale * share))
            found[clients] = float(cluster.ask(leader, f"put {clients} {count}"))
    finally:
        cluster.stop()
    return found


def ratio(found: list[dict[str, float]], modes: tuple[str, ...]) -> float:
    """How many times as many as the best of these, in the median of the rounds."""
    return median(it["roost"] / max(it[mode] for mode in modes) for it in found)


def main() -> None:
    """Measure, and print rows."""
    parser = parser_of("bench.objects", __doc__)
    add_rounds(parser, 3)
    add_scale(parser, "puts")
    add_json(parser)
    options = parser.parse_args()
    rounds = [{mode: measure(mode, options.scale) for mode in MODES} for _ in range(options.rounds)]
    for clients in CLIENTS:
        found = [{mode: it[mode][clients] for mode in MODES} for it in rounds]
        row = {mode: median(it[mode] for it in found) for mode in MODES}
        synced, as_it_is = ratio(found, SYNCED), ratio(found, AS_IT_IS)
        if options.json:
            ratios = {"to_synced": synced, "to_unsynced": as_it_is}
            print(json.dumps({"clients": clients, **row, **ratios}))
        else:
            figures = "  ".join(f"{mode} {row[mode]:.0f}/s" for mode in MODES)
            print(f"{clients:5} clients  {figures}  to the better synced {synced:.2f}, "
                  f"as it is {as_it_is:.2f}")  # fmt: skip


if __name__ == "__main__":
    start(main)
