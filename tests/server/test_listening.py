"""Taking a place: all of it or nothing, in words that name it."""

import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.server import listening
from roost.server.listening import CannotListen, bind
from roost.testing.ports import free_ports


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made: list[socket.socket] = []
    yield made
    for sock in made:
        sock.close()


def test_a_port_is_taken_before_anybody_is_let_in(port: int, sockets: list[socket.socket]) -> None:
    """A member learns that its port is taken before it makes or joins anything."""
    sockets += bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    sockets[0].listen()
    with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port}: .*end who listens there"):
        bind(("127.0.0.1", port))
    socket.create_connection(("127.0.0.1", port)).close()
    assert not sockets[0].getblocking()


def test_a_port_is_shared_by_those_who_all_say_so(port: int, sockets: list[socket.socket]) -> None:
    for _ in range(2):
        sockets += bind(("127.0.0.1", port), shares_port=True)
        sockets[-1].listen()
    with pytest.raises(CannotListen):
        bind(("127.0.0.1", port))


def test_an_address_that_is_nobodys_here_is_named(port: int) -> None:
    with pytest.raises(CannotListen, match=rf"cannot listen on 192\.0\.2\.1:{port}: "):
        bind(("192.0.2.1", port))  # of documentation: RFC 5737


def test_a_name_without_an_address_is_refused_by_name() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on nowhere\.invalid:1"):
        bind(("nowhere.invalid", 1))


class Resolver:
    """Names two addresses of a host, of which the second may not be had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
        self.made: list[socket.socket] = []
        one = listening._bind_one
        infos = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in (("a", 0), ("b", 0))
        ]

        def bind_one(family: int, where: object, *, shares_port: bool) -> socket.socket:
            if where == ("b", 0):
                raise OSError(reason, "no")
            made = one(family, ("127.0.0.1", 0), shares_port=shares_port)
            self.made.append(made)
            return made

        monkeypatch.setattr(listening, "_bind_one", bind_one)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: infos)


def test_a_name_may_have_an_address_that_this_machine_has_not(
    monkeypatch: pytest.MonkeyPatch, sockets: list[socket.socket]
) -> None:
    """`localhost` has one of IPv6 also where there is no IPv6."""
    resolver = Resolver(monkeypatch, errno.EADDRNOTAVAIL)
    sockets += bind(("both", 0))
    assert sockets == resolver.made


def test_what_cannot_be_taken_whole_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, errno.EADDRINUSE)
    with pytest.raises(CannotListen, match="both:0"):
        bind(("both", 0))
    assert [it.fileno() for it in resolver.made] == [-1], "it was closed"


def test_a_path_is_taken_from_a_process_that_is_gone_and_from_no_other(
    tmp_path: Path, sockets: list[socket.socket]
) -> None:
    path = tmp_path / "s"
    [first] = bind(path)
    with first:
        first.listen()
        with pytest.raises(CannotListen, match="end who listens there"):
            bind(path)
        accepted = threading.Thread(target=_accept, args=(first,))
        accepted.start()
        accepted.join()
    assert path.is_socket(), "it is left behind, as a kill leaves it"
    sockets += bind(path)
    sockets[0].listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def _accept(listener: socket.socket) -> None:
    """Take who came to look whether somebody listens."""
    listener.setblocking(True)
    listener.accept()[0].close()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(CannotListen, match="precious"):
        bind(path)
    assert path.read_text() == "data"
