"""`roost lock`, `elect` and `keep-alive`: what is held is held, or somebody is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.cli.exits import EXIT_USAGE, LEASE_LOST
from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("members"), 3) as started:
        started.leader()
        yield started


def start(endpoints: list[str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "roost.cli", *words], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "ROOST_ENDPOINTS": ",".join(endpoints)},
    )  # fmt: skip


def followers_first(cluster: Cluster) -> list[int]:
    leader = cluster.leader()
    return [it for it in range(3) if it != leader] + [leader]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Seen:
    """Counts how often a lease was renewed, by what is left of it."""

    def __init__(self, client: Client, lease_id: int) -> None:
        self._client, self._lease_id = client, lease_id
        self._left_s = -1
        self.count = 0

    def look(self) -> int:
        left_s = self._client.leases.time_to_live(self._lease_id).left_s
        assert left_s >= 0, "the lease lives"
        self.count += left_s > self._left_s >= 0
        self._left_s = left_s
        return self.count


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lock_is_kept_when_the_endpoint_that_renewed_it_is_gone(
    three: Cluster, tmp_path: Path, blow: signal.Signals
) -> None:
    order = followers_first(three)
    names = [three.endpoints[it] for it in order]
    over = tmp_path / "over"
    script = f"echo $ROOST_LOCK_KEY; while [ ! -e {over} ]; do sleep 0.05; done; exit 3"
    holding = start(names, "lock", "job", "--ttl", "5", "--", "sh", "-c", script)
    assert holding.stdout is not None
    key = holding.stdout.readline().strip()
    three.process(order[0]).send_signal(blow)
    with Client(names[1:]) as client:
        seen = Seen(client, int(key.rpartition("/")[2], 16))
        wait_until(lambda: seen.look() >= 3)  # for longer than the lease would last
        assert holding.poll() is None
        over.touch()
        _, said = holding.communicate(timeout=PATIENCE_S)
        assert holding.returncode == 3, said
        assert client.count(key.encode()) == 0, "it was given back"


def test_a_command_whose_lock_is_lost_is_ended_with_all_it_started(
    three: Cluster, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    # Neither the command nor what it left to itself wants to end.
    inner = f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.05; done"
    script = f'sh -c "$INNER" & {inner}'
    holding = start(
        three.endpoints, "lock", "job", "--ttl", "5", "--",
        "env", f"INNER={inner}", "sh", "-c", script,
    )  # fmt: skip
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    running = [int(it) for it in pids.read_text().split()]
    with Client(three.endpoints) as client:
        [lease_id] = client.leases.all()
        client.leases.revoke(lease_id)
    _, said = holding.communicate(timeout=PATIENCE_S)
    assert holding.returncode == LEASE_LOST
    assert f"Error: lease {lease_id:x} has expired or was revoked: what was held is lost" in said
    assert not any(is_alive(it) for it in running)


def test_a_command_is_ended_before_the_lease_when_nobody_renews_it(
    three: Cluster, tmp_path: Path
) -> None:
    started, asked = tmp_path / "started", tmp_path / "asked"
    script = f"trap 'touch {asked}; exit 9' TERM; touch {started}; while :; do sleep 0.05; done"
    holding = start(three.endpoints, "lock", "job", "--ttl", "6", "--", "sh", "-c", script)
    wait_until(started.exists)
    for position in range(3):
        three.process(position).send_signal(signal.SIGSTOP)
    _, said = holding.communicate(timeout=PATIENCE_S)
    for position in range(3):
        three.process(position).send_signal(signal.SIGCONT)
    assert holding.returncode == LEASE_LOST
    assert "could not be renewed in time" in said
    assert asked.exists(), "TERM comes before KILL"


def test_the_exit_code_is_the_commands_also_when_nothing_can_be_given_back(
    three: Cluster, tmp_path: Path
) -> None:
    started, over = tmp_path / "started", tmp_path / "over"
    script = f"touch {started}; while [ ! -e {over} ]; do sleep 0.05; done"
    holding = start(three.endpoints, "lock", "job", "--", "sh", "-c", script)
    wait_until(started.exists)
    three.kill(0, 1, 2)
    over.touch()
    _, said = holding.communicate(timeout=PATIENCE_S)
    assert holding.returncode == 0, said


def test_a_command_that_a_signal_ends_says_so_as_a_shell_does(three: Cluster) -> None:
    holding = start(three.endpoints, "lock", "job", "--", "sh", "-c", "kill -KILL $$")
    holding.communicate(timeout=PATIENCE_S)
    assert holding.returncode == 128 + signal.SIGKILL
    holding = start(three.endpoints, "lock", "job", "--", "no-such-command")
    _, said = holding.communicate(timeout=PATIENCE_S)
    assert holding.returncode == EXIT_USAGE
    assert "COMMAND cannot be run" in said


def test_term_is_passed_on_to_the_command(three: Cluster, tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"trap 'exit 4' TERM; touch {started}; while :; do sleep 0.05; done"
    holding = start(three.endpoints, "lock", "job", "--", "sh", "-c", script)
    wait_until(started.exists)
    holding.terminate()
    _, said = holding.communicate(timeout=PATIENCE_S)
    assert holding.returncode == 4, said


def test_who_waits_for_a_lock_keeps_its_place_when_its_endpoint_is_gone(three: Cluster) -> None:
    order = followers_first(three)
    names = [three.endpoints[it] for it in order]
    with Client(names[1:]) as client, client.leases.session(60) as session:
        held = client.leases.lock(b"job", session.lease_id)
        waiting = start(names, "lock", "job", "--", "sh", "-c", "echo $ROOST_LOCK_REVISION")
        wait_until(lambda: client.count(b"job/", b"job0") == 2)
        [place] = [it for it in client.range(b"job/", b"job0") if it.key != held.key]
        three.kill(order[0])
        client.leases.unlock(held)
        said, problem = waiting.communicate(timeout=PATIENCE_S)
        assert waiting.returncode == 0, problem
        assert int(said) == place.create_revision


def test_who_leads_and_who_renews_are_told_when_their_lease_is_lost(three: Cluster) -> None:
    leading = start(three.endpoints, "elect", "boss", "one", "--ttl", "5")
    assert leading.stdout is not None
    assert leading.stdout.readline().endswith("\tone\n")
    with Client(three.endpoints) as client:
        [lease_id] = client.leases.all()
        renewing = start(three.endpoints, "lease", "keep-alive", f"{lease_id:x}")
        assert renewing.stdout is not None
        assert "renewed for 5 s" in renewing.stdout.readline()
        client.leases.revoke(lease_id)
    for process in (leading, renewing):
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == LEASE_LOST
        assert "has expired or was revoked" in said


def test_keep_alive_renews_at_another_endpoint(three: Cluster) -> None:
    order = followers_first(three)
    names = [three.endpoints[it] for it in order]
    with Client(names[1:]) as client:
        lease_id = client.leases.grant(5).lease_id
        renewing = start(names, "lease", "keep-alive", f"{lease_id:x}")
        assert renewing.stdout is not None
        assert "renewed for 5 s" in renewing.stdout.readline()
        three.kill(order[0])
        for _ in range(3):
            assert "renewed for 5 s" in renewing.stdout.readline()
        client.leases.revoke(lease_id)
        renewing.communicate(timeout=PATIENCE_S)
