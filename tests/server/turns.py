"""A connection over HTTP/1.1 without a socket: what is written to it, and when it is full."""

import asyncio

from roost.flow import Flow, flow_of
from roost.server.http1_turn import Turn


class Line:
    """Keeps what it is told to send."""

    is_secure = False

    def __init__(self) -> None:
        self.address = "10.0.0.9"
        self.flow: Flow = flow_of(self.address, 4711)
        self.sent = b""
        self.is_gone = self.is_full = False
        self.over: list[Turn] = []
        self._read = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.sent += data

    def on_over(self, turn: Turn) -> None:
        self.over.append(turn)

    def take(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def read(self) -> None:
        self.is_full = False
        self._read.set()

    async def wait_writable(self) -> None:
        await self._read.wait()


def turn_on(
    line: Line,
    *,
    method: str = "GET",
    path: bytes = b"/",
    query: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
    is_old: bool = False,
) -> Turn:
    """A request that has come by a connection."""
    return Turn(
        line,
        method=method,
        path=path,
        query=query,
        headers=headers or [],
        keeps_alive=not is_old,
        is_old=is_old,
    )
