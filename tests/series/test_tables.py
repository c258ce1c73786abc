"""Tables are overlaid by time, and ranges cut, as sets of times would be."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roost.series.tables import Ranges, empty, joined, overlaid, points, united

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


def times_of(ranges: Ranges) -> set[int]:
    return {
        time
        for start, stop in zip(ranges.starts.tolist(), ranges.stops.tolist(), strict=True)
        for time in range(start, stop)
    }


@given(PAIRS, PAIRS, st.integers(-2, 42), st.integers(-2, 42))
def test_ranges_are_sets_of_times(
    given_pairs: list[tuple[int, int]], others: list[tuple[int, int]], start: int, stop: int
) -> None:
    held = united([it for it, _ in given_pairs], [it for _, it in given_pairs])
    wanted = {time for begin, end in given_pairs for time in range(begin, end)}
    assert times_of(held) == wanted
    assert times_of(held.clipped(start, stop)) == {it for it in wanted if start <= it < stop}
    every = np.arange(-1, 42)
    assert set(every[held.holds(every)].tolist()) == wanted
    spans = [it for it in others if it[0] < it[1]]
    touched = held.touches(
        np.array([it for it, _ in spans], np.int64), np.array([it for _, it in spans], np.int64)
    )
    assert touched.tolist() == [not wanted.isdisjoint(range(*it)) for it in spans]


@given(PAIRS, st.sets(st.integers(0, 40)))
def test_what_is_cut_out_of_ranges_is_gone(
    given_pairs: list[tuple[int, int]], cut: set[int]
) -> None:
    held = united([it for it, _ in given_pairs], [it for _, it in given_pairs])
    inner = np.array(sorted(cut & times_of(held)), np.int64)
    left = held.without(Ranges(inner, inner + 1))
    assert times_of(left) == times_of(held) - cut
    assert (left.starts < left.stops).all()


def rank(value: float) -> tuple[bool, float, float]:
    """In this order: none, then by size, -0.0 before 0.0."""
    is_number = not math.isnan(value)
    return is_number, value if is_number else 0.0, math.copysign(1, value)


ROWS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from([-0.0, 0.0, 1.0, 2.0, math.nan])))


@given(st.dictionaries(st.integers(0, 20), st.sampled_from([1.0, 3.0, math.nan])), ROWS)
def test_of_two_points_of_one_time_the_later_counts_or_the_higher(
    old: dict[int, float], new: list[tuple[int, float]]
) -> None:
    below = points(np.array(sorted(old), np.int64), np.array([old[it] for it in sorted(old)]))
    above = points(np.array([it for it, _ in new], np.int64), np.array([it for _, it in new]))
    last = {**old, **dict(new)}
    found = overlaid(below, above)
    assert found.times.tolist() == sorted(last)
    assert str(found.values.tolist()) == str([float(last[it]) for it in sorted(last)])
    highest: dict[int, list[float]] = {time: [value] for time, value in old.items()}
    for time, value in new:
        highest.setdefault(time, []).append(value)
    found = overlaid(below, above, keeps_highest=True)
    wanted = [max(map(rank, held)) for _, held in sorted(highest.items())]
    assert found.times.tolist() == sorted(highest)
    values = found.values.tolist()
    assert [not math.isnan(it) for it in values] == [number for number, _, _ in wanted]
    for value, (number, most, sign) in zip(values, wanted, strict=True):
        assert not number or (value == most and math.copysign(1, value) == sign)


def test_nothing_joined_is_nothing() -> None:
    assert len(joined([], 7)) == 0
    assert joined([], 7).columns.shape == (7, 0)
    one = points(np.array([1]), np.array([2.0]))
    assert joined([one], 1) is one
    assert overlaid(one, empty(1)) is one
