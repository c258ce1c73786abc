"""Waiting for a connection, by coroutines: until all was sent, or something has come."""

import asyncio
from typing import Protocol

from roost.peer.network import Connection


class _Descriptor(Protocol):
    def fileno(self) -> int: ...


async def send_all(loop: asyncio.AbstractEventLoop, connection: Connection, data: bytes) -> None:
    """Send everything, as fast as the other side takes it."""
    sent = 0
    while sent < len(data):
        try:
            sent += connection.send(data[sent:] if sent else data)
        except BlockingIOError:
            await wait_ready(loop, connection, is_reading=False)


async def receive(loop: asyncio.AbstractEventLoop, connection: Connection, count: int) -> bytes:
    """What has come, `count` bytes or so at most; b"" at the end."""
    while True:
        try:
            return connection.recv(count)
        except BlockingIOError:
            await wait_ready(loop, connection, is_reading=True)


async def wait_ready(
    loop: asyncio.AbstractEventLoop, waited_for: _Descriptor, *, is_reading: bool
) -> None:
    """Return when the network has news, or room."""
    ready: asyncio.Future[None] = loop.create_future()
    # It may be closed before this ends: then only its number tells the loop what is meant.
    descriptor = waited_for.fileno()

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
