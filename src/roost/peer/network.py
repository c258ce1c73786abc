"""What members need of a network: to listen, to dial, and connections that never wait.

`sockets` has the operating system's; a simulator, or a user with a transport of its own, brings
another.  Everything above it, greetings, links and snapshots, is the same on all of them;
`roost.sim.conformance` says what must hold.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from roost.peer.claims import Shown
from roost.peer.local import Address


class Connection(Protocol):
    """Bytes in order, both ways, until one side closes.

    Nothing here waits: what cannot be done at once raises BlockingIOError, and the event loop's
    `add_reader` and `add_writer` tell when it can.  What is broken raises another OSError.
    """

    def send(self, data: bytes, /) -> int:
        """Send a beginning of `data`; how much it was, one byte at least."""

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        """Send a beginning of all that, as `send`."""

    def recv(self, count: int, /) -> bytes:
        """What has come, at most `count` bytes; b"" when the other side has closed.

        It may be more where the rest would wake nobody, as what TLS has decrypted.
        """

    def fileno(self) -> int:
        """What the event loop knows it by."""

    def close(self) -> None:
        """Send what was taken, and say that nothing follows; may be called again."""


class Listener(Protocol):
    """An address at which somebody is listened for."""

    @property
    def address(self) -> Address:
        """Where that is, with the port that port 0 became."""

    def close(self) -> None:
        """Take nobody any more."""


class Network(Protocol):
    """The network as one member sees it."""

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> Listener:
        """Hand on every connection that is dialled to `address`, and the host it comes from.

        Raises:
            OSError: the address cannot be bound.

        """

    async def connect(self, address: Address) -> tuple[Connection, str]:
        """Connect to a peer's port; nothing is said yet.

        Returns the connection, and the address that the host's name has led to.

        Raises:
            OSError: it cannot be reached, or its certificate is not good.
            HandshakeRefused: its certificate names somebody else.

        """

    def shown(self, connection: Connection) -> Shown | None:
        """The good certificate of whoever dialled us; None when it was asked for none.

        Raises:
            HandshakeRefused: it is good, but revoked, or not what the settings ask for.

        """
