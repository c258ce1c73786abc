"""Records carry points as they came, small; hostile ones are refused."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.series.effects import Deletion, Thinning, effects
from roost.series.errors import BadPoints, SeriesDamaged
from roost.series.generations import sort, steps_of
from roost.series.levels import DAY_NS, SID_MAX
from roost.series.records import (
    DELETIONS_MAX,
    POINTS_MAX,
    Batch,
    Record,
    batch,
    decode,
    encode_batch,
    encode_deletions,
    encode_thinnings,
)
from roost.series.tables import TIME_MIN, TIME_STOP

SECOND = 10**9


def wide(series_count: int, each: int) -> Batch:
    """As an agent sends them: all series at one moment, then at the next."""
    sids = np.tile(np.arange(1, series_count + 1), each)
    times = np.repeat(np.arange(each) * SECOND, series_count) + 1_700_000_000 * SECOND
    dice = np.random.default_rng(3)
    return batch(sids, times, np.round(20 + dice.normal(0, 0.3, len(sids)), 2))


def test_points_of_a_series_keep_the_order_in_which_they_came() -> None:
    given_batch = batch(
        np.array([5, 3, 5, 3, 5]), np.array([10, 9, 8, 9, 10]), np.array([1.0, 2, 3, 4, 5])
    )
    held = decode(encode_batch(given_batch))
    assert isinstance(held, Batch)
    assert held.sids.tolist() == [3, 5]
    five = held.of(5)
    assert five is not None
    assert (five.times.tolist(), five.values.tolist()) == ([10, 8, 10], [1, 3, 5])
    assert held.of(4) is None
    assert held.of(6) is None


def test_a_record_takes_few_bytes_of_a_point() -> None:
    assert len(encode_batch(wide(10, 500))) < 1.2 * 5000
    assert len(encode_batch(wide(5000, 1))) < 1.3 * 5000


@pytest.mark.parametrize(
    ("sids", "times", "values"),
    [
        ([], [], []),
        ([1], [1, 2], [1.0]),
        ([0], [1], [1.0]),
        ([SID_MAX + 1], [1], [1.0]),
        ([1], [TIME_MIN - 1], [1.0]),
        ([1], [TIME_STOP], [1.0]),
        ([1] * (POINTS_MAX + 1), [1] * (POINTS_MAX + 1), [1.0] * (POINTS_MAX + 1)),
    ],
)
def test_what_are_no_points_is_refused(
    sids: list[int], times: list[int], values: list[float]
) -> None:
    with pytest.raises(BadPoints):
        batch(np.array(sids, np.int64), np.array(times, np.int64), np.array(values, np.float64))


def test_deletions_travel_too() -> None:
    rows = [Deletion(7, TIME_MIN, TIME_STOP), Deletion(1, -5, 5)]
    assert decode(encode_deletions(rows)) == rows
    for wrong in (
        [],
        [Deletion(1, 0, 1)] * (DELETIONS_MAX + 1),
        [Deletion(0, 0, 1)],
        [Deletion(1, 1, 1)],
        [Deletion(1, TIME_MIN - 1, 0)],
    ):
        with pytest.raises(SeriesDamaged):
            decode(encode_deletions(wrong))


def test_thinnings_travel_too() -> None:
    rows = [Thinning(7, 20_000 * DAY_NS), Thinning(1, -DAY_NS)]
    assert decode(encode_thinnings(rows)) == rows
    for wrong in (
        [],
        [Thinning(1, 0)] * (DELETIONS_MAX + 1),
        [Thinning(0, 0)],
        [Thinning(1, 1)],
        [Thinning(1, TIME_STOP // DAY_NS * DAY_NS + DAY_NS)],
    ):
        with pytest.raises(SeriesDamaged):
            decode(encode_thinnings(wrong))


@settings(max_examples=100)
@given(st.integers(0, 1 << 32), st.binary(max_size=150))
def test_hostile_records_are_refused_or_are_records(seed: int, other: bytes) -> None:
    dice = random.Random(seed)
    whole = dice.choice(
        [
            encode_batch(wide(4, 20)),
            encode_deletions([Deletion(7, 0, 9)] * 3),
            encode_thinnings([Thinning(7, DAY_NS)] * 3),
        ]
    )
    body = bytearray(whole)
    for _ in range(dice.randint(1, 4)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    for hostile in (bytes(body), whole[: dice.randrange(len(whole))], other):
        try:
            held = decode(hostile)
        except SeriesDamaged:
            continue
        assert 1 <= len(held) <= POINTS_MAX
        if isinstance(held, Batch):
            assert held.starts[-1] == len(held.times) == len(held.values)
            assert held.times.min() >= TIME_MIN
            assert 1 <= held.sids[0] <= held.sids[-1] <= SID_MAX


def test_a_generation_that_is_sorted_says_the_same_as_its_records() -> None:
    dice = random.Random(4)
    held: list[Record] = []
    for _ in range(30):
        if dice.random() < 0.3:
            start = dice.randrange(50)
            held.append([Deletion(dice.randint(1, 4), start, start + dice.randint(1, 20))] * 2)
            continue
        if dice.random() < 0.1:
            held.append([Thinning(dice.randint(1, 4), dice.randrange(20))])
            continue
        count = dice.randint(1, 20)
        held.append(batch(
            np.array([dice.randint(1, 4) for _ in range(count)]),
            np.array([dice.randrange(60) for _ in range(count)]),
            np.array([dice.random() for _ in range(count)]),
        ))  # fmt: skip
    found = sort(held)
    assert found.all_sids(2) == [2, 3, 4]
    for sid in range(1, 6):
        one = effects(steps_of(held, sid), keeps_highest=False, horizon=5)
        other = found.effects(sid, keeps_highest=False, horizon=5)
        assert one.points.times.tolist() == other.points.times.tolist()
        assert one.points.values.tolist() == other.points.values.tolist()
        assert one.deleted.starts.tolist() == other.deleted.starts.tolist()
        assert one.deleted.stops.tolist() == other.deleted.stops.tolist()
        assert one.horizon == other.horizon >= 5
        assert one.is_nothing == (sid == 5)
