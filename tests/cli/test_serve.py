"""What a member says when it starts, and what it is told while it runs."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import children_of
from tests.integration.certificates import Authority

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
SERVE = [sys.executable, "-m", "roost.cli", "serve"]


class OneMember(Cluster):
    """A member alone, whose clients are served at other URLs."""

    def __init__(self, root: Path, listens: str, *flags: str) -> None:
        super().__init__(root, 1, extra_flags=flags)
        self._listens = listens.format(port=self.client_ports[0])

    def flags(self, position: int) -> list[str]:
        return [*super().flags(position), f"--listen-client-urls={self._listens}"]

    def said(self) -> str:
        return self.log_path(0).read_text()

    def wait_for(self, words: str) -> str:
        wait_until(lambda: words in self.said(), 60)
        return self.said()


def serve(*flags: str, cwd: Path, code: int) -> str:
    done = subprocess.run(
        [*SERVE, *flags], capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_a_port_that_is_taken_is_named_before_anything_is_made(tmp_path: Path) -> None:
    taken, client, peer = free_ports(3)
    with socket.create_server(("127.0.0.1", taken)):
        for ports in ((taken, peer), (client, taken)):
            said = serve(
                f"--listen-client-urls=https://127.0.0.1:{ports[0]}",
                f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
                "--auto-tls",
                cwd=tmp_path,
                code=1,
            )
            flag = "listen-client-urls" if ports[0] == taken else "listen-peer-urls"
            text = f"roost: --{flag}: cannot listen on 127.0.0.1:{taken}: Address already in use: "
            assert said.startswith(text)
            assert said.count("\n") == 1
            assert list(tmp_path.iterdir()) == []


def test_bad_certificates_for_clients_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    client, peer = free_ports(2)
    listens = [
        f"--listen-client-urls=https://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]
    for flags in (["--cert-file=bad.pem", "--key-file=bad.pem"], ["--cert-file=missing.pem"]):
        said = serve(*listens, *flags, cwd=tmp_path, code=2)
        assert said.startswith(f"roost: {flags[0].partition('=')[2]}")
        assert said.count("\n") == 1


def test_the_data_of_an_etcd_member_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data" / "member" / "wal").mkdir(parents=True)
    said = serve("--data-dir=data", cwd=tmp_path, code=2)
    assert "holds the data of an etcd member" in said
    assert [it.name for it in (tmp_path / "data").iterdir()] == ["member"]
    (tmp_path / "file").touch()
    assert "--data-dir=file is a file" in serve("--data-dir=file", cwd=tmp_path, code=2)


@pytest.mark.parametrize("kind", ["plain", "wildcard", "auto", "files", "mutual", "unix", "unixs"])
def test_the_command_that_a_member_proposes_works_when_it_is_pasted(
    tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "certificates"
    root.mkdir()
    authority = Authority(root)
    pair = authority.sign("server")
    files = [f"--cert-file={pair.certificate}", f"--key-file={pair.key}"]
    ca = f"--trusted-ca-file={authority.path}"
    listens, flags = {
        "plain": ("http://127.0.0.1:{port}", []),
        "wildcard": ("http://0.0.0.0:{port}", []),
        "auto": ("https://0.0.0.0:{port}", ["--auto-tls"]),
        "files": ("https://127.0.0.1:{port}", [*files, ca]),
        "mutual": ("https://0.0.0.0:{port}", [*files, ca, "--client-cert-auth"]),
        "unixs": (f"unixs://{tmp_path}/s,http://127.0.0.1:{{port}}", ["--auto-tls"]),
        "unix": (f"unix://{tmp_path}/s,http://127.0.0.1:{{port}}", []),
    }[kind]
    with OneMember(tmp_path, listens, *flags) as member:
        [line] = [it for it in member.wait_for("Try: ").splitlines() if it.startswith("Try: ")]
        words = shlex.split(line.removeprefix("Try: ").removesuffix(", or any etcd client"))
        done = subprocess.run(
            [sys.executable, "-m", "roost.cli", *words[1:]],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.stdout == "OK, revision 2\n", (line, done.stderr)
        assert member.stop(0) == 0
    assert not (tmp_path / "s").exists()


def test_a_member_serves_when_there_is_a_leader_and_systemd_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        cluster = Cluster(tmp_path, 2, command=SERVE)
        cluster.start(0)
        try:
            assert told.recv(1000) == b"STATUS=waits for a majority of 2 members"
            wait_until(lambda: "waits for a majority of 2 members" in cluster.log_end(0))
            assert "'m0' serves" not in cluster.log_end(0)
            monkeypatch.delenv("NOTIFY_SOCKET")
            cluster.start(1)
            assert told.recv(1000).startswith(b"READY=1\nSTATUS=serves http://")
            assert "'m0' serves http://" in cluster.log_end(0)
            assert cluster.stop(0) == 0
            assert told.recv(1000) == b"STOPPING=1"
        finally:
            cluster.stop_all()


def test_a_hangup_reloads_the_level_of_the_log_and_looks_at_certificates(tmp_path: Path) -> None:
    client, peer = free_ports(2)
    authority = Authority(tmp_path)
    pair = authority.sign("server")
    path = tmp_path / "roost.yaml"

    def write(level: str) -> None:
        path.write_text(
            f"log-level: {level}\ndata-dir: {tmp_path / 'data'}\n"
            f"listen-client-urls: https://127.0.0.1:{client}\n"
            f"listen-peer-urls: http://127.0.0.1:{peer}\n"
            f"client-transport-security: {{cert-file: {pair.certificate}, key-file: {pair.key}}}\n"
        )

    write("warn")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*SERVE, f"--config-file={path}"], stdout=log, stderr=log)

    def said() -> str:
        return (tmp_path / "log").read_text()

    try:
        wait_until(lambda: "Try: " in said(), 60)
        assert '"info"' not in said()
        write("info")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings were read again" in said())
        pair.certificate.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings were not read again" in said())
        assert str(pair.certificate) in said()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 0
        assert "Traceback" not in said()
    finally:
        process.kill()
        process.wait()


def waiting_member(cwd: Path, *before: str) -> "subprocess.Popen[str]":
    """A member that waits to be let in by a cluster that is not there."""
    client, peer, other = free_ports(3)
    return subprocess.Popen(
        [
            *before,
            *SERVE,
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer},x=http://127.0.0.1:{other}",
            "--initial-cluster-state=existing",
        ],
        stderr=subprocess.PIPE, text=True, cwd=cwd,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]", tell: Callable[[], None]) -> tuple[int, str]:
    """The exit code and the last words of a member that is told to end while it waits.

    On a busy machine it may have given up just then: the code is 1, and that is said.
    """
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        with process:
            assert process.stderr is not None
            assert "joining by" in process.stderr.readline()
            tell()
            return process.wait(), process.stderr.read()
    finally:
        guard.cancel()


GIVEN_UP = "no member lets this one join"


def test_an_interrupt_before_a_member_serves_is_silent(tmp_path: Path) -> None:
    process = waiting_member(tmp_path)
    code, rest = ended(process, lambda: process.send_signal(signal.SIGINT))
    assert code == (1 if GIVEN_UP in rest else 130)
    assert "Traceback" not in rest


def test_the_first_process_of_a_container_ends_when_it_is_told_before_it_serves(
    tmp_path: Path,
) -> None:
    """The kernel sends it nothing that it has no handler for: it went on until it was killed."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which(alone[0]) is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("processes of their own numbers cannot be had here (unshare)")

    def tell(process: "subprocess.Popen[str]") -> None:
        [first] = children_of(process.pid)
        os.kill(first, signal.SIGTERM)

    for _ in range(3):
        process = waiting_member(tmp_path, *alone)
        code, rest = ended(process, partial(tell, process))
        if GIVEN_UP not in rest:
            break
    assert code == 128 + signal.SIGTERM


def test_a_start_without_asserts_is_refused(tmp_path: Path) -> None:
    """They say that we have a bug, and stop; a member that went on would be wrong in silence."""
    command = [sys.executable, "-O", "-m", "roost.cli", "serve", f"--data-dir={tmp_path / 'd'}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert said.returncode
    assert "-O" in said.stderr
    assert not (tmp_path / "d").exists()
