"""Whom we greet: a greeting is ours while it is under way, and what a welcome says must be true."""

import asyncio
from dataclasses import replace

import pytest

from roost.peer import Life, WrongIncarnation
from roost.peer.config import PeerConfig
from roost.peer.frame import NONCE_BYTES
from roost.peer.greeter import Greeter
from roost.peer.lives import Lives
from roost.peer.local import CONTROL
from roost.peer.secret import Secrets
from roost.sim.members.loop import pass_time, until_idle
from roost.sim.members.network import Host
from tests.peer.greetings import LOCAL
from tests.peer.peers import LowDice, Peer, run, run_known


def greeter(at: str = "10.0.0.50") -> Greeter:
    return Greeter(
        replace(LOCAL, member_id=5),
        Lives(lambda _member_id: (0, 0)),
        Secrets([b"a secret of members"]),
        network=Host(Peer.network, (at, 2380)),
        config=PeerConfig(handshake_ms_max=1000),
        dice=LowDice(),
    )


def test_no_number_is_drawn_twice_and_each_has_its_length() -> None:
    one = greeter()
    drawn = [one.draw_nonce() for _ in range(100)]
    assert len(set(drawn)) == 100
    assert {len(it) for it in drawn} == {NONCE_BYTES}


def test_a_greeting_is_ours_while_it_is_under_way_and_no_longer() -> None:
    """Somebody who overheard it greets in our name later, and we are asked."""

    async def story(a: Peer, b: Peer) -> None:
        one = b.transport.greeter
        drawn: list[bytes] = []
        draw = one.draw_nonce

        def remember() -> bytes:
            drawn.append(draw())
            return drawn[-1]

        one.draw_nonce = remember  # type: ignore[method-assign]  # to know it
        greeting = asyncio.ensure_future(one.greet(1, CONTROL, a.address))
        await until_idle()
        assert one.is_greeting(drawn[0])
        (await greeting).close()
        assert not one.is_greeting(drawn[0])
        with pytest.raises(ConnectionRefusedError):
            await one.greet(1, CONTROL, ("10.0.0.77", 1))
        assert not one.is_greeting(drawn[1])

    run_known(story, Peer(1), Peer(2))


def test_a_welcome_that_cannot_be_true_is_not_believed_and_the_connection_closed() -> None:
    """A member whose directory went back to an older state: what it promised since is forgotten."""

    async def story(a: Peer, b: Peer) -> None:
        one = b.transport.greeter
        one.lives.believe(1, Life(1, 6, 1))
        with pytest.raises(WrongIncarnation):
            await one.greet(1, CONTROL, a.address)
        await until_idle()
        await pass_time(0.1)
        assert len(a.transport.gate._accepted) == 0

    run_known(story, Peer(1, life=Life(1, 5, 1)), Peer(2))


def test_a_snapshot_is_not_waited_for_longer_than_a_handshake_may_take() -> None:
    async def story(_a: Peer) -> None:
        await Host(Peer.network, ("10.0.0.60", 1)).listen(("10.0.0.60", 1), lambda *_: None)
        with pytest.raises(TimeoutError):
            await greeter().dial_for_snapshot(1, ("10.0.0.60", 1))

    run(story, Peer(1))
