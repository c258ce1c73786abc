"""What must hold of a `peer.Network`: connections that never wait, and members that greet on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from roost.peer import (
    Connection,
    Invitation,
    Join,
    Known,
    Life,
    LocalPeer,
    Network,
    PeerConfig,
    Transport,
    WrongMember,
    encode_frame,
)
from roost.peer.local import Address
from roost.peer.waiting import receive, send_all, wait_ready

WITHIN_S = 20.0
# More than any connection takes before the other side reads.
_TOO_MUCH_BYTES = 256 << 20
_PIECE = bytes(1 << 20)
_FRAMES = 300


@dataclass(frozen=True, slots=True)
class Ways:
    """Two machines on one network, an address of each, and one at which nobody listens."""

    here: Network
    there: Network
    here_address: Address
    there_address: Address
    nowhere: Address


NetworkCheck = Callable[[Ways], Awaitable[None]]


class _Connected(NamedTuple):
    """Both ends of a connection, and the host that the acceptor was told."""

    near: Connection
    far: Connection
    host: str


@asynccontextmanager
async def _connected(ways: Ways) -> AsyncIterator[_Connected]:
    """One connection, which ends with the block."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[tuple[Connection, str]] = loop.create_future()
    listener = await ways.there.listen(
        ways.there_address, lambda connection, host: came.set_result((connection, host))
    )
    async with asyncio.timeout(WITHIN_S):
        near, _ = await ways.here.connect(listener.address)
        far, host = await came
    try:
        yield _Connected(near, far, host)
    finally:
        for it in (near, far, listener):
            it.close()


async def _receive(connection: Connection, count: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    async with asyncio.timeout(WITHIN_S):
        while len(got) < count and (data := await receive(loop, connection, count - len(got))):
            got += data
    return got


async def bytes_come_in_order_both_ways(ways: Ways) -> None:
    """In whatever pieces."""
    loop = asyncio.get_running_loop()
    said = b"".join(b"%05d" % number for number in range(1000))

    async def say_all(connection: Connection) -> None:
        for begin in range(0, len(said), 7):
            await send_all(loop, connection, said[begin : begin + 7])

    async with _connected(ways) as (near, far, _):
        for source, target in ((near, far), (far, near)):
            heard, _ = await asyncio.gather(_receive(target, len(said)), say_all(source))
            assert heard == said
        assert near.sendmsg([b"a", b"", b"bc"]) == 3
        assert await _receive(far, 3) == b"abc"


async def who_dials_comes_from_somewhere(ways: Ways) -> None:
    """Bounds by address rest on it."""
    async with _connected(ways) as (_, _, host):
        assert host == ways.here_address[0]


async def nothing_waits(ways: Ways) -> None:
    """Where nothing has come, that is said at once."""
    async with _connected(ways) as (near, far, _):
        for connection in (near, far):
            try:
                connection.recv(10)
            except BlockingIOError:
                continue
            raise AssertionError("something was received that nobody sent")


async def a_reader_is_told_that_something_has_come(ways: Ways) -> None:
    """Again and again, until it was read."""
    loop = asyncio.get_running_loop()
    async with _connected(ways) as (near, far, _), asyncio.timeout(WITHIN_S):
        await send_all(loop, near, b"hello")
        for _ in range(2):
            await wait_ready(loop, far, is_reading=True)
        assert far.recv(3) == b"hel"
        await wait_ready(loop, far, is_reading=True)
        assert far.recv(100) == b"lo"


async def who_sends_more_than_is_read_is_told(ways: Ways) -> None:
    """And told again when there is room; what was taken comes."""
    loop, taken = asyncio.get_running_loop(), 0
    async with _connected(ways) as (near, far, _):
        while taken < _TOO_MUCH_BYTES:
            try:
                taken += near.send(_PIECE)
            except BlockingIOError:
                break
        assert 0 < taken < _TOO_MUCH_BYTES
        assert len(await _receive(far, taken)) == taken
        async with asyncio.timeout(WITHIN_S):
            await wait_ready(loop, near, is_reading=False)
        assert near.send(b"more") == 4
        assert await _receive(far, 4) == b"more"


async def an_end_follows_what_was_sent(ways: Ways) -> None:
    """Then it is the end for ever, and sending fails."""
    loop = asyncio.get_running_loop()
    async with _connected(ways) as (near, far, _):
        await send_all(loop, near, b"last words")
        near.close()
        near.close()
        assert await _receive(far, 100) == b"last words"
        assert far.recv(10) == b""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    await send_all(loop, far, _PIECE)
                except OSError:
                    return
                await asyncio.sleep(0.001)


async def nobody_answers_where_nobody_listens(ways: Ways) -> None:
    """Nor where somebody did."""
    listener = await ways.there.listen(ways.there_address, lambda it, _host: it.close())
    address = listener.address
    listener.close()
    for target in (ways.nowhere, address):
        try:
            async with asyncio.timeout(WITHIN_S):
                await ways.here.connect(target)
        except (OSError, TimeoutError):
            continue
        raise AssertionError(f"somebody answers at {target}")


async def an_address_is_listened_at_once(ways: Ways) -> None:
    """Two members must not share one by mistake."""
    listener = await ways.there.listen(ways.there_address, lambda it, _host: it.close())
    try:
        await ways.there.listen(listener.address, lambda it, _host: it.close())
    except OSError:
        return
    finally:
        listener.close()
    raise AssertionError("two listen at one address")


class _Peer:
    """A member's links, and what came by them."""

    def __init__(self, member_id: int, network: Network, address: Address) -> None:
        self.came: list[bytes] = []
        self.connected: list[int] = []
        self._drawn = 0
        self._id = member_id
        self.transport = Transport(
            local=LocalPeer(
                cluster_id=9,
                member_id=member_id,
                life=Life(1, 1, member_id),
                protocol_version=1,
                storage_version=1,
            ),
            network=network,
            listen=[address],
            config=PeerConfig(backoff_ms_min=2, backoff_ms_max=50),
            dice=self,
            on_frame=lambda _sender, _kind, body: self.came.append(body),
            on_batch_end=lambda: None,
            on_connected=self.connected.append,
            on_unreachable=lambda _member_id: None,
            on_refused=lambda _member_id, _said: None,
            on_pull=lambda stream, _asked: stream.close(),
            on_join=lambda stream, _asked: stream.close(),
            is_removed=lambda _member_id: False,
            invite=self._invite,
        )

    def below(self, n: int) -> int:
        """Never the same, where it matters."""
        self._drawn += 1
        return (self._id << 64 | self._drawn) % n

    def _invite(self, _asked: Join) -> tuple[Invitation, Known]:
        raise WrongMember("nobody was added")

    async def until(self, count: int) -> None:
        """Wait until so many frames have come, or so many links are open."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.came) < count or len(self.connected) < 2:
                await asyncio.sleep(0.001)


async def members_greet_and_talk(ways: Ways) -> None:
    """Both ways, on both channels, and anew after one of them was away."""
    here = _Peer(1, ways.here, ways.here_address)
    there = _Peer(2, ways.there, ways.there_address)
    try:
        for peer in (here, there):
            await peer.transport.start()
        here.transport.add_peer(2, [there.transport.addresses[0]])
        there.transport.add_peer(1, [here.transport.addresses[0]])
        for peer in (here, there):
            await peer.until(0)
        for number in range(_FRAMES):
            frame = encode_frame(1, [b"%d" % number, bytes(1000)])
            for source, target in ((here, 2), (there, 1)):
                assert source.transport.send(target, frame, bulk=False)
                assert source.transport.send(target, frame, bulk=True)
        for peer in (here, there):
            await peer.until(2 * _FRAMES)
            assert sorted(peer.came) == sorted(2 * [b"%d" % it + bytes(1000) for it in range(300)])
    finally:
        for peer in (here, there):
            await peer.transport.close()


NETWORK: tuple[NetworkCheck, ...] = (
    bytes_come_in_order_both_ways,
    who_dials_comes_from_somewhere,
    nothing_waits,
    a_reader_is_told_that_something_has_come,
    who_sends_more_than_is_read_is_told,
    an_end_follows_what_was_sent,
    nobody_answers_where_nobody_listens,
    an_address_is_listened_at_once,
    members_greet_and_talk,
)
