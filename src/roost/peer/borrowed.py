"""A network of a program's, held to what `network` asks: what it does wrong ends a connection.

A member sends in the middle of its turn, where anything unexpected ends it.  So whatever a network
of somebody else's raises there, or gives in place of what it should, is an OSError to everybody
above: that connection is broken, it is said in the log, and another one is dialled.

    raises                                          is to those above
    OSError, HandshakeRefused, what cancels         as it is
    any other                                       OSError; of `shown`, HandshakeRefused
    gives
    a count that is none of what it was given       OSError
    what are no bytes                               OSError

A descriptor is asked for once: one that is closed beneath us could not be taken from the event
loop any more.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from roost.peer.claims import Shown
from roost.peer.errors import HandshakeRefused
from roost.peer.local import Address
from roost.peer.network import Connection, Listener, Network

logger = logging.getLogger(__name__)


class BorrowedNetwork:
    """A network of a program's."""

    def __init__(self, network: Network) -> None:
        """Hold it to what is asked of networks."""
        self._network = network

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> Listener:
        """See `Network.listen`."""

        def come(connection: Connection, host: str) -> None:
            try:
                taken = _Borrowed(connection), _host_of(host)
            except (OSError, TypeError):
                logger.exception("the network of this program hands on what is no connection")
                return
            on_come(*taken)

        with _held(f"cannot listen at {address}"):
            return await self._network.listen(address, come)

    async def connect(self, address: Address) -> tuple[Connection, str]:
        """See `Network.connect`."""
        with _held(f"cannot connect to {address}", (OSError, HandshakeRefused)):
            connection, host = await self._network.connect(address)
            return _Borrowed(connection), _host_of(host)

    def shown(self, connection: Connection) -> Shown | None:
        """See `Network.shown`."""
        assert isinstance(connection, _Borrowed), "we made it"
        try:
            return self._network.shown(connection.inner)
        except HandshakeRefused:
            raise
        except Exception as error:
            text = f"the network of this program cannot say who it is: {error!r}"
            raise HandshakeRefused(text) from error


class _Borrowed:
    """A connection of a program's."""

    __slots__ = ("_descriptor", "inner")

    def __init__(self, inner: Connection) -> None:
        self.inner = inner
        with _held("has a connection without a descriptor"):
            self._descriptor = inner.fileno()
        if not isinstance(self._descriptor, int) or self._descriptor < 0:
            raise OSError(f"{self._descriptor!r} is no descriptor that could be waited for")

    def send(self, data: bytes, /) -> int:
        with _held("cannot send"):
            sent = self.inner.send(data)
        return _counted(sent, len(data))

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        with _held("cannot send"):
            sent = self.inner.sendmsg(buffers)
        return _counted(sent, sum(map(len, buffers)))

    def recv(self, count: int, /) -> bytes:
        with _held("cannot receive"):
            data = self.inner.recv(count)
        if not isinstance(data, bytes):
            raise _broken("cannot receive", TypeError(f"{type(data).__name__} in place of bytes"))
        return data

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        try:
            self.inner.close()
        except Exception:
            logger.exception("a connection of the network of this program could not be closed")


@contextmanager
def _held(what: str, passed: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Have what a network raises be an OSError, unless it is one of those that may pass."""
    try:
        yield
    except passed:
        raise
    except Exception as error:
        raise _broken(what, error) from error


def _counted(sent: object, most: int) -> int:
    if type(sent) is not int or not min(1, most) <= sent <= most:
        raise _broken("cannot send", ValueError(f"it says that it sent {sent!r} of {most} bytes"))
    return sent


def _host_of(host: object) -> str:
    if not isinstance(host, str):
        raise TypeError(f"{host!r} is no host")
    return host


def _broken(what: str, error: Exception) -> OSError:
    """What a network did wrong, as what a network may do."""
    logger.error("the network of this program %s: %r", what, error, exc_info=error)
    return OSError(f"the network of this program {what}: {error!r}")
