"""Whoever joins is called back before its member runs: the doorbell says "that is me", no more."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from roost.peer import Doorbell, Stream, frame
from roost.peer.doorbell import _CALL_S_MAX, _CALLERS_MAX
from roost.peer.errors import HandshakeRefused, UnprovenMember, WrongMember
from roost.peer.frame import HANDSHAKE_BYTES_MAX, NONCE_BYTES, Challenge, Confirm, Confirmed
from roost.peer.local import NEWCOMER
from roost.sim.members.loop import pass_time, run_virtually, virtual_loop
from roost.sim.members.network import Host
from tests.peer.peers import Peer, new_address

OURS, OTHERS = b"o" * NONCE_BYTES, b"x" * NONCE_BYTES
HERE, THERE = ("10.0.1.1", 2380), ("10.0.1.2", 2380)


class Caller:
    """Who calls back, from a machine of its own."""

    def __init__(self) -> None:
        self._host = Host(Peer.network, THERE)

    async def call(self) -> Stream:
        connection, _ = await self._host.connect(HERE)
        return Stream(connection, HANDSHAKE_BYTES_MAX)

    async def ask(self, kind: int, body: msgspec.Struct) -> tuple[int, bytes]:
        stream = await self.call()
        await stream.send(kind, body)
        try:
            return await stream.receive()
        finally:
            stream.close()


def listening(story: Callable[[Doorbell, Caller], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Doorbell([HERE], Host(Peer.network, HERE)) as doorbell:
            doorbell.nonces.add(OURS)
            await story(doorbell, Caller())
        with pytest.raises(ConnectionRefusedError):
            await Caller().call()

    run_virtually(main())


def test_a_greeting_of_ours_is_confirmed_for_as_long_as_it_lasts() -> None:
    async def story(doorbell: Doorbell, caller: Caller) -> None:
        asked = Confirm(target_id=NEWCOMER, nonce=OURS)
        for _ in range(2):
            kind, body = await caller.ask(frame.CONFIRM, asked)
            assert kind == frame.CONFIRMED
            assert frame.decode(body, Confirmed) == Confirmed()
        doorbell.nonces.discard(OURS)
        with pytest.raises(UnprovenMember):
            await caller.ask(frame.CONFIRM, asked)

    listening(story)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (Confirm(target_id=NEWCOMER, nonce=OTHERS), UnprovenMember),
        (Confirm(target_id=7, nonce=OURS), WrongMember),
    ],
)
def test_another_ones_greeting_is_not(asked: Confirm, error: type[Exception]) -> None:
    """A stranger that says the URLs of somebody who joins would get its store."""

    async def story(_doorbell: Doorbell, caller: Caller) -> None:
        with pytest.raises(error):
            await caller.ask(frame.CONFIRM, asked)

    listening(story)


def test_whoever_wants_something_else_is_told_that_there_is_no_member_yet() -> None:
    async def story(_doorbell: Doorbell, caller: Caller) -> None:
        with pytest.raises(HandshakeRefused, match="has not started yet"):
            await caller.ask(frame.CHALLENGE, Challenge(OURS))

    listening(story)


def test_nonsense_and_silence_end_one_call() -> None:
    async def story(_doorbell: Doorbell, caller: Caller) -> None:
        silent, noisy = await caller.call(), await caller.call()
        noisy.connection.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await noisy.receive()
        kind, _ = await caller.ask(frame.CONFIRM, Confirm(target_id=NEWCOMER, nonce=OURS))
        assert kind == frame.CONFIRMED
        await pass_time(_CALL_S_MAX - 1)
        with pytest.raises(ConnectionResetError):
            await silent.receive()
        assert virtual_loop().time() < _CALL_S_MAX + 1

    listening(story)


def test_silent_callers_keep_no_call_back_out() -> None:
    """The oldest makes room: whoever opens many and says nothing has spent its own."""

    async def story(_doorbell: Doorbell, caller: Caller) -> None:
        silent = [await caller.call() for _ in range(_CALLERS_MAX)]
        kind, _ = await caller.ask(frame.CONFIRM, Confirm(target_id=NEWCOMER, nonce=OURS))
        assert kind == frame.CONFIRMED
        with pytest.raises(ConnectionResetError):
            await silent[0].receive()
        for it in silent:
            it.close()

    listening(story)


def test_an_address_that_somebody_has_leaves_none_listened_at() -> None:
    async def main() -> None:
        taken = new_address()
        await Host(Peer.network, taken).listen(taken, lambda connection, _host: connection.close())
        with pytest.raises(OSError, match="somebody listens"):
            async with Doorbell([HERE, taken], Host(Peer.network, HERE)):
                raise AssertionError("it cannot listen there")
        with pytest.raises(ConnectionRefusedError):
            await Caller().call()

    run_virtually(main())
