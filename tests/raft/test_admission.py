"""No message ends a node, and none uses up the terms (DESIGN.md D15)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import COUNT_MAX, CorruptState, HardState
from roost.raft.admission import RESTORED_TERM, TERM_LEAP_MAX, reach, restored
from tests.raft.liar import LyingStorm

TERMS = st.integers(0, COUNT_MAX)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_node_says_the_others_go_on(seed: int) -> None:
    """Handled, or refused and then nothing has changed; `LyingStorm` sees to both."""
    storm = LyingStorm(seed)
    storm.run_lying(400)
    assert storm.handled


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 140, 10))
def test_whatever_a_node_says_for_long_the_others_go_on(first: int) -> None:
    for seed in range(first, first + 10):
        LyingStorm(seed).run_lying(4000)


@given(TERMS, TERMS)
def test_a_message_moves_a_term_a_little_or_to_where_restored_ones_begin(own: int, on: int) -> None:
    term = min(COUNT_MAX, own + on)
    reached = reach(own, term)
    assert own <= reached <= term
    if term - own <= TERM_LEAP_MAX:
        assert reached == term
    assert reached - own <= TERM_LEAP_MAX or reached - RESTORED_TERM <= TERM_LEAP_MAX


def test_a_node_that_is_far_behind_gets_there() -> None:
    for far in (10 * TERM_LEAP_MAX + 5, RESTORED_TERM, RESTORED_TERM + 10 * TERM_LEAP_MAX):
        term = 7
        for _ in range(12):
            term = reach(term, far)
        assert term == far


def test_a_term_beyond_all_is_given_up_for_one_that_nobody_voted_in() -> None:
    ruined = HardState(2**64 - 1, 777, 5, 2)
    assert restored(ruined, last_term=9) == HardState(RESTORED_TERM, 0, 5, 2)
    assert restored(HardState(COUNT_MAX, 3), last_term=9) == HardState(COUNT_MAX, 3)


def test_a_restored_term_is_above_that_of_every_entry() -> None:
    """An older attack may have brought the log itself up there."""
    last_term = RESTORED_TERM + 3
    assert restored(HardState(2**64 - 1), last_term).term == last_term + TERM_LEAP_MAX
    with pytest.raises(CorruptState, match="no election can follow"):
        restored(HardState(2**64 - 1), 2**64 - 2)
