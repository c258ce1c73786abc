"""Links in virtual time: handshakes refused by name, order, bounds, reconnects."""

import pytest

from roost.errors import PeerFault
from roost.peer import (
    Life,
    RemovedMember,
    Secrets,
)
from roost.peer.errors import (
    AlreadyBootstrapped,
    UnprovenMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.framing import FrameReader, encode
from tests.peer.peers import SHARED, Peer, new_address, run, until


def test_frames_arrive_in_order_on_both_channels() -> None:
    async def story(a: Peer, b: Peer) -> None:
        for number in range(300):
            assert a.transport.send(b.id, encode(1, [b"%d" % number]), bulk=False)
            assert a.transport.send(b.id, encode(2, [b"%d" % number, b"!"]), bulk=True)
        await until(lambda: len(b.frames) == 600)
        assert [it for it in b.frames if it[1] == 1] == [(a.id, 1, b"%d" % n) for n in range(300)]
        assert [it for it in b.frames if it[1] == 2] == [(a.id, 2, b"%d!" % n) for n in range(300)]

    run(story, Peer(1), Peer(2))


def test_a_large_entry_does_not_hold_up_control_frames() -> None:
    async def story(a: Peer, b: Peer) -> None:
        assert a.transport.send(b.id, encode(2, [bytes(4 << 20)]), bulk=True)
        assert a.transport.send(b.id, encode(1, [b"beat"]), bulk=False)
        await until(lambda: len(b.frames) == 2)
        assert [kind for _, kind, _ in b.frames] == [1, 2]
        assert len(b.frames[1][2]) == 4 << 20

    run(story, Peer(1), Peer(2))


def test_a_full_queue_drops_and_says_so() -> None:
    async def story(a: Peer, b: Peer) -> None:
        taken = [a.transport.send(b.id, encode(2, [bytes(1 << 20)]), bulk=True) for _ in range(40)]
        assert not all(taken)
        assert a.transport.statistics.dropped_count == taken.count(False)
        await until(lambda: len(b.frames) == taken.count(True))
        await until(lambda: a.transport.queued_bytes() == 0)
        assert a.transport.send(b.id, encode(2, [b"again"]), bulk=True)

    run(story, Peer(1), Peer(2))


def test_to_nobody_nothing_is_sent() -> None:
    async def story(a: Peer) -> None:
        assert not a.transport.send(77, encode(1, [b"x"]), bulk=False)

    run(story, Peer(1))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cluster_id": 8}, WrongCluster),
        ({"protocol_version": 2}, WrongVersion),
        ({"storage_version": 2}, WrongVersion),
    ],
)
def test_strangers_are_refused_by_name(changes: dict[str, int], error: type[Exception]) -> None:
    async def story(a: Peer, b: Peer) -> None:
        await until(lambda: bool(a.refusals) and bool(b.refusals))
        assert {type(it) for it in a.refusals + b.refusals} == {error}
        assert not a.is_linked_to(b)

    run(
        story,
        Peer(1),
        Peer(2, (), life=None, secrets=None, at=None, on=None, **changes),
        linked=False,
    )


def test_why_a_member_cannot_be_reached_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    dead = ("10.0.9.1", 2380)

    async def story(a: Peer, b: Peer) -> None:
        a.transport.add_peer(3, [dead])
        links = [link for links in a.transport.dialled._links.values() for link in links]
        await until(lambda: all(link._failures > 3 for link in links))
        assert not a.is_linked_to(b)

    secrets = Secrets((b"k" * 32,))
    run(story, Peer(1, secrets=secrets), Peer(2), linked=False)
    said = [it for it in caplog.messages if "not believed" in it or "cannot be reached" in it]
    ours = [it for it in said if "member 2" in it or "member 3" in it]
    assert len(ours) == 2, said
    assert any("does not know the secret of --peer-secret-file" in it for it in ours)
    assert any("member 3 cannot be reached at 10.0.9.1:2380: nobody answers" in it for it in ours)


def test_who_is_not_in_the_cluster_and_who_dials_the_wrong_member_is_refused() -> None:
    async def story(a: Peer) -> None:
        stranger = Peer(3)
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert isinstance(stranger.refusals[0], WrongMember)
        assert "is not known here" in str(stranger.refusals[0])
        assert set(a.asked_about) == {3}
        await stranger.transport.close()
        confused = Peer(4)
        await confused.transport.start()
        confused.transport.add_peer(2, [a.address])
        await until(lambda: bool(confused.refusals))
        assert "was meant" in str(confused.refusals[0])
        await confused.transport.close()

    run(story, Peer(1))


def test_with_a_secret_a_member_that_is_newer_than_what_we_know_is_taken_in_and_dialled() -> None:
    """The leader that a lagging member needs may have joined after all it has applied."""

    async def story(a: Peer) -> None:
        at = new_address()
        newcomer = Peer(3, (at,), at=at, secrets=SHARED)
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.connected) and bool(a.connected))
        assert a.transport.peers() == [3]
        await newcomer.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_with_a_secret_a_member_that_has_moved_is_dialled_where_it_says_it_is() -> None:
    """All others may have moved while a member was away: the roster it has finds nobody."""

    async def story(a: Peer) -> None:
        old, new = ("10.0.9.1", 2380), new_address()
        moved = Peer(3, (new,), at=new, secrets=SHARED)
        await moved.transport.start()
        a.transport.add_peer(3, [old])
        moved.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(moved) and moved.is_linked_to(a))
        a.transport.add_peer(3, [old])  # the roster is applied again, and is no newer
        assert a.transport.addresses_of(3) == [old, new]
        a.transport.add_peer(3, [new])
        a.transport.add_peer(3, [old])  # it knew better once: what was said is over
        assert a.transport.addresses_of(3) == [old]
        await moved.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_more_members_than_the_bound_are_refused() -> None:
    async def story(a: Peer) -> None:
        a.transport.house._peer_count_max = 0
        newcomer = Peer(3, (("127.0.0.1", 1),), secrets=SHARED)
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.refusals))
        assert "too many" in str(newcomer.refusals[0])
        await newcomer.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_a_removed_member_is_told_so() -> None:
    async def story(a: Peer) -> None:
        removed = Peer(66, (("127.0.0.1", 1),))
        await removed.transport.start()
        removed.transport.add_peer(1, [a.address])
        await until(lambda: bool(removed.refusals))
        assert isinstance(removed.refusals[0], RemovedMember)
        await removed.transport.close()

    run(story, Peer(1))


def test_an_older_incarnation_is_refused() -> None:
    """Checklist 1, 97: a log that went back belongs to another life, and is not listened to."""

    async def story(a: Peer, b: Peer) -> None:
        await b.transport.close()
        older = Peer(2, life=Life(1, 4, 2), at=b.address)
        await older.transport.start()
        older.transport.add_peer(1, [a.address])
        await until(lambda: bool(older.refusals))
        assert isinstance(older.refusals[0], WrongIncarnation)
        await older.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_stranger_that_greets_as_a_member_is_refused_and_harms_nobody() -> None:
    """Issue 12, A1 and A3: it said incarnation 2^63, and the real one was a copy from then on."""

    async def story(a: Peer, b: Peer) -> None:
        stranger = Peer(2, life=Life(1, 1 << 62, 66))
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert isinstance(stranger.refusals[0], UnprovenMember)
        assert not stranger.is_linked_to(a)
        again = Peer(2, life=Life(1, 6, 3), at=b.address)
        await b.transport.close()
        # Not even now: whoever greets as member 2 must be where member 2 is.
        before = len(stranger.refusals)
        await until(lambda: len(stranger.refusals) > before + 2)
        assert not stranger.is_linked_to(a)
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(again) and again.is_linked_to(a))
        assert a.frames == []
        await stranger.transport.close()
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_second_directory_of_a_member_is_refused_by_etcds_text_and_the_first_goes_on() -> None:
    """Issue 12, A4: its newer incarnation outranked that of the healthy member, which ended."""

    async def story(a: Peer, b: Peer) -> None:
        newcomer = Peer(2, life=Life(2, 1 << 62, 5))
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.refusals))
        assert isinstance(newcomer.refusals[0], AlreadyBootstrapped)
        assert str(newcomer.refusals[0]) == "member 2 has already been bootstrapped"
        await newcomer.transport.close()
        assert b.refusals == []
        assert a.transport.send(2, encode(1, [b"x"]), bulk=False)
        assert b.transport.send(1, encode(1, [b"y"]), bulk=False)
        await until(lambda: bool(a.frames) and bool(b.frames))

    run(story, Peer(1), Peer(2))


def test_the_refusal_of_somebody_who_does_not_know_the_secret_is_not_proven() -> None:
    """Nobody ends itself because of a stranger at the address of a member that is down."""

    async def story(a: Peer, b: Peer) -> None:
        await b.transport.close()
        stranger = Peer(2, secrets=Secrets([b"what strangers guess"]), at=b.address)
        await stranger.transport.start()
        await until(lambda: bool(a.refusals))
        assert a.proven == [False] * len(a.proven)
        await stranger.transport.close()

    run(story, Peer(1, secrets=SHARED), Peer(2, secrets=SHARED))


def test_a_peer_that_comes_back_is_linked_again_and_its_loss_was_told() -> None:
    async def story(a: Peer, b: Peer) -> None:
        await b.transport.close()
        await until(lambda: b.id in a.unreachable)
        assert not a.is_linked_to(b)
        again = Peer(2, at=b.address)
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(again))
        assert a.transport.send(2, encode(1, [b"hello again"]), bulk=False)
        await until(lambda: bool(again.frames))
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_fault_of_the_owner_closes_that_link_only() -> None:
    async def story(a: Peer, b: Peer) -> None:
        b.fault = PeerFault("nonsense")
        a.transport.send(b.id, encode(1, [b"x"]), bulk=False)
        await until(lambda: b.transport.statistics.malformed_count == 1)
        b.fault = None
        await until(lambda: b.id in a.unreachable and a.is_linked_to(b))
        a.transport.send(b.id, encode(1, [b"y"]), bulk=False)
        await until(lambda: b.frames == [(1, 1, b"y")])

    run(story, Peer(1), Peer(2))


@pytest.mark.parametrize(
    "where", [pytest.param("feed", marks=pytest.mark.pure("it replaces a method")), "on_frame"]
)
def test_what_there_is_no_memory_to_read_is_lost_with_its_link_which_is_dialled_again(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def starve(_self: FrameReader, _data: bytes) -> list[tuple[int, bytes]]:
        raise MemoryError

    async def story(a: Peer, b: Peer) -> None:
        with monkeypatch.context() as patch:
            if where == "feed":
                patch.setattr(FrameReader, "feed", starve)
            else:
                b.fault = MemoryError()
            assert a.transport.send(b.id, encode(2, [b"lost"]), bulk=True)
            await until(lambda: not a.is_linked_to(b))
        b.fault = None
        await until(lambda: a.is_linked_to(b))
        assert a.transport.send(b.id, encode(2, [b"again"]), bulk=True)
        await until(lambda: bool(b.frames))
        assert b.frames == [(a.id, 2, b"again")]
        assert b.transport.statistics.malformed_count == 0, "nobody has done anything wrong"

    run(story, Peer(1), Peer(2))
