"""Counts of how long something took, in steps that double (etcd: its histograms of disk times)."""

from bisect import bisect_left
from collections.abc import Iterator

# Seconds: 1 ms to 8.192 s, as etcd's buckets are.
BOUNDS_S = tuple(0.001 * 2**step for step in range(14))


class Histogram:
    """How often it took at most so long."""

    __slots__ = ("_counts", "sum_s")

    def __init__(self) -> None:
        """Nothing is counted."""
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """(upper bound, how many took at most that), the last bound being +Inf."""
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self._counts, strict=True):
            total += count
            yield bound, float(total)
