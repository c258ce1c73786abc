"""Clients that do not read what they asked for: it is bounded, and costs no other anything."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import Any

import pytest

from roost.call import Call, Unary
from roost.server import ClientPort, Listener, ServerConfig
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal
from roost.server.unread import unread_bytes_max as default_bytes_max

ANSWER_BYTES, CALLS = 100_000, 50
HEADERS = b"".join(
    encode_literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":path", b"/test/Large"),
        (b"content-type", b"application/grpc"),
    )
)


def answer(call: Call, _message: bytes) -> None:
    call.reply(bytes(ANSWER_BYTES))


async def call_often(address: tuple[str, int], *settings: bytes) -> socket.socket:
    """Ask for many answers at once; whoever gets the socket need not read."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, address)
    calls = [
        f.frame(f.HEADERS, f.END_HEADERS, stream, HEADERS)
        + f.frame(f.DATA, f.END_STREAM, stream, bytes(5))
        for stream in range(1, 2 * CALLS, 2)
    ]
    begin = PREFACE + b"".join(settings or [f.settings({})])
    await loop.sock_sendall(sock, begin + b"".join(calls))
    return sock


def serve(
    story: Callable[[ClientPort, tuple[str, int]], Awaitable[None]], *, unread_bytes_max: int
) -> None:
    async def run() -> None:
        app: Any = None
        config = ServerConfig(unread_bytes_max=unread_bytes_max)
        port = ClientPort(routes={b"/test/Large": Unary(answer)}, app=app, config=config)
        (address,) = await port.start([Listener(("127.0.0.1", 0))])
        try:
            async with asyncio.timeout(60):
                await story(port, address)
        finally:
            await port.close(0)

    asyncio.run(run())


WIDE = (f.settings({f.INITIAL_WINDOW_SIZE: f.WINDOW_MAX}), f.window_update(0, 1 << 30))


@pytest.mark.parametrize("settings", [(), WIDE])
def test_what_clients_do_not_read_is_bounded_and_they_are_given_up(
    settings: tuple[bytes, ...],
) -> None:
    """Twenty connections that asked and did not read took six gigabytes of a member."""

    async def story(port: ClientPort, address: tuple[str, int]) -> None:
        unread = port.grpc.unread
        clients = [await call_often(address, *settings) for _ in repeat(None, 4)]
        done = port.grpc.methods.figures[b"/test/Large"]
        while done.started_count < 4 * CALLS:
            assert unread.bytes <= unread.bytes_max + ANSWER_BYTES
            await asyncio.sleep(0)
        while len(port.grpc.connections) == len(clients):
            await asyncio.sleep(0)
        assert 0 <= unread.bytes <= unread.bytes_max
        for client in clients:
            client.close()
        while port.grpc.connections:
            await asyncio.sleep(0)
        assert unread.bytes == 0

    serve(story, unread_bytes_max=40 * ANSWER_BYTES)


def test_nothing_is_kept_for_a_connection_that_is_gone() -> None:
    """Four gigabytes stayed: a connection's objects hold each other, and the collector is rare."""

    async def story(port: ClientPort, address: tuple[str, int]) -> None:
        client = await call_often(address)
        while not port.grpc.unread.bytes:
            await asyncio.sleep(0)
        (held,) = port.grpc.connections
        assert held.h2.blocked_bytes
        client.close()
        while port.grpc.connections:
            await asyncio.sleep(0)
        assert not held.h2.blocked_bytes
        assert not held.h2.out

    serve(story, unread_bytes_max=2 * CALLS * ANSWER_BYTES)


def test_who_reads_gets_everything() -> None:
    async def story(port: ClientPort, address: tuple[str, int]) -> None:
        client = await call_often(address, *WIDE)
        loop, count = asyncio.get_running_loop(), 0
        while count < CALLS * ANSWER_BYTES:
            count += len(await loop.sock_recv(client, 1 << 16))
        client.close()
        while port.grpc.connections:
            await asyncio.sleep(0)
        assert port.grpc.unread.bytes == 0

    serve(story, unread_bytes_max=(CALLS + 1) * ANSWER_BYTES)


def test_the_bound_is_a_part_of_the_memory_that_there_is() -> None:
    assert 1 << 20 < default_bytes_max() < 1 << 50
