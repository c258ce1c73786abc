"""The operating system's network: plain sockets, or TLS when it is configured (`roost.tls`)."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from roost.descriptors import free_for_members
from roost.door import Door
from roost.peer.certificate import ShownCertificate
from roost.peer.errors import HandshakeRefused
from roost.peer.local import Address
from roost.peer.network import Connection, Listener
from roost.peer.tls_socket import TlsSocket
from roost.peer.waiting import wait_ready
from roost.tls import (
    BadCertificate,
    TlsFiles,
    check_peer,
    client_context,
    server_context,
)

logger = logging.getLogger(__name__)


class PeerTls:
    """How members speak TLS with each other: by the same files, whoever dials."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            BadCertificate: one cannot be used.

        """
        self._files = files
        self._accepting = server_context(files)
        self._dialling = (
            client_context(files),
            files.stamp(),
        )

    def accepted(self, sock: socket.socket) -> TlsSocket:
        """A connection that somebody else has dialled."""
        return TlsSocket(sock, self._accepting, server_name="")

    def dialled(self, sock: socket.socket, host: str) -> TlsSocket:
        """A connection that we have dialled; certificates are those of now, if they can be used."""
        try:
            stamp = self._files.stamp()
            if stamp != self._dialling[1]:
                self._dialling = (client_context(self._files), stamp)
                logger.info("certificates were read again: %s", self._files.cert_file)
        except (OSError, BadCertificate) as error:
            logger.warning("new certificates cannot be used: %s", error)
        return TlsSocket(sock, self._dialling[0], server_name=host)

    def check(self, sock: object) -> None:
        """Refuse a peer whose certificate is good, but not one of ours.

        Raises:
            HandshakeRefused: it has another name.

        """
        if isinstance(sock, TlsSocket):
            wrong = check_peer(self._files, sock.certificate())
            if wrong:
                raise HandshakeRefused(wrong)

    def shown(self, sock: object) -> ShownCertificate | None:
        """The good certificate of whoever dialled us; None when it was asked for none.

        Raises:
            HandshakeRefused: it is good, but revoked, or not what the settings ask for.

        """
        files = self._files
        if not isinstance(sock, TlsSocket) or files.is_self_signed or not files.checks_clients:
            return None
        self.check(sock)
        is_allowed = bool(files.allowed_name or files.allowed_host)
        return ShownCertificate(sock.certificate() or {}, is_allowed=is_allowed)


class OsNetwork:
    """The `Network` of a process; by TLS when there are files for it."""

    def __init__(self, tls: PeerTls | None = None) -> None:
        """Nothing is open yet."""
        self._tls = tls

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> Listener:
        """Hand on every connection that is dialled to `address`; see `Network`."""
        server = await _listen_at(asyncio.get_running_loop(), address)

        def on_accepted(sock: socket.socket, source: object) -> None:
            assert isinstance(source, tuple), "members dial over IP"
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = sock if self._tls is None else self._tls.accepted(sock)
            on_come(secured, literal_of(str(source[0])))

        return _OsListener(Door(server, on_come=on_accepted, free=free_for_members))

    async def connect(self, address: Address) -> tuple[Connection, str]:
        """Connect; with TLS the certificate is checked before anything is said."""
        loop, tls = asyncio.get_running_loop(), self._tls
        sock, host = await _reach(loop, address)
        made: Connection = sock
        try:
            if tls is not None:
                made = secured = tls.dialled(sock, address[0])
                await _shake_hands(loop, secured)
                tls.check(made)
        except BaseException:
            made.close()
            raise
        return made, host

    def shown(self, connection: Connection) -> ShownCertificate | None:
        """What the other side has shown, when it had to show something."""
        return None if self._tls is None else self._tls.shown(connection)


class _OsListener:
    """A door, and where it is."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def address(self) -> Address:
        """Where we really listen."""
        host, port = self._door.sock.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Take nobody any more."""
        self._door.close()


async def _listen_at(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    with _as_one_that_is_not_there(address):
        infos = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
    family, kind, protocol, _, target = infos[0]
    server = socket.socket(family, kind, protocol)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(target)
        server.listen(128)
        server.setblocking(False)
    except BaseException:
        server.close()
        raise
    return server


@contextmanager
def _as_one_that_is_not_there(address: Address) -> Iterator[None]:
    """To whoever dials it, a host that no name can be is one that is not there."""
    try:
        yield
    except UnicodeError as error:
        raise OSError(f"{address[0]} is no name of a host") from error


async def _reach(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[socket.socket, str]:
    unreached: OSError | None = None
    with _as_one_that_is_not_there(address):
        try:
            infos = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except RuntimeError as error:
            # Threads that look names up end with the interpreter, before what is open is closed.
            raise OSError(f"{address[0]} is looked up no more: {error}") from error
    for family, kind, protocol, _, target in infos:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, target)
        except OSError as error:
            sock.close()
            unreached = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock, str(target[0])
    raise unreached or OSError(f"{address[0]} has no address")


async def _shake_hands(loop: asyncio.AbstractEventLoop, sock: TlsSocket) -> None:
    while True:
        try:
            sock.do_handshake()
        except BlockingIOError:
            await wait_ready(loop, sock, is_reading=True)
        else:
            return


def literal_of(host: str) -> str:
    """A host as a connection from it shows; names stay names.

    A socket that listens at `::` shows IPv4 addresses as IPv6 ones.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
