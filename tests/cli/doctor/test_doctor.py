"""`roost doctor` as it is used: beside real members, by people and by programs."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.cli.doctor.test_directory import state_of
from tests.integration.certificates import Authority

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
DOCTOR = [sys.executable, "-m", "roost.cli", "doctor"]
# It halts when it syncs for the first time, however fast the disk is.
HALTING_DOCTOR = """
import os, runpy, signal
sync = os.fdatasync
def halt(descriptor):
    os.fdatasync = sync
    os.kill(os.getpid(), signal.SIGSTOP)
    sync(descriptor)
os.fdatasync = halt
runpy.run_module("roost.cli", run_name="__main__", alter_sys=True)
"""
Told = dict[str, dict[str, object]]


def doctor(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [*DOCTOR, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stderr) == (code, ""), (done.stdout, done.stderr)
    return done.stdout


def rows(*arguments: str, code: int = 0) -> Told:
    said = doctor(*arguments, "--json", f"--timeout={PATIENCE_S}", code=code)
    told = [json.loads(it) for it in said.splitlines()]
    assert all(it.keys() == {"check", "state", "found", "to_do", "measured"} for it in told)
    # The disk of a machine that has much to do may be slow; what is said then is shown elsewhere.
    return {it["check"]: it for it in told if not it["check"].startswith("disk sync")}


def states(told: Told, *states: str) -> list[str]:
    return [check for check, it in told.items() if it["state"] in states]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("three"), 3) as started:
        started.leader()
        with Client(started.endpoints[0]) as client:
            wait_until(lambda: all(it.client_urls for it in client.members()))
        yield started


def test_a_member_that_runs_is_well_and_its_own_ports_are_taken_by_it(cluster: Cluster) -> None:
    wait_until(lambda: "Look: " in cluster.log_path(1).read_text())  # the last of its greeting
    log = cluster.log_path(1).read_text()
    told = rows(*cluster.flags(0))
    assert states(told, "failed") == []
    assert f"process {cluster.process(0).pid}" in str(told["data directory"]["found"])
    ports = [f"port 127.0.0.1:{it}" for it in (cluster.client_ports[0], cluster.peer_ports[0])]
    assert {told[it]["state"] for it in ports} == {"ok"}
    peers = [f"member m{it} {cluster.peer_url(it)}" for it in (1, 2)]
    assert {told[it]["state"] for it in peers} == {"ok"}
    assert cluster.log_path(1).read_text() == log, "who is dialled has nothing to complain of"


def test_a_cluster_that_is_well_is_asked_by_one_endpoint(cluster: Cluster) -> None:
    told = rows("--endpoints", cluster.endpoints[0])
    assert states(told, "failed", "warned", "skipped") == []
    assert [it.partition(" ")[0] for it in told].count("endpoint") == 3
    assert told["majority"]["measured"] == {"there": 3, "voters": 3}
    both = rows("--endpoints", cluster.endpoints[0], *cluster.flags(0))
    assert {"data directory", "majority"} <= both.keys()


def test_a_member_that_is_down_is_found_and_its_directory_is_good(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        with Client(cluster.endpoints[0]) as client:
            wait_until(lambda: all(it.client_urls for it in client.members()))
        assert cluster.stop(2) == 0
        wait_until(lambda: cluster.status(0).leader != 0)
        told = rows("--endpoints", cluster.endpoints[0], code=1)
        assert states(told, "failed") == [f"endpoint http://127.0.0.1:{cluster.client_ports[2]}"]
        assert str(next(iter(told.values()))["state"]) == "ok"
        assert told["majority"]["state"] == "warned"
        assert told["majority"]["measured"] == {"there": 2, "voters": 3}
        home = tmp_path / "m2"
        before = state_of(home)
        told = rows(*cluster.flags(2))
        after = state_of(home)
        # The file of the syncs has come and gone, which the directory's own times tell.
        assert {**after, str(home): 0} == {**before, str(home): 0}
        assert states(told, "failed") == []
        assert told["format of the store"]["state"] == "ok"
        assert told["permissions"]["state"] == "ok"
        (home / "hard.a").chmod(0o644)
        told = rows(*cluster.flags(2))
        assert told["permissions"]["state"] == "warned"
        told = rows(*cluster.flags(2), "--strict-permissions", code=1)
        assert states(told, "failed") == ["permissions"]


def test_a_port_that_is_taken_fails_and_names_who_has_it(tmp_path: Path) -> None:
    taken, peer = free_ports(2)
    with socket.create_server(("127.0.0.1", taken)):
        said = doctor(
            f"--data-dir={tmp_path / 'm1'}",
            f"--listen-client-urls=http://127.0.0.1:{taken}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            code=1,
        )
    [line] = [it for it in said.splitlines() if it.startswith(f"failed  port 127.0.0.1:{taken}")]
    assert "taken by process" in line
    assert said.splitlines()[-1].endswith(" failed") or " failed, " in said.splitlines()[-1]


def test_one_authority_for_clients_and_members_is_told_by_a_file_of_settings(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("m1")
    client, peer = free_ports(2)
    config = tmp_path / "roost.yaml"
    config.write_text(
        f"data-dir: {tmp_path}/m1\n"
        f"listen-client-urls: https://0.0.0.0:{client}\n"
        f"listen-peer-urls: https://0.0.0.0:{peer}\n"
        f"initial-advertise-peer-urls: https://localhost:{peer}\n"
        f"initial-cluster: default=https://localhost:{peer}\n"
        "client-transport-security:\n"
        f"  cert-file: {pair.certificate}\n  key-file: {pair.key}\n"
        f"  trusted-ca-file: {authority.path}\n"
        "peer-transport-security:\n"
        f"  cert-file: {pair.certificate}\n  key-file: {pair.key}\n"
        f"  trusted-ca-file: {authority.path}\n"
    )
    told = rows(f"--config-file={config}")
    assert told["peer port"]["state"] == "warned"
    assert "one authority" in str(told["peer port"]["found"])
    assert told["client port"]["state"] == "ok"
    assert told["certificate for members: name"]["state"] == "ok"
    assert told["certificate for members"]["state"] == "warned", "it lives a day"


def test_nobody_to_ask_is_a_failure_and_a_malformed_endpoint_is_our_own_mistake() -> None:
    told = rows("--endpoints", "127.0.0.1:1", code=1)
    assert states(told, "failed") == ["endpoint 127.0.0.1:1"]
    done = subprocess.run(
        [*DOCTOR, "--endpoints", "ftp://x:1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""


def has_open(pid: int, directory: Path) -> bool:
    """Whether a process has a file there, with a name or without one."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if link.readlink().is_relative_to(directory):
                return True
    return False


def is_halted(pid: int) -> bool:
    """Whether a process of ours is stopped; it has not ended, either."""
    found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
    assert found is None or found.si_code == os.CLD_STOPPED, "it ends when it is told to"
    return found is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_who_is_ended_while_it_measures_leaves_no_file(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", HALTING_DOCTOR, "doctor", f"--data-dir={tmp_path / 'm1'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: is_halted(process.pid))
    assert has_open(process.pid, tmp_path)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
    assert process.returncode in (0, 130, 128 + signal.SIGTERM, -signal.SIGKILL)
