"""Connections that do nothing use up file descriptors; the member goes on."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from roost.client import Client
from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
LIMIT = 256
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)


def limited(how: str) -> tuple[str, ...]:
    """The command, under a limit of `ulimit`."""
    return ("sh", "-c", f'ulimit {how} {LIMIT}; exec "$@"', "sh", *ROOST)


def connect(port: int) -> socket.socket:
    """A connection that only greets."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    sock.sendall(GREETING)
    return sock


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side has closed it, as far as one can see now."""
    sock.setblocking(False)
    try:
        while data := sock.recv(4096):
            assert data
    except BlockingIOError:
        return False
    except ConnectionError:
        pass  # it was reset, so it is closed
    return True


def open_descriptors(cluster: Cluster) -> int:
    return len(list(Path(f"/proc/{cluster.process(0).pid}/fd").iterdir()))


def test_idle_connections_leave_descriptors_for_files(tmp_path: Path) -> None:
    """With `ulimit -n` used up the journal found none for its next file, and the member ended."""
    flags = ("--segment-bytes=1048576",)
    with (
        Cluster(tmp_path, 1, command=limited("-n"), extra_flags=flags) as cluster,
        ExitStack() as open_,
    ):
        cluster.leader()
        client = open_.enter_context(Client(cluster.endpoints))
        client.put(b"key", b"first")
        idle = [open_.enter_context(connect(cluster.client_ports[0])) for _ in range(2 * LIMIT)]
        idle += [open_.enter_context(connect(cluster.peer_ports[0])) for _ in range(LIMIT)]
        wait_until(lambda: sum(map(is_closed, idle)) > 2 * LIMIT)
        wal = tmp_path / "m0" / "wal"
        before = {it.name for it in wal.glob("*.wal")}
        for number in range(12):  # more than ten journal files
            client.put(b"key", b"%d" % number * 500_000)
        assert len({it.name for it in wal.glob("*.wal")} - before) >= 3
        assert cluster.running == [0]
        assert open_descriptors(cluster) < LIMIT
        assert "file descriptors are too few (ulimit -n)" in cluster.log_path(0).read_text()
        for sock in idle:
            sock.close()
        with Client(cluster.endpoints) as another:
            item = another.get(b"key")
            assert item is not None
            assert item.value.startswith(b"11")


def test_the_soft_limit_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Cluster(tmp_path, 1, command=limited("-S -n")) as cluster:
        cluster.leader()
        soft, _ = resource.prlimit(cluster.process(0).pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 1 << 20)
