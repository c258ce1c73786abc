"""How often something took at most so long, held against a list of all that it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.histogram import DISK_BOUNDS_S, Histogram, doubling

BOUNDS = (0.5, 1.0, 2.0)


@given(st.lists(st.floats(0, 4) | st.sampled_from(BOUNDS)))
def test_each_bucket_counts_what_took_at_most_its_bound(times_s: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for time_s in times_s:
        histogram.note(time_s)
    expected = [(str(bound), sum(it <= bound for it in times_s)) for bound in BOUNDS]
    assert list(histogram.buckets()) == [*expected, ("+Inf", len(times_s))]
    assert histogram.sum_s == pytest.approx(sum(times_s))


def test_bounds_are_those_that_dashboards_for_etcd_know() -> None:
    """etcd: wal/metrics.go, ExponentialBuckets(0.001, 2, 14)."""
    assert doubling(0.001, 3) == (0.001, 0.002, 0.004)
    assert (DISK_BOUNDS_S[0], DISK_BOUNDS_S[-1], len(DISK_BOUNDS_S)) == (0.001, 8.192, 14)


def test_histograms_count_apart() -> None:
    one, other = Histogram(), Histogram()
    one.note(1)
    assert [count for _, count in other.buckets()] == [0] * (len(DISK_BOUNDS_S) + 1)
