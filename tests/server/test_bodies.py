"""Requests that are not whole: large ones wait for a place, and whatever has one can end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.server.bodies import BODY_S, FULL, LATE, Bodies

ALL = 1600  # half of it for places, half for beginnings


class Sender:
    """A connection."""

    def __init__(self, address: str = "a") -> None:
        self.address = address


class Message:
    """One that comes."""

    def __init__(self, sender: Sender, needed: int) -> None:
        self.sender = sender
        self.needed_bytes = needed
        self.held_bytes = 0
        self.is_waiting = self.has_place = False
        self.moved_s = 0.0
        self.statuses: list[tuple[int, str]] = []
        self.bodies: Bodies | None = None

    def on_place(self) -> None:
        assert self.has_place

    def refuse(self, code: int, text: str) -> None:
        self.statuses.append((code, text))
        assert self.bodies is not None
        self.bodies.release(self)


def begin(bodies: Bodies, sender: Sender, needed: int, now_s: float = 0.0) -> Message:
    message = Message(sender, needed)
    message.bodies = bodies
    assert bodies.grow(message, 10, now_s)
    bodies.ask(message)
    return message


def test_places_are_given_in_turn_and_a_connection_has_no_more_than_it_leaves() -> None:
    bodies, one, other = Bodies(ALL), Sender(), Sender("b")
    first = [begin(bodies, one, 100) for _ in range(6)]
    assert [it.has_place for it in first] == [True] * 4 + [False] * 2
    second = [begin(bodies, other, 100) for _ in range(4)]
    assert [it.has_place for it in second] == [True, True, False, False]
    for it in first[:3]:
        bodies.release(it)
    placed = [it.has_place for it in (*first[4:], *second[2:])]
    assert placed == [True, True, True, False], "three for each, and as much is left"
    for it in (*first, *second):
        bodies.release(it)
    assert bodies.bytes == bodies.waiting_count == 0


def test_an_address_leaves_something_however_many_connections_it_makes() -> None:
    bodies = Bodies(ALL)
    many = [begin(bodies, Sender(), 100) for _ in range(9)]
    assert sum(it.has_place for it in many) == 6
    assert begin(bodies, Sender("b"), 100).has_place


def test_beginnings_beyond_the_bound_are_refused_and_those_before_are_not() -> None:
    bodies, sender = Bodies(ALL), Sender()
    kept = [Message(sender, 0) for _ in range(40)]
    assert all(bodies.grow(it, 10, 0.0) for it in kept)
    one_more = Message(sender, 0)
    assert not bodies.grow(one_more, 1, 0.0)
    assert bodies.refused_count == 1
    bodies.release(kept[0])
    assert bodies.grow(one_more, 1, 0.0)


def test_who_sends_nothing_gives_its_place_up_when_others_wait() -> None:
    bodies, sender = Bodies(ALL), Sender()
    silent, slow, waiting = (begin(bodies, sender, 200) for _ in range(3))
    assert waiting.is_waiting
    bodies.grow(slow, 20, BODY_S / 2)
    bodies.tick(BODY_S - 1)
    assert silent.statuses == []
    bodies.tick(BODY_S)
    assert silent.statuses == [LATE]
    assert waiting.has_place
    assert slow.statuses == []
    bodies.tick(10 * BODY_S)
    assert slow.statuses == [], "nobody waits now"


def test_who_is_answered_late_keeps_its_place_and_is_not_given_up() -> None:
    bodies, sender = Bodies(ALL), Sender()
    whole, other, waiting = (begin(bodies, sender, 200) for _ in range(3))
    bodies.on_whole(whole)
    bodies.on_whole(other)
    bodies.tick(10 * BODY_S)
    assert whole.statuses == []
    bodies.release(whole)
    assert waiting.has_place


@settings(max_examples=50)
@given(st.data())
def test_everybody_comes_to_an_end_and_no_bound_is_passed(data: st.DataObject) -> None:
    bodies = Bodies(ALL)
    senders = [Sender(it) for it in "aab"]
    alive: list[Message] = []
    coin = st.integers(0, 1)
    for _ in range(data.draw(st.integers(0, 20))):
        one_ends = data.draw(coin)
        if alive and one_ends:
            gone = alive.pop(data.draw(st.integers(0, len(alive) - 1)))
            bodies.release(gone)
            continue
        message = Message(data.draw(st.sampled_from(senders)), data.draw(st.integers(20, 200)))
        message.bodies = bodies
        if not bodies.grow(message, data.draw(st.integers(1, 19)), 0.0):
            continue
        bodies.ask(message)
        alive.append(message)
        places = [it for it in alive if it.has_place]
        assert sum(it.needed_bytes for it in places) <= ALL // 2
    while alive:
        placed = next(it for it in alive if it.has_place)
        alive.remove(placed)
        bodies.release(placed)
    assert bodies.bytes == 0


def test_the_words_are_grpcs_and_tell_the_two_apart() -> None:
    assert FULL.code == LATE.code == 8
    assert FULL.text != LATE.text
