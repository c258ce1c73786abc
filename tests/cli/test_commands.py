"""The commands people type, against a running member."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from roost.cli.shared import say_table
from roost.proto import rpc_pb2
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.cli import commands

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Cluster(tmp_path_factory.mktemp("cli"), 1) as cluster:
        cluster.leader()
        yield cluster.endpoints[0]


def roost(endpoint: str, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    done = commands.run(*arguments, "--endpoints", endpoint, typed=stdin)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_put_get_and_delete(endpoint: str) -> None:
    assert roost(endpoint, "put", "a/1", "one") == (0, "OK, revision 2\n")
    assert roost(endpoint, "put", "a/2", stdin=b"two") == (0, "OK, revision 3\n")
    assert roost(endpoint, "get", "a/1") == (0, "one\n")
    assert roost(endpoint, "get", "a/", "--prefix") == (0, "a/1\tone\na/2\ttwo\n")
    code, said = roost(endpoint, "get", "a/2", "--json")
    assert code == 0
    assert json.loads(said) == {
        "key": "a/2", "value": "two", "create_revision": 3, "mod_revision": 3, "version": 1,
    }  # fmt: skip
    assert roost(endpoint, "del", "a/", "--prefix") == (0, "2 deleted\n")
    assert roost(endpoint, "get", "a/1") == (1, "")


def test_txn_reads_protobuf_json(endpoint: str) -> None:
    request = b'{"success": [{"request_put": {"key": "a2V5", "value": "dg=="}}]}'
    code, said = roost(endpoint, "txn", "--json", stdin=request)
    assert code == 0
    assert json.loads(said)["succeeded"] is True
    code, said = roost(endpoint, "txn", stdin=b"nonsense")
    assert code == 2
    assert "is no comparison" in said


def test_status_shows_who_leads_and_who_is_silent(endpoint: str) -> None:
    code, said = roost(endpoint, "status", "--json")
    assert code == 0
    assert json.loads(said)["is_leader"] is True
    code, said = roost(f"{endpoint},127.0.0.1:1", "status", "--timeout", "1")
    assert code == 1
    _, leader, silent, why = said.splitlines()
    assert ("leader" in leader, silent.split()[:3]) == (True, ["?", "silent", "127.0.0.1:1"])
    assert why.startswith("127.0.0.1:1  nobody listens")


def test_watch_prints_changes_as_they_come(endpoint: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "roost.cli", "watch", "w/", "--prefix", "--endpoints", endpoint,
         "--revision", "1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        roost(endpoint, "put", "w/1", "x")
        roost(endpoint, "del", "w/1")
        assert process.stdout.readline() == "PUT\tw/1\tx\n"
        assert process.stdout.readline() == "DELETE\tw/1\t\n"
    finally:
        process.kill()
        process.communicate()


def test_an_endpoint_that_does_not_answer_is_one_line_and_exit_code_4() -> None:
    code, said = roost("127.0.0.1:1", "get", "k", "--timeout", "1")
    assert code == 4
    assert said.startswith("Error: ")
    assert said.count("\n") == 1


def test_member_commands_change_the_cluster_and_say_so(endpoint: str) -> None:
    code, said = roost(endpoint, "member", "list", "--json")
    assert code == 0
    own = json.loads(said)
    assert (own["name"], own["status"], own["is_learner"]) == ("m0", "started", False)
    code, said = roost(
        endpoint, "member", "add", "m1", "--peer-urls=http://127.0.0.1:1", "--learner"
    )
    assert code == 0
    assert "--initial-cluster-state existing" in said
    assert "m1=http://127.0.0.1:1" in said
    added = said.split()[1]
    code, said = roost(endpoint, "member", "list")
    assert code == 0
    assert added in said
    assert "unstarted" in said
    code, said = roost(endpoint, "member", "promote", added)
    assert code == 3
    assert "in sync with leader" in said
    code, said = roost(endpoint, "member", "update", added, "--peer-urls=http://127.0.0.1:2")
    assert code == 0
    assert "http://127.0.0.1:2" in said
    code, said = roost(endpoint, "member", "replace", added, "m2", "--peer-urls=http://127.0.0.1:3")
    assert code == 0
    assert "m2=http://127.0.0.1:3" in said
    second = said.split()[1]
    code, said = roost(endpoint, "member", "list", "--json")
    assert {json.loads(row)["id"] for row in said.splitlines()} == {own["id"], second}
    code, said = roost(endpoint, "member", "remove", added)
    assert code == 3
    assert "member not found" in said
    code, said = roost(endpoint, "member", "remove", second)
    assert code == 0
    assert second not in said
    assert roost(endpoint, "member", "lead", own["id"])[0] == 0
    code, said = roost(endpoint, "member", "remove", "xyz")
    assert code == 2
    assert "is no id" in said


def test_the_command_for_a_new_member_starts_it_beside_one_that_has_not_started(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, 2) as cluster:
        cluster.leader()
        peers = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
        for words, peer in zip((["absent", "--learner"], ["new"]), peers, strict=True):
            add = ["member", "add", *words, f"--peer-urls={peer}/", "--timeout=20"]
            code, said = roost(cluster.endpoints[0], *add)
            assert code == 0, said
        assert "=http" in said
        command = shlex.split(said.partition(":\n")[2].replace("\\\n", " "))
        assert command[:2] == ["roost", "serve"]
        beside = int(peers[1].rpartition(":")[2]) - 1
        assert command[-2:] == ["--listen-client-urls", f"http://127.0.0.1:{beside}"]
        # What is free beside a free port is nobody's promise: clients go elsewhere in this test.
        client = free_ports(1)[0]
        with (tmp_path / "new.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "roost.cli", *command[1:],
                 f"--listen-client-urls=http://127.0.0.1:{client}"],
                cwd=tmp_path, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(lambda: "'new' serves" in (tmp_path / "new.log").read_text(), 60)
        finally:
            process.kill()
            process.wait()


def test_columns_are_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    say_table([("NAME", "N"), ("a-long-name-indeed", "1000000031"), ("b", "7")], right=(1,))
    assert capsys.readouterr().out == (
        "NAME                         N\na-long-name-indeed  1000000031\n"
        "b                            7\n"
    )


def test_health_sees_alarms(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        assert roost(endpoint, "health")[0] == 0
        with grpc.insecure_channel(endpoint) as channel:
            request = rpc_pb2.AlarmRequest(
                action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=7, alarm=rpc_pb2.NOSPACE
            )
            raise_alarm = channel.unary_unary("/etcdserverpb.Maintenance/Alarm")
            raise_alarm(request.SerializeToString(), timeout=PATIENCE_S)
        code, said = roost(endpoint, "health")
        assert code == 1
        assert "alarms are raised: NOSPACE" in said
        code, said = roost(endpoint, "health", "--json")
        assert (code, json.loads(said)["health"]) == (1, False)
