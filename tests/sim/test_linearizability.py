"""The checker itself: hand-made histories, and random ones against a dumb search."""

from itertools import permutations
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.sim.linearizability import Operation, RegisterModel, Verdict, check_register


def write(value: int, called: float, returned: float = inf) -> Operation:
    return Operation("k", "write", value, None, called, returned)


def read(value: int | None, called: float, returned: float) -> Operation:
    return Operation("k", "read", None, value, called, returned)


def test_a_read_after_a_write_returns_it() -> None:
    assert check_register([write(1, 0, 1), read(1, 2, 3)]) is Verdict.LINEARIZABLE


def test_a_stale_read_is_found() -> None:
    history = [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]
    assert check_register(history) is Verdict.NOT_LINEARIZABLE


def test_reads_may_not_go_back() -> None:
    history = [write(1, 0, 1), write(2, 2, 10), read(2, 3, 4), read(1, 5, 6)]
    assert check_register(history) is Verdict.NOT_LINEARIZABLE


def test_a_concurrent_write_may_be_seen_or_not() -> None:
    for seen in (1, 2):
        history = [write(1, 0, 1), write(2, 2, 5), read(seen, 3, 4)]
        assert check_register(history) is Verdict.LINEARIZABLE


def test_a_write_of_unknown_outcome_may_take_effect_late_or_never() -> None:
    base = [write(1, 0, 1), write(2, 2)]
    assert check_register([*base, read(1, 3, 4), read(2, 5, 6)]) is Verdict.LINEARIZABLE
    assert check_register([*base, read(1, 3, 4), read(1, 5, 6)]) is Verdict.LINEARIZABLE
    assert check_register([*base, read(2, 3, 4), read(1, 5, 6)]) is Verdict.NOT_LINEARIZABLE


def test_a_value_nobody_wrote_is_found() -> None:
    assert check_register([read(7, 0, 1)]) is Verdict.NOT_LINEARIZABLE


def test_keys_are_judged_apart() -> None:
    other = Operation("other", "write", 9, None, 0, 1)
    assert check_register([other, read(None, 2, 3)]) is Verdict.LINEARIZABLE


def test_what_cannot_be_finished_is_not_passed() -> None:
    history = [write(value, 0, 100) for value in range(12)] + [read(99, 0, 100)]
    assert check_register(history, steps_max=50) is Verdict.UNKNOWN


def dumb(history: list[Operation]) -> bool:
    """Try every order of every subset that leaves out only unknown outcomes."""
    model = RegisterModel()
    for order in permutations(history):
        for count in range(len(order) + 1):
            kept, left = order[:count], order[count:]
            if any(it.returned != inf for it in left):
                continue
            if any(
                later.returned < earlier.called
                for place, earlier in enumerate(kept)
                for later in kept[place + 1 :]
            ):
                continue
            state, fits = model.initial(), True
            for it in kept:
                ok, state = model.step(state, it)
                fits = fits and ok
            if fits:
                return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    found: list[Operation] = []
    for _ in range(draw(st.integers(0, 5))):
        called = draw(st.integers(0, 8))
        returned = called + draw(st.integers(0, 6))
        if draw(st.booleans()):
            is_known = draw(st.integers(0, 3)) > 0
            found.append(write(draw(st.integers(1, 3)), called, returned if is_known else inf))
        else:
            found.append(read(draw(st.sampled_from([None, 1, 2, 3])), called, returned))
    return found


@settings(max_examples=300, deadline=None)
@given(histories())
def test_it_agrees_with_a_search_through_all_orders(history: list[Operation]) -> None:
    assert (check_register(history) is Verdict.LINEARIZABLE) == dumb(history)
