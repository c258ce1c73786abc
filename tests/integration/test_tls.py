"""TLS for clients and between members: by real certificates, real sockets and real clients."""

import json
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from roost.client import Client
from roost.proto import rpc_pb2 as pb
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.integration.certificates import Authority, Pair
from tests.integration.etcdctl import run_etcdctl

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    root = tmp_path / "certificates"
    root.mkdir()
    return Authority(root)


class SecureCluster(Cluster):
    """Members whose peers, and clients at a second port, are spoken to by TLS."""

    def __init__(self, root: Path, size: int, flags: list[str], *, peers: bool = False) -> None:
        super().__init__(root, size, extra_flags=flags)
        self.secure_ports = free_ports(size)
        self._has_secure_peers = peers

    def flags(self, position: int) -> list[str]:
        plain = super().flags(position)
        if self._has_secure_peers:
            secure = [
                it.replace("http://", "https://") if "peer" in it or "initial-cluster" in it else it
                for it in plain
            ]
        else:
            secure = plain
        clients = f"http://127.0.0.1:{self.client_ports[position]}"
        also = f"{clients},https://127.0.0.1:{self.secure_ports[position]}"
        return [*secure, f"--listen-client-urls={also}"]

    def secure(self, position: int = 0) -> str:
        return f"localhost:{self.secure_ports[position]}"


def channel(endpoint: str, authority: Path, pair: Pair | None = None) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.read_bytes(),
        pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None,
    )
    return grpc.secure_channel(endpoint, credentials)


def put(found: grpc.Channel, key: bytes = b"k") -> pb.PutResponse:
    method = found.unary_unary("/etcdserverpb.KV/Put")
    body = pb.PutRequest(key=key, value=b"v").SerializeToString()
    return pb.PutResponse.FromString(method(body, timeout=PATIENCE_S))


def certificate_flags(pair: Pair, prefix: str = "") -> list[str]:
    return [f"--{prefix}cert-file={pair.certificate}", f"--{prefix}key-file={pair.key}"]


def test_clients_are_served_by_tls_and_certificates_are_renewed_without_a_restart(
    tmp_path: Path, authority: Authority
) -> None:
    first = authority.sign("server")
    with SecureCluster(tmp_path, 1, certificate_flags(first)) as cluster:
        cluster.leader()
        with channel(cluster.secure(), authority.path) as found:
            assert put(found).header.revision == 2
        context = ssl.create_default_context(cafile=str(authority.path))
        body = json.dumps({"key": "aw=="}).encode()
        url = f"https://{cluster.secure()}/v3/kv/range"
        with urllib.request.urlopen(url, body, timeout=PATIENCE_S, context=context) as response:
            assert json.load(response)["count"] == "1"
        command = ["--cacert", str(authority.path), "get", "k"]
        assert run_etcdctl(f"https://{cluster.secure()}", *command).out == "k\nv\n"
        before = ssl.get_server_certificate(("127.0.0.1", cluster.secure_ports[0]))
        authority.sign("server")
        later = time.time() + 10
        os.utime(first.certificate, (later, later))
        wait_until(
            lambda: ssl.get_server_certificate(("127.0.0.1", cluster.secure_ports[0])) != before
        )
        with channel(cluster.secure(), authority.path) as found:
            put(found)
        first.certificate.write_text("no certificate")
        with channel(cluster.secure(), authority.path) as found:
            put(found)  # what was good goes on
        wait_until(lambda: "cannot be used" in cluster.log_path(0).read_text())


def is_refused(cluster: SecureCluster, authority: Path, pair: Pair | None) -> bool:
    with channel(cluster.secure(), authority, pair) as found:
        try:
            put(found)
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def test_clients_need_a_certificate_that_is_ours_and_not_revoked(
    tmp_path: Path, authority: Authority
) -> None:
    server, alice, bob = (authority.sign(name) for name in ("server", "alice", "bob"))
    stranger = Authority(tmp_path / "certificates", "stranger").sign("mallory")
    revoked = tmp_path / "revoked.pem"
    authority.revoke(revoked)
    flags = [
        *certificate_flags(server),
        f"--trusted-ca-file={authority.path}",
        "--client-cert-auth",
        f"--client-crl-file={revoked}",
    ]
    with SecureCluster(tmp_path, 1, flags) as cluster:
        cluster.leader()
        with channel(cluster.secure(), authority.path, alice) as found:
            put(found)
        assert is_refused(cluster, authority.path, None)
        assert is_refused(cluster, authority.path, stranger)
        assert not is_refused(cluster, authority.path, bob)
        authority.revoke(revoked, bob.serial)
        later = time.time() + 10
        os.utime(revoked, (later, later))
        wait_until(lambda: is_refused(cluster, authority.path, bob))
        assert not is_refused(cluster, authority.path, alice)


@pytest.mark.parametrize(("host", "is_served"), [("localhost", True), ("elsewhere", False)])
def test_a_clients_certificate_may_have_to_be_for_a_host(
    tmp_path: Path, authority: Authority, host: str, *, is_served: bool
) -> None:
    flags = [
        *certificate_flags(authority.sign("server")),
        f"--trusted-ca-file={authority.path}",
        f"--client-cert-allowed-hostname={host}",
    ]
    with SecureCluster(tmp_path, 1, flags) as cluster:
        cluster.leader()
        assert is_refused(cluster, authority.path, authority.sign("alice")) is not is_served


def test_the_name_in_a_certificate_is_a_user(tmp_path: Path, authority: Authority) -> None:
    server, root, nobody = (authority.sign(name) for name in ("server", "root", "nobody"))
    flags = [*certificate_flags(server), f"--trusted-ca-file={authority.path}"]
    with SecureCluster(tmp_path, 1, [*flags, "--client-cert-auth"]) as cluster:
        cluster.leader()
        with channel(cluster.secure(), authority.path, root) as found:
            for method, request in (
                ("UserAdd", pb.AuthUserAddRequest(name="root", password="p")),
                ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root")),
                ("AuthEnable", pb.AuthEnableRequest()),
            ):
                found.unary_unary(f"/etcdserverpb.Auth/{method}")(request.SerializeToString())
            put(found)
        with (
            channel(cluster.secure(), authority.path, nobody) as found,
            pytest.raises(grpc.RpcError) as caught,
        ):
            put(found)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        # A certificate's name counts for nothing by the gateway (CVE-2018-16886).
        context = ssl.create_default_context(cafile=str(authority.path))
        context.load_cert_chain(root.certificate, root.key)
        url = f"https://{cluster.secure()}/v3/kv/range"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url, b'{"key": "aw=="}', timeout=PATIENCE_S, context=context)
        with refused.value as answer:
            assert answer.code == 400


def test_a_handshake_that_does_not_go_on_is_ended(tmp_path: Path) -> None:
    """CVE-2026-73500."""
    with SecureCluster(tmp_path, 1, ["--auto-tls"]) as cluster:
        cluster.leader()
        begin = time.monotonic()
        with socket.create_connection(
            ("127.0.0.1", cluster.secure_ports[0]), timeout=PATIENCE_S
        ) as idle:
            assert idle.recv(100) == b""
        assert 2 < time.monotonic() - begin < 15


@pytest.fixture(params=["files", "auto"])
def secure_three(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[SecureCluster]:
    if request.param == "auto":
        flags = ["--peer-auto-tls"]
    else:
        pair = authority.sign("member")
        flags = [
            *certificate_flags(pair, "peer-"),
            f"--peer-trusted-ca-file={authority.path}",
            "--peer-client-cert-auth",
            "--peer-cert-allowed-cn=member",
        ]
    with SecureCluster(tmp_path, 3, [*flags, "--auto-tls"], peers=True) as cluster:
        yield cluster


def test_members_talk_by_tls(secure_three: SecureCluster) -> None:
    """Large values, a member that comes back behind everything, and one that is added."""
    cluster = secure_three
    leader = cluster.leader()
    behind = (leader + 1) % 3
    with Client([cluster.endpoints[leader]], timeout_s=20) as client:
        cluster.kill(behind)
        for number in range(30):
            client.put(b"k%d" % number, os.urandom(500_000))
        cluster.start(behind)
    with Client([cluster.endpoints[behind]], timeout_s=20) as client:
        wait_until(lambda: cluster.status_now(behind) is not None)
        assert len(client.range(b"k", b"l")) == 30
    with Client([cluster.endpoints[leader]], timeout_s=20) as client:
        added = cluster.grow()
        cluster.secure_ports += free_ports(1)
        url = cluster.peer_url(added).replace("http://", "https://")
        client.add_member([url])
    cluster.start(added)
    wait_until(lambda: cluster.status_now(added) is not None)
    with Client([cluster.endpoints[added]], timeout_s=20) as client:
        assert len(client.range(b"k", b"l")) == 30


def test_a_member_without_our_certificate_is_not_let_in(
    tmp_path: Path, authority: Authority
) -> None:
    ours = authority.sign("member")
    other = authority.sign("somebody")
    common = [f"--peer-trusted-ca-file={authority.path}", "--peer-client-cert-auth"]
    cluster = SecureCluster(
        tmp_path,
        3,
        [*certificate_flags(ours, "peer-"), *common, "--peer-cert-allowed-cn=member", "--auto-tls"],
        peers=True,
    )
    with cluster:
        cluster.leader()
        cluster.kill(2)
        cluster.start(2, *certificate_flags(other, "peer-"), "--peer-cert-allowed-cn=")
        wait_until(lambda: "certificate of 'somebody'" in cluster.log_path(0).read_text())
        cluster.kill(2)
        cluster.start(2)
        wait_until(lambda: (said := cluster.status_now(2)) is not None and said.leader != 0)
