"""How long peers take to answer: from a heartbeat to its answer, as whoever leads sees it.

One heartbeat a peer is timed at a time; one whose answer is lost is given up after LOST_S.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from roost.histogram import PEER_BOUNDS_S, Histogram

LOST_S = 1.0


@dataclass(slots=True)
class Spread:
    """How the times of one peer's answers lie, in seconds (etcd: v2stats/leader.go)."""

    count: int = 0
    last_s: float = 0.0
    sum_s: float = 0.0
    least_s: float = 0.0
    most_s: float = 0.0
    # Heartbeats that were given up.
    lost_count: int = 0
    _squares: float = 0.0

    def note(self, seconds: float) -> None:
        """Another answer."""
        self.count += 1
        self.last_s = seconds
        self.sum_s += seconds
        self._squares += seconds * seconds
        self.least_s = min(self.least_s, seconds) if self.count > 1 else seconds
        self.most_s = max(self.most_s, seconds)

    @property
    def mean_s(self) -> float:
        """On average; 0 when there was none."""
        return self.sum_s / self.count if self.count else 0.0

    @property
    def deviation_s(self) -> float:
        """The standard deviation."""
        if not self.count:
            return 0.0
        # Rounding may take a little more away than there is.
        return sqrt(max(0.0, self._squares / self.count - self.mean_s**2))


class RoundTrips:
    """Times of answers, by peer."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """`clock_s` never goes back."""
        self._clock_s = clock_s
        self._sent_s: dict[int, float] = {}
        self.times: dict[int, Histogram] = {}
        self.spreads: dict[int, Spread] = {}

    def note_sent(self, peer: int) -> None:
        """A heartbeat has left for a peer."""
        now_s, sent_s = self._clock_s(), self._sent_s.get(peer)
        if sent_s is None:
            self._sent_s[peer] = now_s
        elif sent_s + LOST_S <= now_s:
            self._sent_s[peer] = now_s
            self.spreads.setdefault(peer, Spread()).lost_count += 1

    def note_answer(self, peer: int) -> None:
        """A peer has answered a heartbeat."""
        sent_s = self._sent_s.pop(peer, None)
        if sent_s is not None:
            took_s = self._clock_s() - sent_s
            self.times.setdefault(peer, Histogram(PEER_BOUNDS_S)).note(took_s)
            self.spreads.setdefault(peer, Spread()).note(took_s)
