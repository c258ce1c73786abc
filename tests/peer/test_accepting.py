"""Connections that others dial: until they have greeted they are few, and hold nobody up."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from roost.peer import (
    Life,
    PeerConfig,
)
from roost.peer.accepting import Accepted, make_room
from roost.peer.frame import HANDSHAKE_BYTES_MAX
from roost.peer.framing import encode
from roost.peer.waiting import receive, send_all
from roost.sim.members.loop import virtual_loop
from roost.sim.members.network import Host
from tests.peer.peers import Peer, run, until


def test_silent_connections_keep_no_member_from_coming_back() -> None:
    """Issue 12, A7: 64 idle connections held every place of those who have not greeted."""

    async def story(a: Peer, b: Peer) -> None:
        a.transport.gate.config = replace(a.transport.gate.config, handshake_ms_max=60_000)
        strangers = Host(Peer.network, ("10.0.9.9", 1))
        silent = [await strangers.connect(a.address) for _ in range(200)]
        await b.transport.close()
        again = Peer(2, life=Life(1, 6, 3), at=b.address)
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: again.is_linked_to(a) and a.is_linked_to(again))
        assert sum(it.hello is None for it in a.transport.gate._accepted) > 1
        for connection, _ in silent:
            connection.close()
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def waiting(*hosts: str, spoken: Sequence[int] = ()) -> list[Accepted]:
    made = []
    for number, host in enumerate(hosts):
        accepted = Accepted(Peer(1).transport, None, host)  # type: ignore[arg-type]  # never read
        accepted.has_spoken = number in spoken
        made.append(accepted)
    return made


def test_a_new_connection_takes_the_place_of_the_oldest_that_is_silent() -> None:
    config = PeerConfig(half_open_count_max=4, half_open_host_max=2)
    known = frozenset({"m"})
    for held, host, leaving in (
        (["a", "b", "c"], "d", None),
        (["a", "b", "c", "d"], "e", 0),
        (["a", "a", "b"], "a", 0),
        (["b", "a", "a"], "a", 1),
        (["a", "b", "c", "d"], "m", None),
        (["m", "m", "c", "d"], "e", None),
        (["a", "m", "m"], "m", 1),
    ):
        them = waiting(*held)
        assert make_room(them, host, known, config) is (
            None if leaving is None else them[leaving]
        ), (held, host)
    them = waiting("a", "b", "c", "d", spoken=(0, 2))
    assert make_room(them, "e", known, config) is them[1]
    them = waiting("a", "a", spoken=(0, 1))
    assert make_room(them, "a", known, config) is them[0]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(4) + b"RP\xf0\0" + (HANDSHAKE_BYTES_MAX + 1).to_bytes(4, "big"),
        b"".join(encode(1, [b"no hello"])),
        b"".join(encode(240, [b"\xff" * 8])),
    ],
)
def test_who_does_not_say_hello_is_closed(data: bytes) -> None:
    async def story(a: Peer) -> None:
        connection, _ = await Host(Peer.network, ("10.0.9.9", 1)).connect(a.address)
        await send_all(virtual_loop(), connection, data)
        async with asyncio.timeout(5):
            assert await receive(virtual_loop(), connection, 1) == b""
        connection.close()
        assert a.frames == []

    run(story, Peer(1))


def test_silent_connections_are_bounded_and_closed_in_time() -> None:
    async def story(a: Peer, b: Peer) -> None:
        strangers = Host(Peer.network, ("10.0.9.9", 1))
        silent = [await strangers.connect(a.address) for _ in range(30)]
        await until(lambda: len(a.transport.gate._accepted) > 2)
        await until(lambda: len(a.transport.gate._accepted) <= 10)
        assert a.is_linked_to(b)
        await until(lambda: len(a.transport.gate._accepted) == 2)
        for connection, _ in silent:
            connection.close()

    run(story, Peer(1), Peer(2))
