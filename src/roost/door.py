"""A socket that listens: connections are taken from it one at a time, while descriptors are left.

An event loop's own server takes all that waits at once, and asks nobody.  A connection that gets
a descriptor of the reserve (see `descriptors`) is closed at once.  When there is none at all to
take one with, those that wait stay in the kernel's queue for PAUSE_S.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from roost.descriptors import EXHAUSTED, limit

logger = logging.getLogger(__name__)
BACKLOG = 1024
# How many are taken before others have a turn.
TURN_COUNT = 64
PAUSE_S = 0.1
_WARNING_S = 5.0


class Door:
    """Hands `on_come(sock, address)` each connection, which is then the callee's to close.

    `free()` is the first number of a descriptor that none may have.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_come: Callable[[socket.socket, object], None],
        free: Callable[[], int],
    ) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot listen.

        """
        self.sock = sock
        self._on_come = on_come
        self._free = free
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._refused_count, self._next_warning_s = 0, 0.0
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        free = self._free()
        for _ in range(TURN_COUNT):
            try:
                sock, address = self.sock.accept()
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
            if sock.fileno() >= free:
                sock.close()
                self.note_refused(f"{limit()} file descriptors are too few (ulimit -n)")
            else:
                sock.setblocking(False)
                self._on_come(sock, address)

    def note_refused(self, why: str) -> None:
        """Say that one was closed, but not as often as it happens."""
        self._refused_count += 1
        if self._loop.time() >= self._next_warning_s:
            logger.warning("closed %d connections at once: %s", self._refused_count, why)
            self._refused_count = 0
            self._next_warning_s = self._loop.time() + _WARNING_S

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self.sock, self._on_readable)

    def close(self) -> None:
        """Take nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.sock)
        self.sock.close()
