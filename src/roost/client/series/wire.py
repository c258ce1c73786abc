"""HTTP/1.1 to one member: whole requests, and one whose body and answer go on side by side.

A request that is not a stream has a connection of its own.  Every wait has a deadline.  What can be
wrong is `OSError`, which another endpoint may not have, or an answer, which is an answer.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import httptools

from roost.client.endpoints import Endpoint

CHUNK_BYTES = 64 << 10
# The longest line of an answer: two thousand points of a tail are some 100 KiB, and a name.
LINE_BYTES_MAX = 1 << 20
# What a whole answer may have: 64 MiB, as everywhere in this client.
ANSWER_BYTES_MAX = 64 << 20


class BadAnswer(OSError):
    """What came is not HTTP, or too long; another member may do better."""


@dataclass(slots=True)
class _Head:
    """What the parser tells."""

    status: int = 0
    pieces: deque[bytes] = field(default_factory=deque)
    size: int = 0
    is_over: bool = False
    parser: "httptools.HttpResponseParser | None" = None

    def on_headers_complete(self) -> None:
        """The head has come."""
        assert self.parser is not None, "it tells us"
        self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        self.pieces.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        """All of it."""
        self.is_over = self.status != 100


class Exchange:
    """One request on a connection of its own."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float
    ) -> None:
        """Use `begin`."""
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._head = _Head()
        self._head.parser = self._parser = httptools.HttpResponseParser(self._head)
        self._line = b""

    @property
    def status(self) -> int:
        """What was answered; 0 as long as nothing was."""
        return self._head.status

    async def begun(self) -> int:
        """The status, when it has come.

        Raises:
            OSError: it does not come, or is no answer.

        """
        while not self._head.status and await self._more():
            pass
        return self._head.status

    async def send(self, data: bytes) -> None:
        """Send more of the body; empty is its end.

        Raises:
            OSError: the connection is gone, or the member takes nothing.

        """
        piece = b"%x\r\n%s\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self._writer.write(piece)
        async with asyncio.timeout(self._timeout_s):
            await self._writer.drain()

    async def _more(self) -> bool:
        """Take what comes; False at the end.

        Raises:
            OSError: it does not come, or is no answer.

        """
        if self._head.is_over:
            return False
        async with asyncio.timeout(self._timeout_s):
            data = await self._reader.read(CHUNK_BYTES)
        if not data:
            raise ConnectionResetError("the member has gone within its answer")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BadAnswer(f"the answer is not HTTP: {error}") from error
        return True

    async def body(self) -> bytes:
        """All that is answered.

        Raises:
            OSError: it does not come, or is too long.

        """
        while await self._more():
            if self._head.size > ANSWER_BYTES_MAX:
                raise BadAnswer(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
        return b"".join(self._head.pieces)

    async def piece(self) -> bytes:
        """Some more of what is answered; empty at the end.

        Raises:
            OSError: it does not come.

        """
        while not self._head.pieces:
            if not await self._more():
                return b""
        return self._head.pieces.popleft()

    async def line(self) -> bytes:
        """The next line that is answered; empty at the end.

        Raises:
            OSError: it does not come.

        """
        while b"\n" not in self._line:
            while self._head.pieces:
                self._line += self._head.pieces.popleft()
            if b"\n" in self._line:
                break
            if len(self._line) > LINE_BYTES_MAX:
                raise BadAnswer("a line of the answer does not end")
            if not await self._more():
                found, self._line = self._line, b""
                return found
        line, _, self._line = self._line.partition(b"\n")
        return line

    def close(self) -> None:
        """Give the connection back."""
        self._writer.transport.abort()


async def begin(
    endpoint: Endpoint,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None,
    timeout_s: float,
    body: bytes | None = b"",
) -> Exchange:
    """Begin a request; a `body` of None comes later, by `Exchange.send`.

    Raises:
        OSError: nobody is there.

    """
    context = tls if endpoint.is_secure else None
    async with asyncio.timeout(timeout_s):
        if endpoint.address.startswith("unix:"):
            path = endpoint.address.removeprefix("unix:")
            name = "localhost" if context is not None else None
            pair = await asyncio.open_unix_connection(path, ssl=context, server_hostname=name)
            host = "localhost"
        else:
            host, _, port = endpoint.address.rpartition(":")
            pair = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
            host = endpoint.address
    exchange = Exchange(*pair, timeout_s)
    said = {"host": host, **headers}
    said["connection"] = "close"
    if body is None:
        said["transfer-encoding"] = "chunked"
    else:
        said["content-length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in said.items())]
    try:
        pair[1].write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        async with asyncio.timeout(timeout_s):
            await pair[1].drain()
    except BaseException:
        exchange.close()
        raise
    return exchange
