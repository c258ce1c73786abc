"""Other members, dialled as a member dials them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from roost.cli.doctor.peers import Peer, Reached, dial, judge_peer, peer_rows
from roost.cli.doctor.row import State
from roost.peer import PeerTls
from roost.peer.tls_socket import TlsSocket
from roost.testing.ports import free_ports
from roost.tls import TlsFiles, server_context
from tests.integration.certificates import Authority, Pair

LIMIT_S = 60.0


def files(authority: Authority, pair: Pair) -> TlsFiles:
    return TlsFiles(
        cert_file=str(pair.certificate), key_file=str(pair.key), ca_file=str(authority.path)
    )


@contextmanager
def served(found: TlsFiles | None) -> Iterator[int]:
    """A port that takes one connection and, where there are files, shakes hands."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            sock, _ = server.accept()
            sock.settimeout(LIMIT_S)
            if found is None:
                sock.close()
                return
            secured = TlsSocket(sock, server_context(found), server_name="")
            try:
                secured.do_handshake()
            except OSError:
                pass  # whoever dialled has had enough
            finally:
                secured.close()

        thread = threading.Thread(target=take)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_member_that_is_there_is_timed(tmp_path: Path) -> None:
    with served(None) as port:
        reached = dial(f"http://localhost:{port}", None, LIMIT_S)
    assert reached.trouble == ""
    assert reached.trip_ms > 0
    authority = Authority(tmp_path)
    own = files(authority, authority.sign("m1"))
    with served(own) as port:
        assert dial(f"https://localhost:{port}", PeerTls(own), LIMIT_S).trouble == ""


def test_a_member_that_does_not_run_is_no_mistake_and_what_answers_wrong_is(tmp_path: Path) -> None:
    [port] = free_ports(1)
    refused = dial(f"http://127.0.0.1:{port}", None, LIMIT_S)
    assert refused == Reached(trouble="Connection refused")
    nobody = dial(f"http://{'x' * 70}.example:1", None, LIMIT_S)
    assert nobody.is_wrong
    assert nobody.trouble.endswith("has no address: that is no name of a host")
    one, other = Authority(tmp_path, "one"), Authority(tmp_path, "other")
    ours = files(one, one.sign("m1"))
    with served(files(other, other.sign("m2"))) as port:
        stranger = dial(f"https://localhost:{port}", PeerTls(ours), LIMIT_S)
    assert stranger.is_wrong
    assert "certificate verify failed" in stranger.trouble
    with served(files(one, one.sign("m3", host="m3.example"))) as port:
        mistaken = dial(f"https://localhost:{port}", PeerTls(ours), LIMIT_S)
    assert "Hostname mismatch" in mistaken.trouble


def test_what_speaks_no_tls_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1000)

        thread = threading.Thread(target=take)
        thread.start()
        tls = PeerTls(files(authority, authority.sign("m1")))
        reached = dial(f"https://localhost:{server.getsockname()[1]}", tls, LIMIT_S)
        thread.join()
    assert "speaks no TLS" in reached.trouble


@pytest.mark.parametrize(
    ("reached", "state"),
    [
        (Reached(trip_ms=0.3), State.OK),
        (Reached(trouble="Connection refused"), State.WARNED),
        (Reached(trouble="it speaks no TLS", is_wrong=True), State.FAILED),
    ],
)
def test_a_member_is_judged_by_what_came_of_dialling(reached: Reached, state: State) -> None:
    row = judge_peer(Peer("m2", "http://m2:2380"), reached, is_secure=False)
    assert (row.state, row.check) == (state, "member m2 http://m2:2380")


def test_all_are_dialled_and_nobody_is_none() -> None:
    ports = free_ports(3)
    peers = [Peer("", f"http://127.0.0.1:{it}") for it in ports]
    rows = list(peer_rows(peers, None, LIMIT_S))
    assert [it.check for it in rows] == [f"member {it.url}" for it in peers]
    assert {it.state for it in rows} == {State.WARNED}
    [row] = peer_rows([], None, LIMIT_S)
    assert row.state is State.OK
