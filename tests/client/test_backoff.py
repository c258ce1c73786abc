"""Pauses between tries, longer each time; and for how long a stream is tried again."""

import pytest

from roost.client.backoff import PAUSE_S_MAX, PAUSE_S_MIN, Backoff, Patience
from roost.client.errors import ClientError, RequestRefused, Unreachable

LOST = Unreachable("UNAVAILABLE", "nobody answers")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_pauses_grow_to_a_bound_and_begin_anew_when_it_went_well() -> None:
    backoff = Backoff()
    for step in range(40):
        longest = min(PAUSE_S_MAX, PAUSE_S_MIN * 2**step)
        assert longest / 2 <= backoff.next_s() <= longest
    backoff.reset()
    assert backoff.next_s() <= PAUSE_S_MIN


def test_many_clients_do_not_come_back_in_step() -> None:
    assert len({Backoff().next_s() for _ in range(50)}) > 40


def test_before_it_has_begun_each_endpoint_is_tried_once() -> None:
    patience = Patience(3, 60, Clock(), insists=False)
    assert [patience.failed(LOST), patience.failed(LOST)] == [0, 0]
    with pytest.raises(Unreachable, match="nobody answers"):
        patience.failed(LOST)


@pytest.mark.parametrize("how", ["insists", "heard"])
def test_once_begun_it_goes_on_until_nobody_has_answered_for_long(how: str) -> None:
    clock = Clock()
    patience = Patience(2, 60, clock, insists=how == "insists")
    if how == "heard":
        patience.heard()
    for _ in range(20):
        clock.now_s += 1
        patience.failed(LOST)
    clock.now_s += 39
    patience.failed(LOST)
    clock.now_s += 3
    with pytest.raises(Unreachable, match="no endpoint has answered for 60 s: nobody answers"):
        patience.failed(LOST)


def test_a_word_from_anybody_begins_the_wait_anew() -> None:
    clock = Clock()
    patience = Patience(2, 60, clock, insists=True)
    for _ in range(5):
        patience.failed(LOST)
        clock.now_s += 59
        patience.heard()
    patience.failed(LOST)


def test_the_next_endpoint_is_tried_at_once_and_the_first_again_after_a_pause() -> None:
    patience = Patience(3, 60, Clock(), insists=True)
    pauses = [patience.failed(LOST) for _ in range(6)]
    assert [it > 0 for it in pauses] == [False, False, True] * 2


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_refusal_is_told_at_once(*, has_begun: bool) -> None:
    refusal: ClientError = RequestRefused("PERMISSION_DENIED", "no")
    with pytest.raises(RequestRefused):
        Patience(3, 60, Clock(), insists=has_begun).failed(refusal)
