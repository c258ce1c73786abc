"""Clients' connections, from the door to the protocol that speaks on them.

Each is counted when it has nothing but its descriptor, before a TLS handshake.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from roost.descriptors import free_for_all
from roost.door import Door
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class Counted(asyncio.Protocol):
    """A protocol that knows whether its connection was made; its end is then its own to tell."""

    is_made = False


class Acceptor:
    """One place of the client port.

    `admit()` says why one more connection is not served, and else counts it; `on_failed()` is
    called for one that was counted and never made.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        make: Callable[[], Counted],
        admit: Callable[[], str],
        on_failed: Callable[[], None],
        tasks: Tasks,
        context: ssl.SSLContext | None,
        handshake_s: float | None,
    ) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot listen.

        """
        self._make = make
        self._admit = admit
        self._on_failed = on_failed
        self._tasks = tasks
        # Each ends before `_serve` does, which hears of its error.
        self._connecting = Tasks(lambda _error: None)
        self._context = context
        self._handshake_s = handshake_s
        self.door = Door(sock, on_come=self._on_come, free=free_for_all)

    def _on_come(self, sock: socket.socket, _address: object) -> None:
        refusal = self._admit()
        if refusal:
            sock.close()
            self.door.note_refused(refusal)
        else:
            self._tasks.start(self._serve(sock))

    async def _serve(self, sock: socket.socket) -> None:
        protocol = self._make()
        try:
            await self._connect(protocol, sock)
        except OSError as error:
            logger.debug("a connection was not made: %s", error)
        finally:
            if not protocol.is_made:
                sock.close()
                self._on_failed()

    async def _connect(self, protocol: Counted, sock: socket.socket) -> None:
        """Hand the socket to the protocol.

        Without TLS that takes two turns of the loop, and is not cancelled in between: uvloop would
        close a connection that may be served already, and tell nobody.
        """
        connecting = self._connecting.start(
            asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._handshake_s,
            )
        )
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            if self._context is not None:
                connecting.cancel()
            while not connecting.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([connecting])
            if not connecting.cancelled() and (error := connecting.exception()) is not None:
                logger.debug("a connection was not made: %s", error)
            raise
