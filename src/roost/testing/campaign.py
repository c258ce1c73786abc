"""`python -m roost.testing.campaign`: kill members under load, round after round, and judge.

Each round kills the leader, then a follower, then all three at once, while clients put and read;
after each kill the members are started again.  Afterwards every acknowledged put must be there
and the history must be linearizable.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from roost.client import Client
from roost.sim.linearizability import Verdict, check_register
from roost.testing.cluster import Cluster
from roost.testing.load import History, LoadClient

CLIENTS = 4
KEYS = 40
SERVE_DEADLINE_S = 30.0
PUTS_BETWEEN_KILLS = 150


@dataclass(slots=True)
class Report:
    """What a campaign saw; times in seconds."""

    rounds: int
    kills: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    operations: int = 0
    verdict: str = ""
    leader_failover_s: list[float] = field(default_factory=list)
    full_restart_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost and the history is linearizable."""
        return not self.lost and self.verdict == Verdict.LINEARIZABLE.value


def wait_served(cluster: Cluster) -> float:
    """Seconds until a put is acknowledged again by some running member."""
    started = time.monotonic()
    while time.monotonic() - started < SERVE_DEADLINE_S:
        for position in cluster.running:
            try:
                with Client([cluster.endpoints[position]], timeout_s=0.5) as client:
                    client.put(b"probe", b"x")
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                last = error
            else:
                return time.monotonic() - started
    raise TimeoutError(f"nobody serves: {last}")


def wait_puts(history: History, count: int) -> None:
    """Wait until the clients have had `count` more puts acknowledged."""
    deadline = time.monotonic() + SERVE_DEADLINE_S
    wanted = len(history.acknowledged) + count
    while len(history.acknowledged) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(history.acknowledged)} puts, wanted {wanted}")
        threading.Event().wait(0.01)


def run_kills(root: Path, rounds: int, say: Callable[[str], None]) -> Report:
    """Run the rounds on three members and judge."""
    report = Report(rounds)
    history, stop = History(), threading.Event()
    with Cluster(root, 3) as cluster:
        cluster.leader()
        wait_served(cluster)
        clients = [
            LoadClient(number, cluster.endpoints, history, keys=KEYS, stop=stop)
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for turn in range(rounds):
            say(f"round {turn + 1}/{rounds}: {len(history.acknowledged)} puts acknowledged")
            leader = cluster.leader()
            follower = (leader + 1 + turn % 2) % 3
            for victims in ((leader,), (follower,), (0, 1, 2)):
                wait_puts(history, PUTS_BETWEEN_KILLS)
                cluster.kill(*victims)
                report.kills += len(victims)
                if len(victims) == 1:
                    took = wait_served(cluster)
                    if victims == (leader,):
                        report.leader_failover_s.append(round(took, 3))
                for victim in victims:
                    cluster.start(victim)
                took = wait_served(cluster)
                if len(victims) == 3:
                    report.full_restart_s.append(round(took, 3))
                cluster.leader()
        stop.set()
        for client in clients:
            client.join()
        judge(cluster, history, report)
    return report


def judge(cluster: Cluster, history: History, report: Report) -> None:
    """Read everything back and check the history."""
    report.acknowledged = len(history.acknowledged)
    report.operations = len(history.operations)
    report.errors = history.errors
    for position in cluster.running:
        with Client([cluster.endpoints[position]], timeout_s=20) as client:
            held = {item.key: item.value for item in client.range(b"own-", b"own.")}
        report.lost += [
            f"m{position}: {key.decode()}"
            for key, value in history.acknowledged.items()
            if held.get(key) != value
        ]
    report.verdict = check_register(history.operations).value


def main() -> None:
    """Run a campaign and print its report; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as root:
        report = run_kills(Path(root), options.rounds, say)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        for name, value in asdict(report).items():
            print(f"{name}: {value}")
    sys.exit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
