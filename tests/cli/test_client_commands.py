"""What etcdctl offers, as `roost` commands: leases, locks, elections, users, roles, mirrors."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.cli import commands

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
ROOST = [sys.executable, "-m", "roost.cli"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("m"), 1) as started:
        started.leader()
        yield started


class Shell:
    """Runs commands against one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._environment = {**os.environ, "ROOST_ENDPOINTS": endpoint}

    def run(self, *arguments: str, code: int = 0, stdin: str = "", **more: str) -> str:
        environment = {**self._environment, **more}
        done = commands.run(*arguments, typed=stdin.encode(), environment=environment)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return (done.stdout if code == 0 or done.stdout else done.stderr).decode()

    def rows(self, *arguments: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*ROOST, *arguments], stdout=subprocess.PIPE, text=True, env=self._environment
        )


@pytest.fixture
def shell(cluster: Cluster) -> Shell:
    return Shell(cluster.endpoints[0])


def test_ranges_orders_and_counts(shell: Shell) -> None:
    for name, value in (("r/a", "3"), ("r/b", "2"), ("r/c", "1")):
        shell.run("put", name, value)
    assert shell.run("get", "r/", "--prefix", "--keys-only") == "r/a\nr/b\nr/c\n"
    by_value = shell.run("get", "r/", "--prefix", "--keys-only", "--sort-by", "value")
    assert by_value == "r/c\nr/b\nr/a\n"
    last = shell.run("get", "r/", "--prefix", "--descending", "--limit", "1")
    assert last == "r/c\t1\n"
    assert shell.run("get", "r/a", "--end", "r/c", "--count-only") == "2\n"
    assert shell.run("get", "r/b", "--from-key", "--count-only", "--json") == '{"count":2}\n'
    assert "exclude each other" in shell.run("get", "r", "--prefix", "--from-key", code=2)
    assert shell.run("del", "r/b", "--end", "r/d") == "2 deleted\n"
    assert shell.run("get", "r/", "--prefix") == "r/a\t3\n"


def test_leases(shell: Shell) -> None:
    [row] = shell.rows("lease", "grant", "50")
    lease = str(row["id"])
    shell.run("put", "leased", "1", "--lease", lease)
    [left] = shell.rows("lease", "time-to-live", lease, "--keys")
    assert left["granted_s"] == 50
    assert left["keys"] == ["leased"]
    assert "renewed for 50 s" in shell.run("lease", "keep-alive", lease, "--once")
    assert {"id": lease} in shell.rows("lease", "list")
    [item] = shell.rows("get", "leased")
    assert item["lease"] == lease
    shell.run("put", "leased", "2", "--ignore-lease")
    shell.run("put", "leased", "--ignore-value", "--lease", lease)
    shell.run("lease", "revoke", lease)
    shell.run("get", "leased", code=1)
    assert "expired or was revoked" in shell.run("lease", "time-to-live", lease, code=1)
    assert "expired or was revoked" in shell.run("lease", "keep-alive", lease, code=1)
    assert "is no id" in shell.run("lease", "revoke", "xyz", code=2)


def test_a_lock_is_held_while_a_command_runs(shell: Shell) -> None:
    holding = shell.start("lock", "job")
    assert holding.stdout is not None
    key = holding.stdout.readline().strip()
    assert key.startswith("job/")
    waiting = shell.start("lock", "job", "--", "sh", "-c", "echo $ROOST_LOCK_KEY; exit 7")
    wait_until(lambda: len(shell.run("get", "job/", "--prefix", "--keys-only").split()) == 2)
    assert waiting.poll() is None
    holding.terminate()
    said, _ = waiting.communicate(timeout=PATIENCE_S)
    assert said.startswith("job/")
    assert waiting.returncode == 7
    holding.communicate(timeout=PATIENCE_S)
    shell.run("get", "job/", "--prefix", code=1)


def test_somebody_leads_until_it_ends(shell: Shell) -> None:
    first = shell.start("elect", "boss", "one")
    assert first.stdout is not None
    assert first.stdout.readline().endswith("\tone\n")
    listening = shell.start("elect", "boss", "--listen")
    assert listening.stdout is not None
    assert listening.stdout.readline().endswith("\tone\n")
    second = shell.start("elect", "boss", "two")
    first.terminate()
    first.communicate(timeout=PATIENCE_S)
    assert listening.stdout.readline().endswith("\ttwo\n")
    for process in (second, listening):
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert "either VALUE or --listen" in shell.run("elect", "boss", code=2)


def test_a_watch_runs_a_command(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f'echo "$ROOST_WATCH_TYPE $ROOST_WATCH_KEY $ROOST_WATCH_VALUE" >> {out}'
    [row] = shell.rows("put", "seen/0", "x")
    revision = str(row["revision"])
    watching = shell.start(
        "watch", "seen/", "--prefix", "--revision", revision, "--", "sh", "-c", script
    )
    shell.run("del", "seen/0")
    wait_until(lambda: out.exists() and len(out.read_text().splitlines()) == 2)
    watching.terminate()
    watching.communicate(timeout=PATIENCE_S)
    assert out.read_text() == "PUT seen/0 x\nDELETE seen/0 \n"


def test_a_mirror_copies_and_follows(shell: Shell, tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as other:
        other.leader()
        there = Shell(other.endpoints[0])
        shell.run("put", "m/1", "one")
        copying = shell.start(
            "mirror", other.endpoints[0], "--prefix", "m/", "--dest-prefix", "copy/"
        )
        assert copying.stdout is not None
        assert copying.stdout.readline() == "1 keys copied; following\n"
        shell.run("put", "m/2", "two")
        shell.run("del", "m/1")
        wait_until(lambda: there.run("get", "copy/2", "--keys-only", "--prefix", code=0) != "")
        wait_until(lambda: there.run("get", "", "--from-key", "--keys-only") == "copy/2\n")
        copying.terminate()
        copying.communicate(timeout=PATIENCE_S)


def test_compaction_and_health(shell: Shell) -> None:
    [row] = shell.rows("put", "h", "1")
    shell.run("compact", str(row["revision"]))
    assert "has been compacted" in shell.run("compact", "1", code=3)
    assert "healthy, " in shell.run("health")
    [said] = shell.rows("health")
    assert said["health"] is True
    wrong = shell.run("health", "--endpoints", "127.0.0.1:1", "--timeout", "1", code=1)
    assert "127.0.0.1:1" in wrong


def test_users_roles_and_who_may_do_what(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1, extra_flags=["--password-length-min=3"]) as cluster:
        cluster.leader()
        shell = Shell(cluster.endpoints[0])
        run = shell.run
        run("user", "add", "root", "--password", "rootpw")
        assert "shorter than 3" in run("user", "add", "x", "--password", "no", code=3)
        assert "longer than 72" in run("user", "add", "x", "--password", "n" * 73, code=3)
        run("user", "grant-role", "root", "root")
        run("user", "add", "alice", stdin="alicepw\nalicepw\n")
        run("user", "add", "machine", "--no-password")
        run("role", "add", "readers")
        run("role", "grant", "readers", "read", "config/", "--prefix")
        run("role", "grant", "readers", "readwrite", "own")
        run("user", "grant-role", "alice", "readers")
        assert run("role", "get", "readers") == (
            "read      config/ to before 'config0'\nreadwrite own\n"
        )
        assert run("user", "get", "alice") == "readers\n"
        assert run("user", "list") == "alice\nmachine\nroot\n"
        assert run("role", "list") == "readers\n"
        assert run("auth", "status").startswith("authentication is off")
        run("auth", "enable")
        assert "--user NAME" in run("get", "config/x", code=3)
        as_root, as_alice = ("--user", "root:rootpw"), ("--user", "alice:alicepw")
        run("put", "config/x", "1", *as_root)
        assert run("get", "config/x", *as_alice) == "1\n"
        assert run("get", "config/x", ROOST_USER="alice:alicepw") == "1\n"
        assert run("get", "config/x", "--user", "alice", stdin="alicepw\n") == "1\n"
        assert "permission denied" in run("put", "config/x", "2", *as_alice, code=3)
        assert "password is wrong" in run("get", "x", "--user", "alice:no", code=3)
        run("put", "own", "1", *as_alice)
        run("user", "password", "alice", "--password", "new", *as_root)
        assert "password is wrong" in run("get", "own", *as_alice, code=3)
        run("role", "revoke", "readers", "own", *as_root)
        assert "permission denied" in run("get", "own", "--user", "alice:new", code=3)
        run("user", "revoke-role", "alice", "readers", *as_root)
        run("role", "delete", "readers", *as_root)
        run("user", "delete", "alice", *as_root)
        assert "permission denied" not in run("health", *as_root)
        for secret in (b"rootpw", b"alicepw"):  # CVE-2021-28235
            for path in tmp_path.rglob("*"):
                assert not path.is_file() or secret not in path.read_bytes(), path
        run("auth", "disable", *as_root)
        assert run("get", "own") == "1\n"


def test_commands_speak_tls(tmp_path: Path) -> None:
    from tests.integration.certificates import Authority

    root = tmp_path / "certificates"
    root.mkdir()
    authority = Authority(root)
    server, client = authority.sign("server"), authority.sign("client")
    flags = [
        f"--cert-file={server.certificate}",
        f"--key-file={server.key}",
        f"--trusted-ca-file={authority.path}",
    ]
    from tests.integration.test_tls import SecureCluster

    with SecureCluster(tmp_path, 1, flags) as cluster:
        cluster.leader()
        shell = Shell(f"https://{cluster.secure()}")
        who = ["--cacert", str(authority.path)]
        ours = ["--cert", str(client.certificate), "--key", str(client.key)]
        assert shell.run("put", "k", "v", *who, *ours) == "OK, revision 2\n"
        shell.run("get", "k", *who, "--timeout", "2", code=4)
        assert "no such file" in shell.run("get", "k", "--cacert", "/nowhere", code=2)
