"""What is asked of a server in a measurement: single calls, and `h2load`'s many of one kind.

`h2load` is in Debian's package nghttp2-client.  It sends real gRPC requests, each the same.
"""

import json
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import grpc

from bench.servers import START_TIMEOUT_S, Cluster
from roost.proto import rpc_pb2

PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
TXN, GRANT = "/etcdserverpb.KV/Txn", "/etcdserverpb.Lease/LeaseGrant"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
VALUE = b"v" * 100
H2LOAD_TIMEOUT_S = 300.0
_CALL_TIMEOUT_S = 30.0
_LOOK_S = 0.01
_FINISHED = re.compile(r"finished in .*?, ([0-9.]+) req/s")
_SUCCEEDED = re.compile(r"(\d+) succeeded")
_STATUS = re.compile(r"status codes: (\d+) 2xx")


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests, by how many connections, with how many on their way on each."""

    clients: int
    streams: int
    count: int

    def __str__(self) -> str:
        """As people write it."""
        return str(self.clients) if self.streams == 1 else f"{self.clients} x {self.streams}"

    def scaled(self, scale: float) -> "Load":
        """The same with another count: `scale` times as many, and one each at least."""
        at_once = self.clients * self.streams
        return Load(self.clients, self.streams, max(at_once, int(self.count * scale)))


def frame(message: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + struct.pack(">I", len(message)) + message


def call(port: int, path: str, request: bytes) -> bytes:
    """One unary call, without TLS."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Callable[..., bytes] = channel.unary_unary(path)
        return method(request, timeout=_CALL_TIMEOUT_S, wait_for_ready=True)


def wait_until_it_serves(port: int, key: bytes) -> None:
    """Return when a member answers a linearizable read of a key that is there.

    Raises:
        TimeoutError: it does not.
        RuntimeError: the key is not there.

    """
    until = time.monotonic() + START_TIMEOUT_S
    request = rpc_pb2.RangeRequest(key=key, count_only=True).SerializeToString()
    while time.monotonic() < until:
        try:
            # A channel that is refused waits a second and more before it tries again.
            socket.create_connection(("127.0.0.1", port), timeout=_CALL_TIMEOUT_S).close()
            answer = rpc_pb2.RangeResponse.FromString(call(port, RANGE, request))
        except (OSError, grpc.RpcError):
            time.sleep(_LOOK_S)
            continue
        if answer.count != 1:
            raise RuntimeError(f"{key!r} was lost")
        return
    raise TimeoutError(f"nobody serves on port {port}")


def find_leader(cluster: Cluster) -> int:
    """The position of the leader, once every member serves; by JSON, with TLS or without.

    Raises:
        TimeoutError: nobody leads, or a member does not serve.

    """
    until = time.monotonic() + START_TIMEOUT_S
    said: list[Any] = []
    while time.monotonic() < until:
        try:
            said = [_status(cluster, port) for port in cluster.ports]
        except (OSError, HTTPException):
            time.sleep(_LOOK_S)
            continue
        leaders = {it.get("leader", "0") for it in said}
        for position, it in enumerate(said):
            if leaders == {it.get("header", {}).get("member_id")}:
                return position
        time.sleep(_LOOK_S)
    raise TimeoutError(f"no member of {cluster.kind} leads: {said}")


def _status(cluster: Cluster, port: int) -> Any:  # Any: JSON
    connection: HTTPConnection
    if cluster.is_tls:
        # The members make their certificates themselves: nobody else knows them.
        trusting = ssl._create_unverified_context()  # noqa: SLF001 - the short way to it
        connection = HTTPSConnection("127.0.0.1", port, timeout=_CALL_TIMEOUT_S, context=trusting)
    else:
        connection = HTTPConnection("127.0.0.1", port, timeout=_CALL_TIMEOUT_S)
    try:
        connection.request("POST", "/v3/maintenance/status", body=b"{}")
        answer = connection.getresponse()
        return json.load(answer) if answer.status == HTTPStatus.OK else {}
    finally:
        connection.close()


def h2load(cluster: Cluster, position: int, path: str, body: Path, load: Load) -> float:
    """Requests a second, asked of one member.

    Raises:
        RuntimeError: a request has failed.

    """
    scheme = "https" if cluster.is_tls else "http"
    command = [
        "h2load", "-n", str(load.count), "-c", str(load.clients), "-m", str(load.streams),
        "-t", "1", "--npn-list=h2", "-H", "content-type: application/grpc", "-H", "te: trailers",
        "-d", str(body), f"{scheme}://127.0.0.1:{cluster.ports[position]}{path}",
    ]  # fmt: skip
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=H2LOAD_TIMEOUT_S
    ).stdout
    finished, succeeded, status = (
        pattern.search(said) for pattern in (_FINISHED, _SUCCEEDED, _STATUS)
    )
    if not finished or not succeeded or not status or int(status[1]) != load.count:
        raise RuntimeError(f"h2load failed:\n{said}")
    return float(finished[1])
