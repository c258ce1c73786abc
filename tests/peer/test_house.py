"""Our house, as whoever greets us finds it: who is known is who is dialled."""

from roost.peer import Known
from tests.peer.peers import Peer, run


def test_who_is_dialled_is_known_by_its_addresses_and_nobody_else_is() -> None:
    async def story(a: Peer) -> None:
        house = a.transport.house
        assert house.known(2) is None
        a.transport.add_peer(2, [("10.0.0.2", 1), ("10.0.0.3", 1)])
        assert house.known(2) == Known((("10.0.0.2", 1), ("10.0.0.3", 1)), ())
        a.transport.remove_peer(2)
        assert house.known(2) is None

    run(story, Peer(1))


def test_a_house_is_full_at_its_bound() -> None:
    async def story(a: Peer) -> None:
        house = a.transport.house
        house._peer_count_max = 2
        for member_id, is_full in ((2, False), (3, True)):
            a.transport.add_peer(member_id, [("10.0.0.2", 1)])
            assert house.is_full() is is_full

    run(story, Peer(1))
