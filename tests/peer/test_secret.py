"""A secret of members: both ends prove that they know it, and nobody learns it."""

import pytest

from roost.peer import Secrets
from roost.peer.errors import (
    HandshakeRefused,
    RefusedThere,
    UnprovenMember,
    WrongMember,
)
from roost.peer.frame import (
    CHALLENGE,
    HELLO,
    PROOF,
    REFUSAL,
    WELCOME,
    Challenge,
    Proof,
    Welcome,
)
from roost.peer.greeting import Admitted, Dialler, Say
from roost.peer.local import Known
from tests.peer.greetings import (
    FAR,
    HOME,
    LOCAL,
    OURS,
    THEIRS,
    TWO,
    Certificate,
    House,
    acceptor,
    encode,
    greet,
    hello,
)


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
