"""The simulated network: order, bounds, what a cut does to each end, and who hears of an end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from roost.peer import Connection
from roost.peer.waiting import receive, send_all
from roost.sim.members.loop import pass_time, run_virtually, virtual_loop
from roost.sim.members.network import DETECT_S_MAX, Host, SimNetwork

A, B = ("10.0.0.1", 2380), ("10.0.0.2", 2380)
LONG_S = 10 * DETECT_S_MAX


@dataclass(slots=True)
class Pair:
    """Two machines, and a connection that the first has dialled."""

    network: SimNetwork
    hosts: list[Host]
    ends: list[Connection] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        """Send all of it from the first to the second."""
        await send_all(virtual_loop(), self.ends[0], data)

    async def receive(self) -> bytes:
        """What has come to the second."""
        return await receive(virtual_loop(), self.ends[1], 1 << 20)


def run(
    story: Callable[[Pair], Awaitable[None]],
    *,
    window_bytes: int = 1000,
    leaves_half_open: bool = False,
) -> None:
    async def main() -> None:
        network = SimNetwork(
            random.Random(1), delay_s_mean=0.01,
            window_bytes=window_bytes, leaves_half_open=leaves_half_open,
        )  # fmt: skip
        pair = Pair(network, [Host(network, A), Host(network, B)])
        came: asyncio.Future[Connection] = virtual_loop().create_future()
        await pair.hosts[1].listen(B, lambda connection, _host: came.set_result(connection))
        near, _ = await pair.hosts[0].connect(B)
        pair.ends = [near, await came]
        await story(pair)

    run_virtually(main())


def test_what_is_held_up_comes_in_order() -> None:
    async def story(pair: Pair) -> None:
        pair.network.clogged[A, B] = virtual_loop().time() + 1.0
        for number in range(100):
            await pair.send(b"%02d" % number)
        await pass_time(2.0)
        said = b"".join([await pair.receive() for _ in range(100)])
        assert said == b"".join(b"%02d" % number for number in range(100))

    run(story)


def test_who_sends_more_than_is_read_must_wait() -> None:
    async def story(pair: Pair) -> None:
        assert pair.ends[0].send(bytes(1500)) == 1000
        with pytest.raises(BlockingIOError):
            pair.ends[0].send(b"more")
        await pass_time(1.0)
        assert len(await pair.receive()) == 1000
        assert pair.ends[0].send(b"more") == 4

    run(story)


def test_a_deaf_machine_reads_later_what_has_come() -> None:
    async def story(pair: Pair) -> None:
        pair.hosts[1].deafen(virtual_loop().time() + 5.0)
        await pair.send(b"hello")
        await pass_time(1.0)
        with pytest.raises(BlockingIOError):
            pair.ends[1].recv(10)
        assert await pair.receive() == b"hello"
        assert virtual_loop().time() >= 5.0

    run(story)


def test_what_a_cut_swallows_breaks_both_ends() -> None:
    async def story(pair: Pair) -> None:
        pair.network.cut.add((A, B))
        await pair.send(b"lost")
        pair.network.heal()
        await pass_time(LONG_S)
        for end in pair.ends:
            with pytest.raises(ConnectionResetError):
                end.recv(10)

    run(story)


def test_where_connections_are_left_half_open_only_the_sender_hears_of_a_cut() -> None:
    async def story(pair: Pair) -> None:
        pair.network.cut.add((A, B))
        await pair.send(b"lost")
        await pass_time(LONG_S)
        with pytest.raises(ConnectionResetError):
            pair.ends[0].recv(10)
        with pytest.raises(BlockingIOError):
            pair.ends[1].recv(10)

    run(story, leaves_half_open=True)


def test_a_killed_process_says_farewell_and_what_it_sent_arrives() -> None:
    async def story(pair: Pair) -> None:
        await pair.send(b"last words")
        pair.hosts[0].end(loses_power=False)
        assert await pair.receive() == b"last words"
        assert await pair.receive() == b""

    run(story)


def test_a_machine_without_power_says_nothing_until_it_is_spoken_to() -> None:
    async def story(pair: Pair) -> None:
        pair.hosts[0].end(loses_power=True)
        await pass_time(LONG_S)
        with pytest.raises(BlockingIOError):
            pair.ends[1].recv(10)
        pair.ends[1].send(b"are you there?")
        await pass_time(LONG_S)
        with pytest.raises(ConnectionResetError):
            pair.ends[1].recv(10)
        with pytest.raises(ConnectionRefusedError):
            await pair.hosts[0].connect(A)

    run(story, leaves_half_open=True)


def test_one_address_has_one_listener() -> None:
    async def story(pair: Pair) -> None:
        with pytest.raises(OSError, match="somebody listens"):
            await pair.hosts[0].listen(B, lambda _connection, _host: None)
        pair.hosts[1].end(loses_power=False)
        await pair.hosts[0].listen(B, lambda _connection, _host: None)

    run(story)
