"""Both ends of a greeting as machines: each refusal by name, proofs, and what a replay is worth."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from roost.peer import Secrets
from roost.peer.errors import (
    AlreadyBootstrapped,
    HandshakeRefused,
    MalformedFrame,
    RefusedThere,
    RemovedMember,
    UnprovenMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import (
    CHALLENGE,
    CONFIRM,
    HELLO,
    JOIN,
    PROOF,
    REFUSAL,
    WELCOME,
    Challenge,
    Confirm,
    Confirmed,
    Hello,
    Invitation,
    Join,
    Life,
    Proof,
    Welcome,
)
from roost.peer.greeting import (
    CONTROL,
    Acceptor,
    Admitted,
    CallBack,
    Dialler,
    Joins,
    Known,
    LocalPeer,
    Say,
    Told,
)
from roost.peer.lives import Lives

HOME, FAR = ("10.0.0.2", 2380), ("10.0.0.9", 2380)
ONE, TWO = b"1" * 16, b"2" * 16
LOCAL = LocalPeer(
    cluster_id=9, member_id=1, life=Life(10, 5, 77), protocol_version=1, storage_version=1
)
PEER = replace(LOCAL, member_id=2, life=Life(20, 5, 88), addresses=(HOME,))
OURS, THEIRS = Secrets([b"a secret of members"]), Secrets([b"what strangers guess"])


@dataclass
class Certificate:
    """A certificate that is for some names."""

    names: tuple[str, ...]
    is_allowed: bool = False

    def foreign_to(self, names: Sequence[str]) -> str:
        return "" if set(names) & set(self.names) else f"a certificate of {self.names}"


@dataclass
class House:
    """Member 1 of cluster 9, which knows member 2; 66 was removed."""

    secrets: Secrets = field(default_factory=Secrets)
    local: LocalPeer = LOCAL
    members: dict[int, Known] = field(default_factory=lambda: {2: Known((HOME,), ("m2",))})
    full: bool = False
    lives: Lives = field(default_factory=lambda: Lives(lambda _member_id: (0, 0)))
    asked_about: list[int] = field(default_factory=list)

    def known(self, member_id: int) -> Known | None:
        return self.members.get(member_id)

    def is_removed(self, member_id: int) -> bool:
        return member_id == 66

    def is_full(self) -> bool:
        return self.full

    def is_greeting(self, nonce: bytes) -> bool:
        return nonce == ONE

    def ask_about(self, member_id: int) -> None:
        self.asked_about.append(member_id)

    def invite(self, join: Join) -> tuple[Invitation, Known]:
        if join.peer_urls != ("http://10.0.0.2:2380",):
            raise WrongMember("nobody was added")
        return Invitation(cluster_id=9, member_id=2), self.members[2]


def acceptor(house: House, shown: Certificate | None = None, nonce: bytes = TWO) -> Acceptor:
    return Acceptor(house, nonce=nonce, shown=lambda: shown)


def encode(body: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(body)


def greet(
    house: House,
    hello: Hello,
    *,
    secrets: Secrets | None = None,
    shown: Certificate | None = None,
    answer: str = "",
) -> tuple[CallBack, Admitted]:
    """Play the whole greeting; `answer` is what the one who was called back says."""
    near, far = Dialler(hello, secrets or Secrets()), acceptor(house, shown)
    said = near.open()
    challenge = far.feed(said.kind, encode(said.body))
    assert isinstance(challenge, Say)
    proof = near.feed(challenge.kind, encode(challenge.body))
    assert isinstance(proof, Say)
    calling = far.feed(proof.kind, encode(proof.body))
    assert isinstance(calling, CallBack)
    admitted = far.answered(answer)
    assert isinstance(admitted, Admitted)
    welcome = near.feed(WELCOME, encode(admitted.welcome))
    assert isinstance(welcome, Welcome)
    assert welcome.life == LOCAL.life
    return calling, admitted


def hello(**changes: object) -> Hello:
    return msgspec.structs.replace(PEER.hello(1, CONTROL, ONE), **changes)


def test_a_member_is_called_back_where_it_is_known_to_be_and_then_believed() -> None:
    house = House()
    calling, admitted = greet(house, hello(addresses=(FAR,)))
    assert calling == CallBack(2, (HOME,), ONE)
    assert admitted.new_addresses == ()
    assert house.lives.directory_of(2) == PEER.life.directory


@pytest.mark.parametrize(
    ("changes", "answer", "error"),
    [
        ({"cluster_id": 8}, "", WrongCluster),
        ({"protocol_version": 2}, "", WrongVersion),
        ({"storage_version": 2}, "", WrongVersion),
        ({"target_id": 3}, "", WrongMember),
        ({"member_id": 1}, "", WrongMember),
        ({"channel": 7}, "", WrongMember),
        ({"member_id": 66}, "", RemovedMember),
        ({"member_id": 5}, "", WrongMember),
        ({}, "member 2 is greeting nobody", UnprovenMember),
        ({"life": Life(21, 6, 1)}, "", AlreadyBootstrapped),
        ({"life": Life(20, 4, 1)}, "", WrongIncarnation),
        ({"life": Life(20, 5, 1)}, "", WrongIncarnation),
    ],
)
def test_each_refusal_has_a_name(
    changes: dict[str, object], answer: str, error: type[HandshakeRefused]
) -> None:
    house = House()
    house.lives.believe(2, PEER.life)
    with pytest.raises(error):
        greet(house, hello(**changes), answer=answer)


def test_what_is_not_proven_leaves_nothing_behind() -> None:
    """One greeting in another member's name ended that member: its claim was kept."""
    house = House()
    claimed = Life(99, (1 << 63) - 1, 1)
    with pytest.raises(UnprovenMember):
        greet(house, hello(life=claimed), answer="it is not me")
    greet(house, hello())
    assert house.asked_about == [2]
    assert house.lives.directory_of(2) == PEER.life.directory


def test_a_member_that_was_started_again_is_believed_and_a_second_directory_is_not() -> None:
    house = House()
    greet(house, hello())
    greet(house, hello(life=Life(20, 6, 3)))
    with pytest.raises(AlreadyBootstrapped, match=r"^member 2 has already been bootstrapped$"):
        greet(house, hello(life=Life(30, 1 << 62, 4)))
    greet(house, hello(life=Life(20, 6, 3)))


def test_what_a_member_has_published_counts_as_heard() -> None:
    house = House(lives=Lives(lambda _member_id: (20, 7)))
    with pytest.raises(WrongIncarnation):
        greet(house, hello())
    with pytest.raises(AlreadyBootstrapped):
        greet(house, hello(life=Life(21, 8, 1)))
    greet(house, hello(life=Life(20, 7, 1)))


def test_a_greeting_is_not_begun_in_the_middle_or_twice() -> None:
    greeting, proof = (HELLO, hello()), (PROOF, Proof())
    for before, last in (
        ([], proof),
        ([], (WELCOME, Welcome(member_id=1, life=LOCAL.life))),
        ([greeting], greeting),
        ([greeting, proof], proof),
        ([], (HELLO, Proof())),
    ):
        far = acceptor(House())
        for kind, body in before:
            far.feed(kind, encode(body))
        with pytest.raises(MalformedFrame):
            far.feed(last[0], encode(last[1]))


# --- secrets --------------------------------------------------------------------------------------


def test_with_a_secret_both_ends_prove_that_they_know_it() -> None:
    greet(House(OURS), hello(), secrets=OURS)
    with pytest.raises(UnprovenMember, match="none was used"):
        greet(House(OURS), hello())
    with pytest.raises(UnprovenMember, match="another one was used"):
        greet(House(OURS), hello(), secrets=THEIRS)
    with pytest.raises(UnprovenMember, match="the other side does not know"):
        greet(House(), hello(), secrets=OURS)


def test_a_secret_is_changed_without_a_stop() -> None:
    old, new = b"a secret of members", b"the next one of them"
    for ours, theirs in (([old, new], [old]), ([new, old], [old, new]), ([new], [new, old])):
        greet(House(Secrets(ours)), hello(), secrets=Secrets(theirs))
        greet(House(Secrets(theirs)), hello(), secrets=Secrets(ours))


def test_what_was_overheard_is_worth_nothing() -> None:
    """The proof answers a challenge that is never used again, and so does the welcome."""
    house, near = House(OURS), Dialler(hello(), OURS)
    first = acceptor(house)
    challenge = first.feed(HELLO, encode(near.open().body))
    assert isinstance(challenge, Say)
    proof = near.feed(CHALLENGE, encode(challenge.body))
    assert isinstance(proof, Say)
    first.feed(PROOF, encode(proof.body))
    admitted = first.answered("")
    assert isinstance(admitted, Admitted)

    again = acceptor(house, nonce=b"3" * 16)
    again.feed(HELLO, encode(near.open().body))
    with pytest.raises(UnprovenMember):
        again.feed(PROOF, encode(proof.body))

    other = Dialler(hello(nonce=TWO), OURS)
    other.feed(CHALLENGE, encode(Challenge(TWO)))
    with pytest.raises(UnprovenMember):
        other.feed(WELCOME, encode(admitted.welcome))


def test_an_end_does_not_answer_itself() -> None:
    """What a dialler proves is no proof of an acceptor."""
    near = Dialler(hello(), OURS)
    proof = near.feed(CHALLENGE, encode(Challenge(TWO)))
    assert isinstance(proof, Say)
    assert isinstance(proof.body, Proof)
    with pytest.raises(UnprovenMember):
        near.feed(WELCOME, encode(Welcome(member_id=1, life=LOCAL.life, mac=proof.body.mac)))


def test_a_refusal_is_proven_when_the_secret_is_known_and_not_before() -> None:
    for secrets, is_proven in ((OURS, True), (THEIRS, False)):
        house, near = House(secrets), Dialler(hello(member_id=66), OURS)
        far = acceptor(house)
        challenge = far.feed(HELLO, encode(near.open().body))
        assert isinstance(challenge, Say)
        proof = near.feed(CHALLENGE, encode(challenge.body))
        assert isinstance(proof, Say)
        with pytest.raises(HandshakeRefused) as refused:
            far.feed(PROOF, encode(proof.body))
        with pytest.raises(RefusedThere) as said:
            near.feed(REFUSAL, encode(far.refusal(refused.value)))
        assert said.value.is_proven == is_proven
        assert isinstance(said.value.refusal, type(refused.value))


def test_who_proves_to_be_of_the_cluster_may_be_new_to_us() -> None:
    """The leader that a lagging member needs may have joined after all it has applied."""
    new = hello(member_id=5, addresses=(FAR,))
    for house, secrets, shown in (
        (House(OURS), OURS, None),
        (House(), None, Certificate((), is_allowed=True)),
    ):
        calling, admitted = greet(house, new, secrets=secrets, shown=shown)
        assert calling.addresses == admitted.new_addresses == (FAR,)
        assert house.asked_about == []
    with pytest.raises(WrongMember, match="too many"):
        greet(House(OURS, full=True), new, secrets=OURS)


def test_who_proves_to_be_of_the_cluster_may_have_moved_while_we_were_away() -> None:
    """With all others: nobody whom we know is left that could say where they are."""
    moved = hello(addresses=(FAR,))
    for house, secrets, shown in (
        (House(OURS), OURS, None),
        (House(OURS), OURS, Certificate(("10.0.0.9",))),
        (House(), None, Certificate((), is_allowed=True)),
    ):
        calling, admitted = greet(house, moved, secrets=secrets, shown=shown)
        assert calling.addresses == (HOME, FAR)
        assert admitted.new_addresses == (FAR,)
    with pytest.raises(UnprovenMember, match=r"10\.0\.0\.9"):
        greet(House(), moved, shown=Certificate(("10.0.0.9",)))


def test_who_is_new_to_us_and_proves_nothing_is_asked_about() -> None:
    house = House()
    with pytest.raises(WrongMember, match="not known here, or not yet"):
        greet(house, hello(member_id=5, addresses=(FAR,)))
    assert house.asked_about == [5]
    house.members[5] = Known((FAR,))  # somebody whom we know has vouched for it
    calling, _ = greet(house, hello(member_id=5))
    assert calling.addresses == (FAR,)


# --- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("10.0.0.2",), ("m2",), ("2",)])
def test_a_certificate_is_for_the_host_the_name_or_the_id(names: tuple[str, ...]) -> None:
    greet(House(), hello(), shown=Certificate(names))


def test_another_ones_certificate_is_of_no_use() -> None:
    """A client's certificate of the same authority greeted as a member, and wrote as root."""
    alice = Certificate(("alice",))
    with pytest.raises(UnprovenMember, match="alice"):
        greet(House(), hello(), shown=alice)
    far = acceptor(House(), alice)
    far.feed(JOIN, encode(joining()))
    with pytest.raises(UnprovenMember, match="alice"):
        far.feed(PROOF, encode(Proof()))


# --- newcomers, and being asked -------------------------------------------------------------------


def joining(*urls: str) -> Join:
    return Join(
        peer_urls=urls or ("http://10.0.0.2:2380",), protocol_version=1, storage_version=1,
        nonce=ONE,
    )  # fmt: skip


def test_a_newcomer_is_called_back_where_it_was_added_and_invited() -> None:
    near, far = Dialler(joining(), OURS), acceptor(House(OURS))
    challenge = far.feed(JOIN, encode(near.open().body))
    assert isinstance(challenge, Say)
    proof = near.feed(CHALLENGE, encode(challenge.body))
    assert isinstance(proof, Say)
    assert far.feed(PROOF, encode(proof.body)) == CallBack(0, (HOME,), ONE)
    joins = far.answered("")
    assert isinstance(joins, Joins)
    invited = near.feed(248, encode(joins.invitation))
    assert isinstance(invited, Invitation)
    assert invited.member_id == 2


def test_who_was_not_added_is_called_back_nowhere() -> None:
    far = acceptor(House())
    far.feed(JOIN, encode(joining("http://10.9.9.9:1")))
    with pytest.raises(WrongMember):
        far.feed(PROOF, encode(Proof()))
    far = acceptor(House())
    far.feed(JOIN, encode(joining()))
    far.feed(PROOF, encode(Proof()))
    with pytest.raises(UnprovenMember):
        far.answered("nobody is there")


def test_only_a_greeting_of_ours_is_confirmed() -> None:
    def ask(target: int, nonce: bytes) -> object:
        return acceptor(House()).feed(CONFIRM, encode(Confirm(target_id=target, nonce=nonce)))

    told = ask(1, ONE)
    assert isinstance(told, Told)
    assert told.body == Confirmed()
    with pytest.raises(UnprovenMember):
        ask(1, TWO)
    with pytest.raises(WrongMember):
        ask(2, ONE)
