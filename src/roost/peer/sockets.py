"""The sockets between members: plain, or TLS when it is configured (`roost.tls`)."""

import asyncio
import socket

from roost.peer.certificate import ShownCertificate
from roost.peer.errors import HandshakeRefused
from roost.tls import TlsFiles, TlsSocket, check_peer, client_context, server_context

Address = tuple[str, int]
# What links read from and write to; both raise BlockingIOError.
Connection = socket.socket | TlsSocket


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
        """A connection that we have dialled; certificates are those of now."""
        stamp = self._files.stamp()
        if stamp != self._dialling[1]:
            self._dialling = (client_context(self._files), stamp)
        return TlsSocket(sock, self._dialling[0], server_name=host)

    def check(self, sock: Connection) -> None:
        """Refuse a peer whose certificate is good, but not one of ours.

        Raises:
            HandshakeRefused: it has another name.

        """
        if isinstance(sock, TlsSocket):
            wrong = check_peer(self._files, sock.certificate())
            if wrong:
                raise HandshakeRefused(wrong)

    def shown(self, sock: Connection) -> ShownCertificate | None:
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


async def listen_at(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """Listen on a peer port.

    Raises:
        OSError: the address cannot be bound.

    """
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


async def connect(
    loop: asyncio.AbstractEventLoop, address: Address, tls: PeerTls | None
) -> tuple[Connection, str]:
    """Connect to a peer's port; with TLS its certificate is checked before anything is said.

    Returns the connection, and the address that the host's name has led to: the first of those it
    has at which somebody answers.

    Raises:
        OSError: it cannot be reached, or its certificate is not good.
        HandshakeRefused: its certificate names somebody else.

    """
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


async def _reach(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[socket.socket, str]:
    unreached: OSError | None = None
    for family, kind, protocol, _, target in await loop.getaddrinfo(
        *address, type=socket.SOCK_STREAM
    ):
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
            await _wait(loop, sock, is_reading=True)
        else:
            return


async def send_all(loop: asyncio.AbstractEventLoop, sock: Connection, data: bytes) -> None:
    """Send everything, as fast as the other side takes it."""
    if isinstance(sock, socket.socket):
        await loop.sock_sendall(sock, data)
        return
    sent = 0
    while sent < len(data):
        try:
            sent += sock.sendmsg([data[sent:] if sent else data])
        except BlockingIOError:
            await _wait(loop, sock, is_reading=False)


async def receive(loop: asyncio.AbstractEventLoop, sock: Connection, count: int) -> bytes:
    """What has come, `count` bytes or so at most; b"" at the end."""
    if isinstance(sock, socket.socket):
        return await loop.sock_recv(sock, count)
    while True:
        try:
            return sock.recv(count)
        except BlockingIOError:
            await _wait(loop, sock, is_reading=True)


async def _wait(loop: asyncio.AbstractEventLoop, sock: TlsSocket, *, is_reading: bool) -> None:
    """Return when the network has news, or room."""
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = sock.fileno()

    def on_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    add, remove = (
        (loop.add_reader, loop.remove_reader)
        if is_reading
        else (loop.add_writer, loop.remove_writer)
    )
    add(descriptor, on_ready)
    try:
        await ready
    finally:
        remove(descriptor)
