"""`roost v2`, `roost log-level`, and etcdctl with ETCDCTL_API=2, at one member."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from roost.cli.exits import EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE
from roost.cli.main import main
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S
from tests.integration.etcdctl import binary

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    flags = ("--enable-v2", "--bcrypt-cost=4")
    with Cluster(tmp_path_factory.mktemp("m"), 1, extra_flags=flags) as started:
        started.leader()
        yield started.endpoints[0]


def run(endpoint: str, *arguments: str) -> Result:
    # It is a thread's no more than any test is, so signals stay pytest's.
    return CliRunner().invoke(main, [*arguments, "--endpoints", endpoint])


def said(endpoint: str, *arguments: str, code: int = 0) -> str:
    result = run(endpoint, *arguments)
    assert result.exit_code == code, (arguments, result.output)
    return result.output


def test_keys_and_directories(endpoint: str) -> None:
    assert said(endpoint, "v2", "set", "/c/a b", "one") == "one\n"
    assert said(endpoint, "v2", "get", "c/a b", "--quorum") == "one\n"
    assert said(endpoint, "v2", "mk", "/c/k", "two", "--ttl", "1000") == "two\n"
    said(endpoint, "v2", "mk", "/c/k", "two", code=EXIT_REFUSED)
    assert said(endpoint, "v2", "update", "/c/k", "three") == "three\n"
    said(endpoint, "v2", "update", "/c/missing", "x", code=EXIT_FAILED)
    said(endpoint, "v2", "mkdir", "/c/d")
    made = said(endpoint, "v2", "mk", "/c/q", "x", "--in-order").strip()
    assert made.startswith("/c/q/0000")
    assert said(endpoint, "v2", "ls", "/c", "-p", "--recursive").splitlines() == [
        "/c/a b",
        "/c/d/",
        "/c/k",
        "/c/q/",
        made,
    ]
    rows = said(endpoint, "v2", "ls", "/c", "--json").splitlines()
    assert [json.loads(it)["key"] for it in rows] == ["/c/a b", "/c/d", "/c/k", "/c/q"]
    assert "is a directory" in said(endpoint, "v2", "get", "/c", code=EXIT_FAILED)


def test_conditions_and_deletions(endpoint: str) -> None:
    event = json.loads(said(endpoint, "v2", "set", "/d/k", "one", "--json"))
    index = str(event["node"]["modifiedIndex"])
    text = said(endpoint, "v2", "set", "/d/k", "two", "--prev-value", "x", code=EXIT_REFUSED)
    assert "101: Compare failed ([x != one])" in text
    said(endpoint, "v2", "set", "/d/k", "two", "--prev-index", index)
    said(endpoint, "v2", "rm", "/d", code=EXIT_REFUSED)
    said(endpoint, "v2", "rm", "/d", "--dir", code=EXIT_REFUSED)
    assert said(endpoint, "v2", "rm", "/d/k", "--prev-value", "two") == "PrevNode.Value: two\n"
    said(endpoint, "v2", "rm", "/d", "--recursive")
    text = said(endpoint, "v2", "get", "/d/k", code=EXIT_FAILED)
    assert text.strip().endswith("100: Key not found (/d)")


def test_a_watch_begins_in_the_past(endpoint: str) -> None:
    first = json.loads(said(endpoint, "v2", "set", "/w/k", "one", "--json"))
    said(endpoint, "v2", "set", "/w/k", "two")
    after = str(first["node"]["modifiedIndex"])
    text = said(endpoint, "v2", "watch", "/w", "--recursive", "--after-index", after)
    assert text == "[set] /w/k\ntwo\n"


def test_levels_are_changed_while_it_runs(endpoint: str) -> None:
    name = f"{endpoint}: "
    assert said(endpoint, "log-level").startswith(name + "all=")
    module = ("--module", "roost.member")
    assert said(endpoint, "log-level", "debug", *module) == f"{name}roost.member=debug\n"
    assert f"{name}roost.member=DEBUG\n" in said(endpoint, "log-level")
    row = json.loads(said(endpoint, "log-level", "--json"))
    assert (row["endpoint"], row["Modules"]) == (endpoint, {"roost.member": "DEBUG"})
    said(endpoint, "log-level", "default", *module)
    assert "Invalid log level loud" in said(endpoint, "log-level", "loud", code=EXIT_FAILED)


def test_what_is_wrong_is_said() -> None:
    assert "127.0.0.1:1" in said("127.0.0.1:1", "v2", "get", "/a", code=EXIT_UNREACHABLE)
    assert "127.0.0.1:1" in said("127.0.0.1:1", "log-level", code=EXIT_FAILED)
    said("unix:///nothing", "v2", "get", "/a", code=EXIT_REFUSED)
    said("nothing", "v2", "get", "/a", code=EXIT_USAGE)


def etcdctl(endpoint: str, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [binary("etcdctl"), "--endpoints", f"http://{endpoint}", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "ETCDCTL_API": "2"},
        check=False,
    )
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_etcdctl_of_v2_reads_and_writes(endpoint: str) -> None:
    assert etcdctl(endpoint, "set", "/e/k", "one") == "one\n"
    assert etcdctl(endpoint, "get", "/e/k") == "one\n"
    assert etcdctl(endpoint, "mk", "--in-order", "/e/q", "x").strip() == "x"
    etcdctl(endpoint, "mkdir", "/e/d")
    listed = etcdctl(endpoint, "ls", "--recursive", "--sort", "-p", "/e").splitlines()
    assert listed[:2] == ["/e/d/", "/e/k"]
    assert "Compare failed" in etcdctl(
        endpoint, "set", "--swap-with-value", "x", "/e/k", "two", code=4
    )
    etcdctl(endpoint, "update", "/e/k", "two", "--ttl", "100")
    assert "PrevNode.Value: two" in etcdctl(endpoint, "rm", "/e/k")
    etcdctl(endpoint, "rm", "--recursive", "/e")
    assert "Key not found" in etcdctl(endpoint, "get", "/e/k", code=4)
    assert "isLeader=true" in etcdctl(endpoint, "member", "list")
    assert "cluster is healthy" in etcdctl(endpoint, "cluster-health")


def test_etcdctl_of_v2_manages_users_and_roles(endpoint: str) -> None:
    root = ("--username", "root:pw")
    etcdctl(endpoint, "user", "add", "root:pw")
    etcdctl(endpoint, "auth", "enable")
    try:
        etcdctl(endpoint, *root, "role", "add", "r")
        etcdctl(endpoint, *root, "role", "grant", "r", "--path", "/u/*", "--readwrite")
        etcdctl(endpoint, *root, "role", "revoke", "guest", "--path", "/*", "--readwrite")
        etcdctl(endpoint, *root, "user", "add", "alice:pw")
        etcdctl(endpoint, *root, "user", "grant", "alice", "--roles", "r")
        assert "r" in etcdctl(endpoint, *root, "user", "get", "alice")
        assert "/u/*" in etcdctl(endpoint, *root, "role", "get", "r")
        alice = ("--username", "alice:pw")
        assert etcdctl(endpoint, *alice, "set", "/u/k", "1") == "1\n"
        assert "Insufficient credentials" in etcdctl(endpoint, "get", "/u/k", code=4)
        assert said(endpoint, "v2", "get", "/u/k", "--user", "alice:pw") == "1\n"
        text = said(endpoint, "v2", "get", "/x", "--user", "alice:pw", code=EXIT_REFUSED)
        assert "110: " in text
        assert "alice" in etcdctl(endpoint, *root, "user", "list")
    finally:
        etcdctl(endpoint, *root, "auth", "disable")
