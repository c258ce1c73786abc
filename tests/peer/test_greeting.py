"""Both ends of a greeting as machines: each refusal by name, proofs, and what a replay is worth."""

import pytest

from roost.peer.errors import (
    AlreadyBootstrapped,
    HandshakeRefused,
    MalformedFrame,
    RemovedMember,
    UnprovenMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import (
    HELLO,
    JOIN,
    PROOF,
    WELCOME,
    Life,
    Proof,
    Welcome,
)
from roost.peer.greeting import CallBack
from roost.peer.lives import Lives
from tests.peer.greetings import (
    FAR,
    HOME,
    LOCAL,
    ONE,
    PEER,
    Certificate,
    House,
    acceptor,
    encode,
    greet,
    hello,
    joining,
)


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
