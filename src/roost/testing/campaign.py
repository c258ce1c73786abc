"""`python -m roost.testing.campaign`: kill members under load, round after round, and judge.

Each round kills the leader, then a follower, then all three at once, while clients put and read;
after each kill the members are started again.  With `--changes` each round removes a member, adds
it anew and replaces another, and kills members in between.  Afterwards every acknowledged put
must be there and the history must be linearizable.
"""

import argparse
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from roost.client import Client, ClientError, Member
from roost.sim.linearizability import Verdict, check_register
from roost.testing.cluster import Cluster
from roost.testing.command import empty_folder, end, say
from roost.testing.load import History, LoadClient
from roost.testing.patience import wait_until

logger = logging.getLogger(__name__)
CLIENTS = 4
KEYS = 40
SERVE_DEADLINE_S = 30.0
PUTS_BETWEEN_KILLS = 150


@dataclass(slots=True)
class Report:
    """What a campaign saw; times in seconds."""

    rounds: int
    kills: int = 0
    changes: int = 0
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
    wanted = len(history.acknowledged) + count
    wait_until(lambda: len(history.acknowledged) >= wanted, SERVE_DEADLINE_S)


def start_load(cluster: Cluster, history: History, stop: threading.Event) -> list[LoadClient]:
    """Wait until the cluster serves, and let clients work on it."""
    cluster.leader()
    wait_served(cluster)
    clients = [
        LoadClient(number, cluster.endpoints, history, keys=KEYS, stop=stop)
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    return clients


def run_kills(root: Path, rounds: int, say: Callable[[str], None]) -> Report:
    """Run the rounds on three members and judge."""
    report = Report(rounds)
    history, stop = History(), threading.Event()
    with Cluster(root, 3) as cluster:
        clients = start_load(cluster, history, stop)
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


def wait_answering(cluster: Cluster, position: int) -> None:
    """Wait until a member that was started answers."""
    wait_until(lambda: cluster.status_now(position) is not None)


def judge(cluster: Cluster, history: History, report: Report) -> None:
    """Read everything back and check the history."""
    report.acknowledged = len(history.acknowledged)
    report.operations = len(history.operations)
    report.errors = history.errors
    for position in cluster.running:
        wait_answering(cluster, position)
        with Client([cluster.endpoints[position]], timeout_s=20) as client:
            held = {item.key: item.value for item in client.range(b"own-", b"own.")}
        report.lost += [
            f"m{position}: {key.decode()}"
            for key, value in history.acknowledged.items()
            if held.get(key) != value
        ]
    report.verdict = check_register(history.operations).value


def run_changes(root: Path, rounds: int, say: Callable[[str], None]) -> Report:
    """Remove, add anew and replace members under load, with kills in between, and judge."""
    report = Report(rounds)
    history, stop = History(), threading.Event()
    with Cluster(root, 3) as cluster:
        clients = start_load(cluster, history, stop)
        for turn in range(rounds):
            say(f"round {turn + 1}/{rounds}: {len(history.acknowledged)} puts acknowledged")
            gone = (cluster.leader() + 1 + turn % 2) % 3
            change(cluster, gone, lambda it, gone_id, _urls: it.remove_member(gone_id))
            wait_puts(history, PUTS_BETWEEN_KILLS)
            change(cluster, gone, lambda it, _id, urls: it.add_member(urls))
            kill_and_return(cluster, cluster.leader(), report)
            wait_puts(history, PUTS_BETWEEN_KILLS)
            gone = cluster.leader() if turn % 3 == 2 else (cluster.leader() + 2) % 3
            change(cluster, gone, lambda it, gone_id, urls: it.replace_member(gone_id, urls))
            wait_puts(history, PUTS_BETWEEN_KILLS)
            kill_and_return(cluster, (gone + 1) % 3, report)
            wait_puts(history, PUTS_BETWEEN_KILLS)
            report.changes += 3
        stop.set()
        for client in clients:
            client.join()
        judge(cluster, history, report)
    return report


Ask = Callable[[Client, int, list[str]], object]


def change(cluster: Cluster, position: int, ask: Ask) -> None:
    """Ask for a change of the member at `position` until it has happened.

    `ask(client, member id, URLs)` may be answered with an error after it took effect, so the
    list of members says when it is over.  Afterwards a member that was removed has ended and
    lost its data, and one that was added is started on an empty directory.
    """
    url, deadline = cluster.peer_url(position), time.monotonic() + SERVE_DEADLINE_S
    before = id_at(cluster, url)
    while (now := id_at(cluster, url)) == before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the member at {url} does not change")
        others = [cluster.endpoints[it] for it in cluster.running if it != position]
        with Client(others, timeout_s=3) as client:
            try:
                ask(client, before, [url])
            except ClientError as error:
                logger.info("not yet: %s", error)
    if before:
        cluster.process(position).wait(timeout=SERVE_DEADLINE_S)
        shutil.rmtree(cluster.root / f"m{position}")
    if now:
        cluster.start(position, "--initial-cluster-state=existing")
        wait_named(cluster, url)


def members_of(cluster: Cluster) -> list[Member]:
    """All members, asked until somebody answers."""
    deadline = time.monotonic() + SERVE_DEADLINE_S
    while True:
        try:
            with Client([cluster.endpoints[it] for it in cluster.running], timeout_s=3) as client:
                return client.members()
        except ClientError:
            if time.monotonic() > deadline:
                raise


def id_at(cluster: Cluster, url: str) -> int:
    """The id of the member at a peer URL; 0 when there is none."""
    return next((it.id for it in members_of(cluster) if url in it.peer_urls), 0)


def wait_named(cluster: Cluster, url: str) -> None:
    """Wait until a new member takes part: it has told its name."""

    def is_named() -> bool:
        return any(url in it.peer_urls and it.name for it in members_of(cluster))

    wait_until(is_named, SERVE_DEADLINE_S)


def kill_and_return(cluster: Cluster, position: int, report: Report) -> None:
    """Kill a member, see that the others serve, and start it again."""
    cluster.kill(position)
    report.kills += 1
    wait_served(cluster)
    cluster.start(position)
    cluster.leader()


def main() -> None:
    """Run a campaign and print its report; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m roost.testing.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--changes", action="store_true", help="members come and go as well")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with empty_folder() as root:
        run = run_changes if options.changes else run_kills
        report = run(root, options.rounds, say)
    end(report, as_json=options.json)


if __name__ == "__main__":
    main()
