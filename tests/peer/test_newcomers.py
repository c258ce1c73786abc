"""Newcomers are called back where they were added; only our own greetings are confirmed."""

import pytest

from roost.peer.errors import (
    UnprovenMember,
    WrongMember,
)
from roost.peer.frame import (
    CHALLENGE,
    CONFIRM,
    JOIN,
    PROOF,
    Confirm,
    Confirmed,
    Invitation,
    Proof,
)
from roost.peer.greeting import CallBack, Dialler, Joins, Say, Told
from tests.peer.greetings import HOME, ONE, OURS, TWO, House, acceptor, encode, joining


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
