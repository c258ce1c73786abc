"""Links that begin as HTTP/1.1, for networks that let only that through.

    who dials                                       who is dialled
    GET /roost/peer HTTP/1.1
    Host: HOST:PORT
    Connection: Upgrade
    Upgrade: roost-peer/1                      ->
                                               <-   HTTP/1.1 101 Switching Protocols
                                                    Connection: Upgrade
                                                    Upgrade: roost-peer/1

Then the connection is what it is elsewhere: the greeting (`greeting`), and frames.  By TLS, when it
is configured, from the first byte on.  Nothing is believed here: who is at the other end the
greeting finds out.  All members of a cluster do it, or none: whoever does not is told what this is.

Full?  A head of more than HEAD_BYTES_MAX, or one that takes longer than HEAD_S, ends the
connection; past PENDING_MAX that are being read, so does coming.
"""

import asyncio
import re
from collections.abc import Callable

from roost.errors import PeerFault
from roost.peer.claims import Shown
from roost.peer.errors import HandshakeRefused, MalformedFrame
from roost.peer.local import Address
from roost.peer.network import Connection, Listener, Network
from roost.peer.waiting import receive, send_all
from roost.tasks import Tasks

HEAD_BYTES_MAX = 8192
HEAD_S = 5.0
PENDING_MAX = 64
_PATH, _PROTOCOL = "/roost/peer", "roost-peer/1"
_UPGRADE = f"Connection: Upgrade\r\nUpgrade: {_PROTOCOL}\r\n\r\n"
_AGREED = f"HTTP/1.1 101 Switching Protocols\r\n{_UPGRADE}".encode()
_REFUSED = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}\n"
_END = b"\r\n\r\n"
# A token, RFC 9110 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OnCome = Callable[[Connection, str], None]


class UpgradedNetwork:
    """Another network, on which each connection begins with an upgrade."""

    def __init__(self, inner: Network) -> None:
        """Listen and dial by `inner`."""
        self._inner = inner

    async def listen(self, address: Address, on_come: OnCome) -> Listener:
        """Hand on whoever asks for the upgrade; see `Network`."""
        pending = _Pending(on_come)
        return _UpgradedListener(await self._inner.listen(address, pending.come), pending)

    async def connect(self, address: Address) -> tuple[Connection, str]:
        """Connect, and ask for the upgrade; see `Network`."""
        connection, host = await self._inner.connect(address)
        try:
            async with asyncio.timeout(HEAD_S):
                await _ask(connection, address)
        except BaseException:
            connection.close()
            raise
        return connection, host

    def shown(self, connection: Connection) -> Shown | None:
        """What the network beneath says."""
        return self._inner.shown(connection)


class _UpgradedListener:
    """A listener, and those whose request is being read."""

    def __init__(self, inner: Listener, pending: "_Pending") -> None:
        self._inner = inner
        self._pending = pending

    @property
    def address(self) -> Address:
        """Where that is."""
        return self._inner.address

    def close(self) -> None:
        """Take nobody any more, nor whoever has not finished asking."""
        self._inner.close()
        self._pending.cancel()


class _Pending:
    """Connections whose request is being read."""

    def __init__(self, on_come: OnCome) -> None:
        self._on_come = on_come
        self._tasks = Tasks()

    def come(self, connection: Connection, host: str) -> None:
        """Somebody has dialled."""
        if len(self._tasks) < PENDING_MAX:
            self._tasks.start(self._take(connection, host))
        else:
            connection.close()

    def cancel(self) -> None:
        """End all of them."""
        self._tasks.cancel()

    async def _take(self, connection: Connection, host: str) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                await _answer(connection)
        except (OSError, PeerFault):
            connection.close()  # it was told why, if it asked for anything
            return
        except BaseException:
            connection.close()
            raise
        self._on_come(connection, host)


async def _ask(connection: Connection, address: Address) -> None:
    """Ask for the upgrade.

    Raises:
        OSError: nobody answers, or somebody in between says that nobody does.
        HandshakeRefused: what is there does not do this.

    """
    loop = asyncio.get_running_loop()
    head = f"GET {_PATH} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n{_UPGRADE}"
    await send_all(loop, connection, head.encode())
    try:
        line, fields = _parse(await _read_head(connection))
    except MalformedFrame as error:
        raise HandshakeRefused(f"{address[0]}:{address[1]}: {error}") from error
    _, _, status = line.partition(" ")
    if status.startswith("101") and _agrees(fields):
        return
    if status.startswith("5"):
        raise ConnectionRefusedError(f"{address[0]}:{address[1]} answers {status}")
    raise HandshakeRefused(f"{address[0]}:{address[1]} answers {line!r} to an upgrade")


async def _answer(connection: Connection) -> None:
    """Agree to the upgrade, or say why not.

    Raises:
        OSError: it is gone.
        MalformedFrame: it asks for something else.

    """
    loop = asyncio.get_running_loop()
    try:
        line, fields = _parse(await _read_head(connection))
        if line != f"GET {_PATH} HTTP/1.1" or not _agrees(fields):
            raise MalformedFrame("here members are upgraded to, and nothing else is served")
    except MalformedFrame as error:
        told = _REFUSED.format(len(str(error)) + 1, error)
        await send_all(loop, connection, told.encode())
        raise
    await send_all(loop, connection, _AGREED)


async def _read_head(connection: Connection) -> bytes:
    """Everything up to the empty line; nothing may follow before it is answered.

    Raises:
        OSError: it has ended before.
        MalformedFrame: it is no head.

    """
    loop, head = asyncio.get_running_loop(), b""
    while _END not in head:
        if len(head) > HEAD_BYTES_MAX:
            raise MalformedFrame(f"a head of more than {HEAD_BYTES_MAX} bytes")
        data = await receive(loop, connection, HEAD_BYTES_MAX)
        if not data:
            raise ConnectionResetError("the connection ended in the middle of a head")
        head += data
        if head[:1] not in (b"G", b"H"):
            raise MalformedFrame("no HTTP: --peer-http-upgrade is set here, and must be on all")
    if not head.endswith(_END) or head.count(_END) != 1:
        raise MalformedFrame("something follows a head that was not answered")
    return head


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line, and the fields by their names in small letters.

    Raises:
        MalformedFrame: it is no head.

    """
    try:
        line, *rows = head[: -len(_END)].decode("ascii").split("\r\n")
    except UnicodeDecodeError as error:
        raise MalformedFrame("a head that is not ASCII") from error
    fields = {}
    for row in rows:
        name, colon, value = row.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise MalformedFrame(f"{row[:80]!r} is no field of a head")
        fields[name.lower()] = value.strip()
    return line, fields


def _agrees(fields: dict[str, str]) -> bool:
    """Whether both sides mean the same."""
    named = {it.strip().lower() for it in fields.get("connection", "").split(",")}
    return "upgrade" in named and fields.get("upgrade", "").lower() == _PROTOCOL
