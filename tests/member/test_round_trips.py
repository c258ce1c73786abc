"""How long peers take to answer: one heartbeat is timed at a time, and a lost one given up."""

import pytest

from roost.member.round_trips import LOST_S, RoundTrips, Spread


class Bench:
    """Round trips by a clock of the test's."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.trips = RoundTrips(lambda: self.now_s)

    def count(self, peer: int) -> int:
        held = self.trips.times.get(peer)
        return 0 if held is None else list(held.buckets())[-1][1]


def test_an_answer_counts_from_the_heartbeat_that_is_timed() -> None:
    bench = Bench()
    bench.trips.note_sent(2)
    bench.now_s += 0.25
    bench.trips.note_sent(2)  # sent while the first is on its way
    bench.now_s += 0.25
    bench.trips.note_answer(2)
    assert bench.trips.times[2].sum_s == 0.5


def test_an_answer_to_nothing_that_is_timed_does_not_count() -> None:
    bench = Bench()
    bench.trips.note_answer(2)
    bench.trips.note_sent(2)
    bench.trips.note_answer(2)
    bench.trips.note_answer(2)
    assert bench.count(2) == 1
    assert bench.count(3) == 0


def test_a_heartbeat_whose_answer_is_lost_is_given_up() -> None:
    bench = Bench()
    bench.trips.note_sent(2)
    bench.now_s += LOST_S
    bench.trips.note_sent(2)
    bench.now_s += 0.25
    bench.trips.note_answer(2)
    assert bench.trips.times[2].sum_s == 0.25
    assert (bench.trips.spreads[2].lost_count, bench.trips.spreads[2].count) == (1, 1)


def test_how_answers_lie_is_known() -> None:
    bench = Bench()
    for took_s in (0.2, 0.4, 0.6):
        bench.trips.note_sent(2)
        bench.now_s += took_s
        bench.trips.note_answer(2)
    spread = bench.trips.spreads[2]
    assert spread.count == 3
    assert spread.last_s == pytest.approx(0.6)
    assert [spread.least_s, spread.most_s] == pytest.approx([0.2, 0.6])
    assert spread.mean_s == pytest.approx(0.4)
    assert spread.deviation_s == pytest.approx((0.08 / 3) ** 0.5)


def test_of_no_answers_all_is_nought() -> None:
    assert (Spread().mean_s, Spread().deviation_s) == (0.0, 0.0)
