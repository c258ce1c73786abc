"""Bad input, bad directories, taken ports: a clear error, no crash, nothing lost."""

import http.client
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from roost.client import Client
from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("bad"), 1) as cluster:
        cluster.leader()
        with Client(cluster.endpoints) as client:
            client.put(b"kept", b"value")
        yield cluster
        with Client(cluster.endpoints) as client:
            item = client.get(b"kept")
            assert item is not None and item.value == b"value"
        assert cluster.running == [0]


def throw(port: int, data: bytes) -> bytes:
    """Send bytes, say no more, and read until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        received = b""
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65_536):
                received += part
        except ConnectionError:
            pass  # closed at the first nonsense: that is an answer
        return received


def test_garbage_on_either_port_ends_that_connection_only(cluster: Cluster) -> None:
    dice = random.Random(7)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for length in (1, 9, 24, 100, 5000):
        noise = dice.randbytes(length)
        throw(cluster.client_ports[0], noise)
        throw(cluster.client_ports[0], preface + noise)
        throw(cluster.peer_ports[0], noise)
        throw(cluster.peer_ports[0], b"RP\xf0\0\xff\xff\xff\xff" + noise)


def test_http2_nonsense_is_answered_with_goaway(cluster: Cluster) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    answer = throw(cluster.client_ports[0], preface + b"\xff\xff\xff\0\0\0\0\0\1")
    assert b"\x07\0" in answer, "a GOAWAY frame"


def test_an_unknown_method_is_unimplemented_in_grpcs_words(cluster: Cluster) -> None:
    with grpc.insecure_channel(cluster.endpoints[0]) as channel:
        for path, text in [
            ("/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"),
            ("/nowhere.At/All", "unknown service nowhere.At"),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"", timeout=PATIENCE_S)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert caught.value.details() == text


def test_a_request_that_is_no_message_is_refused(cluster: Cluster) -> None:
    with grpc.insecure_channel(cluster.endpoints[0]) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/etcdserverpb.KV/Put")(b"\xff\xff\xff", timeout=PATIENCE_S)
        assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_http_pages_answer(cluster: Cluster) -> None:
    for path, status in [("/health", 200), ("/version", 200), ("/metrics", 200), ("/no", 404)]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", cluster.client_ports[0], timeout=PATIENCE_S
        )
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == status, body


def start(*flags: str, timeout_s: float = 20) -> tuple[int, str]:
    """Start a server that must not come up; its exit code and what it said."""
    done = subprocess.run(
        [*ROOST, *flags], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return done.returncode, done.stderr


def urls() -> list[str]:
    client, peer = free_ports(2)
    return [
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
    ]


def test_a_second_process_on_the_same_directory_ends_with_73(cluster: Cluster) -> None:
    code, said = start(*urls(), f"--data-dir={cluster.root / 'm0'}")
    assert code == 73
    assert "is used by another process" in said


def test_a_port_in_use_is_named(cluster: Cluster, tmp_path: Path) -> None:
    flags = [*urls()[1:], f"--listen-client-urls=http://127.0.0.1:{cluster.client_ports[0]}"]
    code, said = start(*flags, f"--data-dir={tmp_path / 'new'}")
    assert code == 1
    assert "Address already in use" in said


def test_a_directory_that_others_may_enter_is_refused_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o755)
    wide.chmod(0o755)
    code, said = start(*urls(), f"--data-dir={wide}", "--strict-permissions")
    assert code == 74
    assert "chmod" in said


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    code, said = start(*urls(), f"--data-dir={path}")
    assert code == 2  # a setting cannot be used
    assert "file" in said


def test_the_directory_of_another_cluster_keeps_its_identity(tmp_path: Path) -> None:
    """As with etcd: what a directory was made for stays, whatever the flags say later."""
    with Cluster(tmp_path, 1) as first:
        first.leader()
        before = first.status(0)
        assert first.stop(0) == 0
        second = Cluster(tmp_path, 1)
        second.start(0)
        try:
            second.leader()
            after = second.status(0)
        finally:
            second.stop_all()
    assert before.header.cluster_id == after.header.cluster_id


def test_a_peer_of_another_cluster_is_refused_by_name(cluster: Cluster, tmp_path: Path) -> None:
    client, peer = free_ports(2)
    members = f"m0=http://127.0.0.1:{cluster.peer_ports[0]},x=http://127.0.0.1:{peer}"
    log = tmp_path / "x.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *ROOST, "--name=x", f"--data-dir={tmp_path / 'x'}",
                f"--listen-client-urls=http://127.0.0.1:{client}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster={members}",
            ],
            stdout=out, stderr=out,
        )  # fmt: skip
    try:
        for _ in range(2000):
            if "dialled cluster" in log.read_text():
                break
            signal.sigtimedwait([], 0.01)
        assert "refuses this member: cluster" in log.read_text()
        assert "--initial-cluster-token" in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_damaged_journal_refuses_to_start_and_says_where(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        with Client(cluster.endpoints) as client:
            for number in range(20):
                client.put(b"k%d" % number, b"v" * 300)
        cluster.kill(0)
        [segment] = [it for it in (tmp_path / "m0" / "wal").iterdir() if it.suffix == ".wal"]
        data = bytearray(segment.read_bytes())
        at = data.index(b"RFRM", data.index(b"k10"))
        data[at - 100] ^= 1  # inside an acknowledged payload
        segment.write_bytes(data)
        process = cluster.start(0)
        assert process.wait(timeout=PATIENCE_S) == 74
        assert "is damaged" in cluster.log_end(0)
        assert segment.name in cluster.log_end(0)
