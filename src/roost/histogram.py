"""Counts of how long something took, in steps (etcd: its histograms of disk times)."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


def doubling(first_s: float, count: int) -> tuple[float, ...]:
    """Bounds of which each is twice the one before."""
    return tuple(first_s * 2**step for step in range(count))


# As etcd's and Go's libraries have them.
DISK_BOUNDS_S = doubling(0.001, 14)
PEER_BOUNDS_S = doubling(0.0001, 16)
CALL_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """How often it took at most so long."""

    __slots__ = ("_bounds_s", "_counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float] = DISK_BOUNDS_S) -> None:
        """Nothing is counted."""
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How often it was counted."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[str, int]]:
        """(upper bound, how many took at most that), the last bound being +Inf."""
        total = 0
        for bound, count in zip((*map(str, self._bounds_s), "+Inf"), self._counts, strict=True):
            total += count
            yield bound, total
