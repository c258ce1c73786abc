"""The same etcdctl commands against Roost and real etcd print the same, on every member."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S
from tests.integration.etcdctl import binary, etcdctl

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

# (arguments, standard input); run in order, since later ones see what earlier ones wrote.
COMMANDS: list[tuple[tuple[str, ...], str]] = [
    (("put", "foo", "bar"), ""),
    (("put", "foo", "bar2", "--prev-kv"), ""),
    (("put", "foo", "--ignore-value"), ""),
    (("put", "nothing", "--ignore-value"), ""),
    (("put", "a/1", "one"), ""),
    (("put", "a/2", "two"), ""),
    (("put", "a/3", ""), ""),
    (("put", "z", "last", "-w", "json"), ""),
    (("put", "", "empty"), ""),
    (("put", "leased", "x", "--lease=1234"), ""),
    (("get", "foo"), ""),
    (("get", "foo", "-w", "json"), ""),
    (("get", "foo", "-w", "fields"), ""),
    (("get", "nothing"), ""),
    (("get", "a/", "--prefix"), ""),
    (("get", "a/", "--prefix", "--limit", "2", "-w", "json"), ""),
    (("get", "a/", "--prefix", "--keys-only"), ""),
    (("get", "a/", "--prefix", "--count-only", "-w", "fields"), ""),
    (("get", "a/", "--prefix", "--order", "DESCEND", "--sort-by", "KEY"), ""),
    (("get", "a/", "--prefix", "--order", "ASCEND", "--sort-by", "VALUE"), ""),
    (("get", "", "--prefix", "--order", "DESCEND", "--sort-by", "MODIFY"), ""),
    (("get", "a/2", "--from-key"), ""),
    (("get", "a/1", "a/3"), ""),
    (("get", "foo", "--rev", "2", "-w", "json"), ""),
    (("get", "foo", "--rev", "99"), ""),
    (("get", "foo", "--consistency", "s"), ""),
    (("del", "nothing"), ""),
    (("del", "z", "--prev-kv"), ""),
    (("del", "a/", "--prefix", "--prev-kv", "-w", "json"), ""),
    (("txn",), 'value("foo") = "bar2"\n\nput t1 x\nget foo\ndel foo\nget foo\n\nput t2 y\n\n'),
    (("txn", "-w", "json"), 'mod("t1") > "100"\n\nput t3 x\n\nput t4 y\nget t1\n\n'),
    (("txn",), 'version("nope") = "0"\n\nget t1\n\n\n\n'),
    (("txn",), "\n\nput same 1\nput same 2\n\n\n\n"),
    (("watch", "foo", "--rev", "2", "-w", "json"), ""),
    (("compaction", "5"), ""),
    (("compaction", "5"), ""),
    (("compaction", "999"), ""),
    (("get", "foo", "--rev", "3"), ""),
    (("get", "foo", "--rev", "5", "-w", "json"), ""),
    (("member", "list", "-w", "simple"), ""),
    (("endpoint", "health"), ""),
    (("endpoint", "status", "-w", "json"), ""),
    (("lease", "revoke", "1234"), ""),
    (("lease", "keep-alive", "1234", "--once"), ""),
    (("lease", "timetolive", "1234"), ""),
    (("lease", "list"), ""),
    (("lock", "job", "--", "echo", "held"), ""),
    (("alarm", "list"), ""),
    (("alarm", "disarm"), ""),
    (("check", "datascale", "--load", "nonsense"), ""),
    (("user", "add", "root", "--new-user-password", "rootpw"), ""),
    (("user", "add", "root", "--new-user-password", "rootpw"), ""),
    (("user", "add", "alice", "--interactive=false"), "alicepw"),
    (("user", "add", "machine", "--no-password"), ""),
    (("role", "add", "readers"), ""),
    (("role", "add", "readers"), ""),
    (("role", "grant-permission", "readers", "read", "config/", "--prefix"), ""),
    (("role", "grant-permission", "readers", "readwrite", "own"), ""),
    (("role", "grant-permission", "readers", "read", "z", "--from-key"), ""),
    (("role", "grant-permission", "nobody", "read", "x"), ""),
    (("role", "get", "readers"), ""),
    (("role", "list"), ""),
    (("user", "grant-role", "alice", "readers"), ""),
    (("user", "grant-role", "alice", "nobody"), ""),
    (("user", "get", "alice"), ""),
    (("user", "get", "alice", "--detail"), ""),
    (("user", "list"), ""),
    (("auth", "status"), ""),
    (("auth", "enable"), ""),
    (("get", "foo"), ""),
    (("--user", "root:wrong", "get", "foo"), ""),
    (("--user", "root:rootpw", "put", "config/a", "1"), ""),
    (("--user", "alice:alicepw", "get", "config/a"), ""),
    (("--user", "alice:alicepw", "get", "config/", "--prefix"), ""),
    (("--user", "alice:alicepw", "get", "", "--prefix"), ""),
    (("--user", "alice:alicepw", "put", "config/a", "2"), ""),
    (("--user", "alice:alicepw", "put", "own", "2"), ""),
    (("--user", "alice:alicepw", "user", "list"), ""),
    (("--user", "alice:alicepw", "user", "get", "alice"), ""),
    (("--user", "alice:alicepw", "role", "get", "readers"), ""),
    (("--user", "root:rootpw", "role", "revoke-permission", "readers", "own"), ""),
    (("--user", "alice:alicepw", "put", "own", "3"), ""),
    (("--user", "root:rootpw", "user", "passwd", "alice", "--interactive=false"), "new"),
    (("--user", "alice:alicepw", "get", "config/a"), ""),
    (("--user", "root:rootpw", "user", "revoke-role", "alice", "readers"), ""),
    (("--user", "root:rootpw", "user", "delete", "root"), ""),
    (("--user", "root:rootpw", "role", "delete", "readers"), ""),
    (("--user", "root:rootpw", "user", "delete", "alice"), ""),
    (("--user", "root:rootpw", "auth", "status"), ""),
    (("--user", "root:rootpw", "auth", "disable"), ""),
    (("get", "own"), ""),
]
_TOOK = re.compile(r"took = \S+")
_MEMBER = re.compile(r"\b[0-9a-f]{12,16}\b|(http://)?(ENDPOINT|127\.0\.0\.1:\d+)")


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cluster]]:
    roots = {kind: tmp_path_factory.mktemp(kind) for kind in ("roost", "etcd")}
    etcd = (binary("etcd"), "--log-level=error")
    with Cluster(roots["roost"], 3) as ours, Cluster(roots["etcd"], 3, command=etcd) as theirs:
        ours.leader()
        theirs.leader()
        yield {"roost": ours, "etcd": theirs}


def run(endpoint: str, arguments: tuple[str, ...], stdin: str) -> str:
    if arguments[0] == "watch":
        return watch(endpoint, arguments)
    text = etcdctl(endpoint, *arguments, stdin=stdin)
    text = _TOOK.sub("took = T", _MEMBER.sub("X", text))
    if arguments[:2] == ("member", "list"):
        text = "\n".join(sorted(text.splitlines()))
    return re.sub(r'"(version|dbSize\w*)":("[^"]*"|\w+)', r'"\1":V', text)


def watch(endpoint: str, arguments: tuple[str, ...]) -> str:
    """Every event of the past; a watch never ends by itself, so it is read line by line."""
    process = subprocess.Popen(
        [binary("etcdctl"), "--endpoints", endpoint, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    return re.sub(r'"(cluster_id|member_id|raft_term)":\d+', r'"\1":N', line.lower())


def test_every_command_prints_what_it_prints_with_etcd(clusters: dict[str, Cluster]) -> None:
    ours, theirs = clusters["roost"], clusters["etcd"]
    for number, (arguments, stdin) in enumerate(COMMANDS):
        position = number % 3  # leader or not: nobody may notice
        expected = run(theirs.endpoints[position], arguments, stdin)
        assert run(ours.endpoints[position], arguments, stdin) == expected, arguments


def test_values_from_nothing_to_a_mebibyte_and_no_more(clusters: dict[str, Cluster]) -> None:
    import grpc

    from roost.client import Client

    sizes = [0, 1, 127, 128, 16_384, 65_536, 1 << 20]
    answers: dict[str, list[str]] = {}
    for kind, cluster in clusters.items():
        said = answers.setdefault(kind, [])
        for position in range(3):
            with Client([cluster.endpoints[position]], timeout_s=PATIENCE_S) as client:
                for size in sizes:
                    value = bytes([size % 251]) * size
                    client.put(b"sized", value)
                    item = client.get(b"sized")
                    assert item is not None and item.value == value
            for size in (1536 * 1024 - 200, 1536 * 1024 + 1, 4 << 20):
                with grpc.insecure_channel(cluster.endpoints[position]) as channel:
                    from roost.proto import rpc_pb2

                    body = rpc_pb2.PutRequest(key=b"big", value=bytes(size)).SerializeToString()
                    try:
                        channel.unary_unary("/etcdserverpb.KV/Put")(body, timeout=PATIENCE_S)
                        said.append(f"{size}: OK")
                    except grpc.RpcError as error:
                        said.append(f"{size}: {error.code()} {error.details()}")
    assert answers["roost"] == answers["etcd"]
