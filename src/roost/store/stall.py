"""Whether flushes have stopped: one takes far longer than they do here, and than anybody waits.

A disk may be slow and its flushes long; a member that made room slowly but surely would gain
nothing by giving its office away.  So what a flush may take is measured by those before it.
Sans-I/O: time is handed in, in seconds, monotonic.
"""

# A flush of a full layer takes a fraction of a second on any disk that keeps up.
STUCK_S_MIN = 3.0
_TIMES = 3.0
# Weight of the newest flush in the running mean.
_WEIGHT = 0.25


class Stall:
    """Looks at flushes from time to time."""

    def __init__(self) -> None:
        """None has been seen."""
        self._count = 0
        self._began_s: float | None = None
        self._usual_s = 0.0
        self.is_stuck = False

    def look(self, count: int, *, is_flushing: bool, now_s: float) -> None:
        """`count` flushes have ended so far, and another is under way or not."""
        if count != self._count or not is_flushing:
            if self._began_s is not None:
                self._usual_s += _WEIGHT * (now_s - self._began_s - self._usual_s)
            self._began_s = None
            self._count = count
        if is_flushing and self._began_s is None:
            self._began_s = now_s
        took_s = 0.0 if self._began_s is None else now_s - self._began_s
        self.is_stuck = took_s > max(STUCK_S_MIN, _TIMES * self._usual_s)
