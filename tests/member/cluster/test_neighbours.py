"""Members that are new to us: asked about, vouched for, and no more than that."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from roost.errors import PeerFault
from roost.member import DirectoryLost, MemberConfig, MemberRemoved, RolledBack, added_anew
from roost.member.cluster.neighbours import Neighbours
from roost.member.cluster.roster import MemberRecord
from roost.member.cluster.vouching import ASKED_MAX, Vouched, Vouching
from roost.member.protocol import FRAME_WHO, FRAME_WHO_IS
from roost.peer import AlreadyBootstrapped, Join, RefusedThere, RemovedMember, WrongMember
from roost.peer.errors import WrongIncarnation
from roost.peer.frame import HEAD
from roost.peer.lives import Lives

OWN, PEER, NEW, GONE = 1, 2, 5, 66


def url(number: int) -> tuple[str, ...]:
    return (f"http://10.0.0.{number}:2380",)


class FakeRoster:
    """Members 1 and 2; 66 was removed."""

    def __init__(self) -> None:
        self.held = {it: MemberRecord(id=it, name=f"m{it}", peer_urls=url(it)) for it in (1, 2)}

    def records(self) -> list[MemberRecord]:
        return list(self.held.values())

    linked = records

    def record_of(self, member_id: int) -> MemberRecord | None:
        return self.held.get(member_id)

    def names_of(self, member_id: int) -> tuple[str, ...]:
        return (f"m{member_id}",)

    def is_removed(self, member_id: int) -> bool:
        return member_id == GONE


class FakeTransport:
    """Remembers what is dialled and sent."""

    def __init__(self) -> None:
        self.links: dict[int, list[tuple[str, int]]] = {}
        self.sent: list[tuple[int, int, bytes]] = []
        self.lives = Lives(lambda member_id: (20, 1) if member_id == PEER else (0, 0))
        self.full = False

    def peers(self) -> list[int]:
        return list(self.links)

    def add_peer(self, member_id: int, addresses: list[tuple[str, int]]) -> None:
        self.links[member_id] = addresses

    def remove_peer(self, member_id: int) -> None:
        del self.links[member_id]

    def is_full(self) -> bool:
        return self.full

    def send(self, member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
        assert not bulk
        whole = b"".join(encoded)
        _, kind, *_ = HEAD.unpack_from(whole)
        self.sent.append((member_id, kind, whole[HEAD.size :]))
        return True


class Story:
    """Neighbours of member 1, which has applied entry 10."""

    def __init__(self) -> None:
        self.roster, self.transport = FakeRoster(), FakeTransport()
        self.applied, self.now_s = 10, 100.0
        config = MemberConfig(
            name="m1", data_dir=Path("m1"), initial_cluster={}, advertise_peer_urls=url(1),
            listen_peer_urls=url(1),
        )  # fmt: skip
        self.vouching = Vouching(
            self.roster,  # type: ignore[arg-type]  # as much of it as is asked for
            own_id=OWN,
            applied_index=lambda: self.applied,
            clock_s=lambda: self.now_s,
        )
        self.neighbours = Neighbours(
            self.roster,  # type: ignore[arg-type]  # as much of it as is asked for
            self.vouching,
            own_id=OWN,
            cluster_id=9,
            config=config,
            transact=lambda _name, _body, _done: None,
            remember=lambda _urls: None,
        )
        self.vouching.transport = self.transport  # type: ignore[assignment]  # the same
        self.neighbours.transport = self.transport  # type: ignore[assignment]  # the same
        self.neighbours.follow()

    def vouch(self, member_id: int, index: int, at: int | None = None) -> None:
        record = MemberRecord(id=member_id, name="new", peer_urls=url(at or member_id))
        self.vouching.on_who_is(PEER, msgspec.json.encode(Vouched(index, record)))


def test_who_is_new_is_asked_about_and_believed_when_a_member_vouches_for_it() -> None:
    """A member that is behind must reach a leader that joined after all it has applied."""
    story = Story()
    assert story.transport.peers() == [PEER]
    story.vouching.ask_about(NEW)
    assert story.transport.sent == [(PEER, FRAME_WHO, NEW.to_bytes(8, "big"))]
    story.vouch(NEW, 11)
    assert story.transport.links[NEW] == [("10.0.0.5", 2380)]
    story.neighbours.follow()
    assert NEW in story.transport.links


def test_who_has_moved_is_dialled_there_until_we_have_applied_that() -> None:
    story = Story()
    story.vouching.ask_about(PEER)
    story.vouch(PEER, 12, at=7)
    assert story.transport.links[PEER] == [("10.0.0.7", 2380)]
    story.neighbours.follow()
    assert story.transport.links[PEER] == [("10.0.0.7", 2380)]
    story.applied = 12
    story.neighbours.follow()
    assert story.transport.links[PEER] == [("10.0.0.2", 2380)]


def test_what_nobody_asked_or_is_older_or_concerns_us_does_not_count() -> None:
    story = Story()
    story.vouch(NEW, 11)  # not asked
    for member_id in (NEW, GONE, OWN):
        story.vouching.ask_about(member_id)
    story.vouch(NEW, 10)  # we have applied as much
    story.vouch(GONE, 11)
    story.vouch(OWN, 11, at=8)
    story.transport.full = True
    story.vouch(NEW, 11)
    assert story.transport.links == {PEER: [("10.0.0.2", 2380)]}


def test_a_stranger_cannot_make_us_ask_without_end() -> None:
    story = Story()
    for _ in range(3):
        for member_id in range(100, 100 + 2 * ASKED_MAX):
            story.vouching.ask_about(member_id)
    assert len(story.transport.sent) == ASKED_MAX
    story.now_s += 1
    story.vouching.ask_about(NEW)
    assert len(story.transport.sent) == ASKED_MAX + 1


def test_a_member_says_who_that_is_if_it_knows() -> None:
    story = Story()
    for member_id in (NEW, GONE, PEER):
        story.vouching.on_who(PEER, member_id.to_bytes(8, "big"))
    [(to, kind, body)] = story.transport.sent
    assert (to, kind) == (PEER, FRAME_WHO_IS)
    assert msgspec.json.decode(body, type=Vouched) == Vouched(10, story.roster.held[PEER])


@pytest.mark.parametrize("body", [b"", b"1234567", b"123456789"])
def test_a_question_about_nobody_ends_the_link(body: bytes) -> None:
    with pytest.raises(PeerFault):
        Story().vouching.on_who(PEER, body)


NO_ADDRESS = b'{"index":1,"record":{"id":2,"name":"","peer_urls":["no"]}}'


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"x":' * 5000, NO_ADDRESS])
def test_an_answer_that_is_none_ends_the_link(body: bytes) -> None:
    with pytest.raises(PeerFault):
        Story().vouching.on_who_is(PEER, body)


def test_a_newcomer_is_invited_where_it_was_added_and_only_once() -> None:
    story = Story()
    story.roster.held[NEW] = MemberRecord(id=NEW, name="", peer_urls=url(NEW))

    def join(number: int, directory: int = 0) -> Join:
        return Join(
            peer_urls=url(number), protocol_version=1, storage_version=1, nonce=b"1" * 16,
            directory=directory,
        )  # fmt: skip

    invitation, known = story.neighbours.invite(join(NEW))
    assert (invitation.member_id, known.addresses) == (NEW, (("10.0.0.5", 2380),))
    with pytest.raises(WrongMember):
        story.neighbours.invite(join(9))
    for number in (PEER, OWN):
        with pytest.raises(AlreadyBootstrapped, match="has already been bootstrapped"):
            story.neighbours.invite(join(number))
    # Its store is damaged, its directory is the one it had.
    invitation, _ = story.neighbours.invite(join(PEER, directory=20))
    assert invitation.member_id == PEER


@pytest.mark.parametrize(
    ("refusal", "end"),
    [
        (RemovedMember("x"), MemberRemoved),
        (WrongIncarnation("x"), RolledBack),
        (AlreadyBootstrapped("x"), DirectoryLost),
        (WrongMember("x"), type(None)),
    ],
)
def test_a_refusal_ends_us_only_when_it_is_proven(refusal: WrongMember, end: type[object]) -> None:
    neighbours = Story().neighbours
    assert neighbours.on_refused(PEER, RefusedThere(refusal, is_proven=False)) is None
    ended = neighbours.on_refused(PEER, RefusedThere(refusal, is_proven=True))
    assert isinstance(ended, end)
    if isinstance(ended, RolledBack | DirectoryLost):
        assert "roost member remove 1" in str(ended)


def test_the_way_back_names_urls_that_others_can_dial(tmp_path: Path) -> None:
    listens = ("http://10.0.0.3:2380",)
    config = MemberConfig(
        name="m3",
        data_dir=tmp_path,
        initial_cluster={},
        advertise_peer_urls=("http://localhost:2380",),
        listen_peer_urls=listens,
    )
    assert "`roost member add m3 --peer-urls http://10.0.0.3:2380`" in added_anew(config)
    named = replace(config, advertise_peer_urls=("http://m3.example:2380",))
    assert "--peer-urls http://m3.example:2380`" in added_anew(named)
