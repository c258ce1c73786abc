"""Connections are handed on, both ways and to their ends, to whoever answers."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from roost.cli.gateway.proxy import BUFFER_BYTES, Proxy, _Side
from roost.cli.gateway.targets import Target, Targets
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await test

    asyncio.run(bounded())


def listening() -> tuple[socket.socket, Target]:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock, Target("127.0.0.1", sock.getsockname()[1])


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in capitals when all has come, and end."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def proxied(
    handler: Handler, *more: Target, connections_max: int = 10
) -> AsyncIterator[tuple[Proxy, Target]]:
    """A server behind a proxy, and where that listens; `more` are tried, too."""
    sock, target = listening()
    server = await asyncio.start_server(handler, sock=sock)
    targets = Targets([*more, target], rest_s=60.0, clock_s=time.monotonic, dice=random.Random(1))
    proxy = Proxy(targets, connections_max=connections_max)
    own, place = listening()
    await proxy.listen([own])
    try:
        yield proxy, place
    finally:
        await proxy.close()
        server.close()
        await server.wait_closed()


async def said(place: Target, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(place.host, place.port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_bytes_and_ends_pass_both_ways() -> None:
    async def test() -> None:
        async with proxied(shout) as (proxy, place):
            data = b"abc" * 500_000  # more than is buffered
            answers = await asyncio.gather(*(said(place, it) for it in (data, b"", b"x")))
            assert answers == [data.upper(), b"", b"X"]
            while proxy.connection_count:
                await asyncio.sleep(0)

    run(test())


def test_who_does_not_answer_rests_and_the_client_does_not_notice() -> None:
    async def test() -> None:
        [nobody] = free_ports(1)
        dead = Target("127.0.0.1", nobody)
        async with proxied(shout, dead) as (proxy, place):
            assert [await said(place, b"a") for _ in range(3)] == [b"A"] * 3
            assert proxy.targets.rests(dead)
            assert not proxy.targets.rests(proxy.targets.known[1])

    run(test())


def test_a_client_is_hung_up_on_when_nobody_answers() -> None:
    async def test() -> None:
        [nobody] = free_ports(1)
        targets = Targets(
            [Target("127.0.0.1", nobody)],
            rest_s=60.0,
            clock_s=time.monotonic,
            dice=random.Random(1),
        )
        proxy = Proxy(targets, connections_max=10)
        own, place = listening()
        await proxy.listen([own])
        reader, writer = await asyncio.open_connection(place.host, place.port)
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass  # as it is said on some systems
        writer.close()
        await proxy.close()

    run(test())


def test_whoever_comes_when_it_is_full_is_hung_up_on_and_later_taken() -> None:
    async def test() -> None:
        async with proxied(shout, connections_max=1) as (proxy, place):
            first_reader, first = await asyncio.open_connection(place.host, place.port)
            while not proxy.connection_count:
                await asyncio.sleep(0)
            try:
                assert await said(place, b"") == b""
            except ConnectionResetError:
                pass  # as it is said on some systems
            assert proxy.refused_count == 1
            first.write(b"a")
            first.write_eof()
            assert await first_reader.read() == b"A"
            first.close()
            while proxy.connection_count:
                await asyncio.sleep(0)
            assert await said(place, b"b") == b"B"

    run(test())


def test_who_does_not_read_is_not_read_for() -> None:
    """A server that pours is stopped by a client that takes nothing."""

    async def test() -> None:
        poured = 0

        async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal poured
            writer.transport.set_write_buffer_limits(0)
            try:
                while True:
                    writer.write(bytes(BUFFER_BYTES))
                    await writer.drain()
                    poured += BUFFER_BYTES
            except ConnectionError:
                writer.close()

        async with proxied(pour) as (_, place):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (place.host, place.port))
            before, still = -1, 0
            while still < 2000:  # turns of the loop in which nothing more was taken
                still = still + 1 if poured == before else 0
                before = poured
                await asyncio.sleep(0)
            assert poured < 64 << 20, "what waits is bounded"
            sock.close()

    run(test())


def test_those_that_have_rested_are_tried() -> None:
    async def test() -> None:
        now_s = 0.0
        sock, target = listening()
        sock.close()
        targets = Targets([target], rest_s=60.0, clock_s=lambda: now_s, dice=random.Random(1))
        proxy = Proxy(targets, connections_max=10)
        assert await proxy.dial(target) is None
        again = socket.create_server(("127.0.0.1", target.port))
        await proxy.look()
        assert targets.rests(target), "not before its time"
        now_s = 61.0
        await proxy.look()
        assert targets.due == []
        assert not targets.rests(target)
        again.close()
        await proxy.close()

    run(test())


class FakeTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reads = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def is_reading(self) -> bool:
        return self.reads

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.written.append(b"the end")


def test_what_comes_before_there_is_another_side_is_handed_on_and_no_more_is_read() -> None:
    """CPython 3.11.2 reads though it was told not to while a connection is made (`make fresh`)."""

    async def test() -> None:
        client, member = _Side(lambda: None), _Side(lambda: None)
        ways = FakeTransport(), FakeTransport()
        for side, way in zip((client, member), ways, strict=True):
            side.connection_made(way)
        client.data_received(b"early")
        assert [it.reads for it in ways] == [False, True]
        assert client.eof_received(), "what the other side has to say still comes"
        while any(it.reads for it in ways):
            await asyncio.sleep(0)
        member.join(client)
        client.join(member)
        assert ways[1].written == [b"early", b"the end"]
        assert [it.reads for it in ways] == [True, True]

    run(test())
