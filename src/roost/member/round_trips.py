"""How long peers take to answer: from a heartbeat to its answer, as whoever leads sees it.

One heartbeat a peer is timed at a time; one whose answer is lost is given up after LOST_S.
"""

from collections.abc import Callable

from roost.histogram import PEER_BOUNDS_S, Histogram

LOST_S = 1.0


class RoundTrips:
    """Times of answers, by peer."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """`clock_s` never goes back."""
        self._clock_s = clock_s
        self._sent_s: dict[int, float] = {}
        self.times: dict[int, Histogram] = {}

    def note_sent(self, peer: int) -> None:
        """A heartbeat has left for a peer."""
        now_s = self._clock_s()
        if self._sent_s.get(peer, -LOST_S) + LOST_S <= now_s:
            self._sent_s[peer] = now_s

    def note_answer(self, peer: int) -> None:
        """A peer has answered a heartbeat."""
        sent_s = self._sent_s.pop(peer, None)
        if sent_s is not None:
            self.times.setdefault(peer, Histogram(PEER_BOUNDS_S)).note(self._clock_s() - sent_s)
