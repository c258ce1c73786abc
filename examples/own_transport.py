"""Members on ZeroMQ: a transport of one's own, by the protocol `roost.peer.Network`.

    python examples/own_transport.py    (needs pyzmq)

A member wants connections of bytes with a descriptor.  It gets one end of a pair of sockets, and
tasks move bytes between the other end and a ZeroMQ socket: a DEALER where somebody dials, a ROUTER
where somebody listens.  An empty message says that nothing follows.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import zmq
import zmq.asyncio

import roost.aio
from roost.peer import Connection

Address = tuple[str, int]
OnCome = Callable[[Connection, str], None]
HELLO_S = 2.0  # to answer in: ZeroMQ never says that nobody is there


class Pipe:
    """One connection: `member` is the member's end, `send` takes what it sends."""

    def __init__(self, send: Callable[[bytes], Awaitable[object]]) -> None:
        self.member, self._ours = socket.socketpair()
        self.member.setblocking(False)
        self._ours.setblocking(False)
        self._send = send
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue(64)
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._run())

    async def take(self, data: bytes) -> None:
        if not self.task.done():
            await self._incoming.put(data)  # whoever sends waits for a member that does not read

    async def _run(self) -> None:
        ways = [self._loop.create_task(it()) for it in (self._outwards, self._inwards)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for it in ways:
                it.cancel()
            self._ours.close()
            with suppress(zmq.ZMQError):  # it may be closed
                await self._send(b"")

    async def _outwards(self) -> None:
        with suppress(OSError):
            while data := await self._loop.sock_recv(self._ours, 64 << 10):
                await self._send(data)

    async def _inwards(self) -> None:
        with suppress(OSError):
            while data := await self._incoming.get():
                await self._loop.sock_sendall(self._ours, data)


class ZmqListener:
    """A ROUTER: whoever dials has an identity, and so a pipe."""

    def __init__(self, address: Address, on_come: OnCome) -> None:
        self.address = address
        self._on_come = on_come
        self._socket = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
        try:
            self._socket.bind(f"tcp://{address[0]}:{address[1]}")
        except zmq.ZMQError as error:
            self._socket.close()
            raise OSError(error.errno, f"{address}: {error}") from error
        self._pipes: dict[bytes, Pipe] = {}
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            identity, data = await self._socket.recv_multipart()
            if identity in self._pipes:
                await self._pipes[identity].take(data)
            else:  # the first message says hello, and is answered in kind
                await self._socket.send_multipart([identity, data])
                self._come(identity)

    def _come(self, identity: bytes) -> None:
        pipe = Pipe(lambda data: self._socket.send_multipart([identity, data]))
        self._pipes[identity] = pipe
        pipe.task.add_done_callback(lambda _: self._pipes.pop(identity, None))
        self._on_come(pipe.member, "127.0.0.1")

    def close(self) -> None:
        self._task.cancel()
        self._socket.close(linger=0)


class ZmqNetwork:
    """The network, as one member sees it; see `roost.peer.Network`."""

    async def listen(self, address: Address, on_come: OnCome) -> ZmqListener:
        return ZmqListener(address, on_come)

    async def connect(self, address: Address) -> tuple[Connection, str]:
        dealer = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        try:
            dealer.connect(f"tcp://{address[0]}:{address[1]}")
            await dealer.send(b"hello")
            await asyncio.wait_for(dealer.recv(), HELLO_S)
        except BaseException as error:
            dealer.close(linger=0)
            if not isinstance(error, TimeoutError):
                raise
            raise ConnectionRefusedError(f"nobody answers at {address}") from error
        pipe = Pipe(dealer.send)
        reading = asyncio.get_running_loop().create_task(_read(dealer, pipe))
        pipe.task.add_done_callback(lambda _: reading.cancel())
        return pipe.member, address[0]

    def shown(self, connection: Connection) -> None: ...  # nobody has a certificate here


async def _read(dealer: zmq.asyncio.Socket, pipe: Pipe) -> None:
    try:
        while data := await dealer.recv():
            await pipe.take(data)
        await pipe.take(b"")
        await pipe.task
    finally:
        dealer.close(linger=1000)


async def main(ports: list[int]) -> None:
    """Three members in one process, which reach each other by ZeroMQ alone."""
    members = {f"m{it}": f"127.0.0.1:{port}" for it, port in enumerate(ports)}
    databases = await asyncio.gather(
        *(roost.aio.open(None, name=it, members=members, network=ZmqNetwork()) for it in members)
    )
    await databases[0].tree("t").put(b"greeting", b"hello")
    for it in databases:
        print(it.name, (await it.tree("t").get(b"greeting", b"")).decode())
    for it in databases:
        await it.close()


if __name__ == "__main__":
    asyncio.run(main([int(it) for it in sys.argv[1:]] or [7101, 7102, 7103]))
