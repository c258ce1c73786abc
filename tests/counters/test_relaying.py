"""Links that relay many owners: a turn costs by what has happened, and nobody is forgotten."""

import random

import pytest

from roost.counters import changing, receiving, sending
from roost.counters.environment import MemoryTrees
from roost.counters.exchange import Exchange
from roost.counters.messages import Changes, Heard, Hello, Message, Page, decode
from roost.counters.outgoing import FAR_ANSWER_S, Outgoing
from roost.counters.relaying import LOOKED_AT_A_TURN, TOLD_A_TURN
from roost.counters.rows import EPOCH_BYTES
from roost.counters.store import Store

OWNERS = 1000
PARTNER = -1


def relaying(dice: random.Random) -> Exchange:
    """One that relays many owners to one partner, which has answered all questions."""
    store = Store.open(MemoryTrees(), dice.randbytes)
    exchange = Exchange(store, dice.random)
    store.passing.begin({})
    for _ in range(OWNERS):
        owner = store.owners.number_of(dice.randbytes(EPOCH_BYTES))
        exchange.relay(PARTNER, owner, 0.0)
    store.perform()
    return exchange


def asked(exchange: Exchange, now_s: float) -> list[bytes]:
    """Of whom the partner is asked what it has heard, until nothing is to be said now."""
    found = list[bytes]()
    exchange.has_more = True
    while exchange.has_more:
        letters = exchange.take_messages(now_s)
        assert len(letters) <= TOLD_A_TURN
        said = [decode(it.data) for it in letters]
        assert all(isinstance(it, Hello) for it in said)
        found += [it.epoch for it in said]
    return found


def test_all_are_asked_in_turns_of_a_bounded_size_and_again_when_nobody_answers() -> None:
    exchange = relaying(random.Random(1))
    every = {epoch for _, epoch in exchange.relays}
    assert len(every) == OWNERS
    assert set(asked(exchange, 0.0)) == every
    assert asked(exchange, FAR_ANSWER_S / 2) == []
    again, turns = set[bytes](), OWNERS // LOOKED_AT_A_TURN + 2
    for number in range(2 * turns):  # what is not answered is noted, and asked a while later
        again |= set(asked(exchange, FAR_ANSWER_S + 1 + number))
    assert again == every


def test_who_has_news_is_told_of_at_once_and_few_others_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = random.Random(2)
    exchange = relaying(dice)
    other = Store.open(MemoryTrees(), dice.randbytes)
    exchange.relay(PARTNER, exchange.store.owners.number_of(other.epoch), 0.0)
    asked(exchange, 0.0)
    nonce = exchange.store.opening.nonce
    for partner, epoch in exchange.relays:
        exchange.take(partner, Heard(epoch, 0, nonce), 0.1)
    assert asked(exchange, 0.1) == []
    looked_at = list[Outgoing]()
    next_message = Outgoing.next_message

    def counted(link: Outgoing, now_s: float) -> Message | None:
        looked_at.append(link)
        return next_message(link, now_s)

    monkeypatch.setattr(Outgoing, "next_message", counted)
    changing.increment(other, [("a", 1)])
    other.perform()
    changes = sending.changes_after(other, 0)
    assert changes is not None
    receiving.receive_changes(exchange.store, changes)
    exchange.store.perform()
    [letter] = exchange.take_messages(0.2)
    said = decode(letter.data)
    assert isinstance(said, Changes | Page)
    assert said.epoch == other.epoch
    assert len(looked_at) <= 1 + LOOKED_AT_A_TURN
    # And of whom a partner is not told any more, nothing is.
    exchange.unlink(PARTNER)
    changing.increment(other, [("a", 1)])
    exchange.relays.wake(PARTNER, other.epoch)
    assert (list(exchange.relays), exchange.take_messages(0.3)) == ([], [])
