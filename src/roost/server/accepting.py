"""Connections from a socket that listens: admitted one at a time, before anything is made for them.

An event loop's own server takes all that waits at once, and asks nobody.  Here each connection is
shown to `admit` when it has nothing but its descriptor, also before a TLS handshake.

Full?  A connection that is not admitted is closed at once.  When there is no descriptor to take
one with, those that wait stay in the kernel's queue for PAUSE_S.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from roost.descriptors import EXHAUSTED
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
BACKLOG = 1024
# How many are taken before others have a turn.
TURN_COUNT = 64
PAUSE_S = 0.1


class Counted(asyncio.Protocol):
    """A protocol that knows whether its connection was made; its end is then its own to tell."""

    is_made = False


class Acceptor:
    """One socket that listens, and what becomes of those who come."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        make: Callable[[], Counted],
        admit: Callable[[socket.socket], bool],
        on_failed: Callable[[], None],
        tasks: Tasks,
        context: ssl.SSLContext | None,
        handshake_s: float | None,
    ) -> None:
        """Listen.

        `on_failed()` is called for a connection that was admitted and never made.

        Raises:
            OSError: the socket cannot listen.

        """
        self.sock = sock
        self._make = make
        self._admit = admit
        self._on_failed = on_failed
        self._tasks = tasks
        self._context = context
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(TURN_COUNT):
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    continue
                if error.errno not in (*EXHAUSTED, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.warning("no connection was accepted: %s", error)
                self._loop.remove_reader(self.sock)
                self._pause = self._loop.call_later(PAUSE_S, self._go_on)
                return
            if self._admit(sock):
                self._tasks.start(self._serve(sock))
            else:
                sock.close()

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self.sock, self._on_readable)

    async def _serve(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        protocol = self._make()
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._handshake_s,
            )
        except (OSError, TimeoutError) as error:
            logger.debug("a connection was not made: %s", error)
        finally:
            if not protocol.is_made:
                sock.close()
                self._on_failed()

    def close(self) -> None:
        """Take nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.sock)
        self.sock.close()
