"""Who dials us: one connection a member and channel, the newest; nobody after we have closed."""

import asyncio

import pytest

from roost.peer.errors import HandshakeRefused, RefusedThere
from roost.peer.framing import encode
from roost.peer.local import BULK, CONTROL
from roost.peer.stream import Stream
from roost.peer.waiting import receive
from roost.sim.members.loop import until_idle, virtual_loop
from tests.peer.peers import Peer, run_known, until

KIND = 3


async def is_closed(stream: Stream) -> bool:
    """Whether the other side has closed; nothing else ever comes from it."""
    async with asyncio.timeout(5):
        return await receive(virtual_loop(), stream.connection, 10) == b""


async def say(stream: Stream, body: bytes) -> None:
    for buffer in encode(KIND, [body]):
        stream.connection.send(buffer)


def test_a_member_that_dials_again_replaces_its_older_connection() -> None:
    """The older may be half open: nobody would notice, and what it still says is of the past."""

    async def story(a: Peer, b: Peer) -> None:
        old = await b.transport.greeter.greet(1, CONTROL, a.address)
        new = await b.transport.greeter.greet(1, CONTROL, a.address)
        assert await is_closed(old)
        assert a.unreachable == [], "it is there"
        await say(new, b"hello")
        await until(lambda: a.frames == [(2, KIND, b"hello")])
        new.close()
        await until(lambda: a.unreachable == [2])

    run_known(story, Peer(1), Peer(2))


def test_channels_of_a_member_do_not_replace_each_other() -> None:
    async def story(a: Peer, b: Peer) -> None:
        streams = [await b.transport.greeter.greet(1, it, a.address) for it in (CONTROL, BULK)]
        for number, stream in enumerate(streams):
            await say(stream, b"%d" % number)
        await until(lambda: len(a.frames) == 2)
        for stream in streams:
            stream.close()
        await until(lambda: a.unreachable == [2, 2])

    run_known(story, Peer(1), Peer(2))


def test_a_member_that_is_turned_out_is_heard_no_more() -> None:
    async def story(a: Peer, b: Peer) -> None:
        streams = [await b.transport.greeter.greet(1, it, a.address) for it in (CONTROL, BULK)]
        a.transport.gate.turn_out(2)
        for stream in streams:
            assert await is_closed(stream)

    run_known(story, Peer(1), Peer(2))


def test_nobody_is_let_in_after_the_end_and_who_is_in_is_shown_out() -> None:
    async def story(a: Peer, b: Peer) -> None:
        greeted = await b.transport.greeter.greet(1, CONTROL, a.address)
        silent = await b.transport.greeter.dial(a.address)
        await until_idle()
        a.transport.gate.close()
        for stream in (greeted, silent):
            assert await is_closed(stream)
        with pytest.raises(ConnectionRefusedError):
            await b.transport.greeter.dial(a.address)
        assert a.transport.addresses == []

    run_known(story, Peer(1), Peer(2))


def test_who_was_not_let_in_is_nobody_that_could_break_off() -> None:
    async def story(a: Peer, stranger: Peer) -> None:
        with pytest.raises((RefusedThere, HandshakeRefused)):
            await stranger.transport.greeter.greet(1, CONTROL, a.address)
        await until_idle()
        assert (a.unreachable, len(a.transport.gate._accepted)) == ([], 0)
        assert a.transport.statistics.refused_count == 1

    run_known(story, Peer(1), Peer(2, cluster_id=8))
