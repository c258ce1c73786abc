"""A TLS connection that can stand where a non-blocking socket stands."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import cast

from roost.tls import Certificate


class TlsSocket:
    """A non-blocking TLS connection that can stand where a non-blocking socket stands.

    What needs more from the network raises BlockingIOError, as a socket does; the handshake goes
    on with whatever is sent or received first.
    """

    # A write is repeated with what it was tried with, so pieces have one size.
    _PIECE_BYTES = 16 << 10

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_name: str) -> None:
        """Take over `sock`; `server_name` "" is the side that was connected to."""
        self._socket = context.wrap_socket(
            sock,
            server_side=not server_name,
            server_hostname=server_name or None,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=True,
        )

    def fileno(self) -> int:
        """For the event loop; -1 when closed."""
        return self._socket.fileno()

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            BlockingIOError: the other side has to say more.
            OSError: it failed.

        """
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def certificate(self) -> Certificate | None:
        """The other side's certificate, when it was asked for and is good."""
        return cast("Certificate | None", self._socket.getpeercert())

    def recv(self, count: int) -> bytes:
        """All that is there, at least up to `count` bytes; b"" at the end."""
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                part = self._socket.recv(count)
                parts.append(part)
                size += len(part)
                # What is decrypted already wakes no event loop.
                if not part or (size >= count and not self._socket.pending()):
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            if not parts:
                raise BlockingIOError from error
        return b"".join(parts)

    def send(self, data: bytes) -> int:
        """Send the beginning of `data`; say how much."""
        try:
            return self._socket.send(memoryview(data)[: self._PIECE_BYTES])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        """Send as much of all buffers as goes; say how much."""
        sent = 0
        for piece in _pieces(buffers, self._PIECE_BYTES):
            try:
                count = self.send(piece)
            except BlockingIOError:
                if not sent:
                    raise
                break
            sent += count
            if count < len(piece):
                break
        return sent

    def close(self) -> None:
        """Close, without waiting for anybody."""
        self._socket.close()


def _pieces(buffers: Sequence[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Cut what the buffers have together into pieces of `size`; made as they are asked for."""
    held = bytearray()
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            taken = size - len(held)
            held += view[:taken]
            view = view[taken:]
            if len(held) == size:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)
