"""Whether flushes have stopped: one takes far longer than they do here, and than anybody waits.

Whoever writes one says now and then that it gets on (`note_progress`); the time counts since then.

A disk may be slow and its flushes long; a member that made room slowly but surely would gain
nothing by giving its office away, since the others have the same to write.  So what a flush may
take is measured by those before it, and by how much it has to write: a lease of a million keys that
ends is one layer, twenty times as large as others, and takes twenty times as long.
Sans-I/O: time is handed in, in seconds, monotonic.
"""

# A flush of a full layer takes a fraction of a second on any disk that keeps up.
STUCK_S_MIN = 3.0
_TIMES = 3.0
# What a usual flush has to write.  One that has more is given the time of so many of those: the
# sync at its end says nothing while it lasts, and a long write may be as large as thirty.
_BYTES_USUAL, _USUAL_MAX = 32 << 20, 30.0
# Weight of the newest flush in the running mean.
_WEIGHT = 0.25


class Stall:
    """Looks at flushes from time to time."""

    def __init__(self) -> None:
        """None has been seen."""
        self._count = 0
        self._began_s: float | None = None
        # When it was seen to get on, and whether it has said so since.
        self._moved_s, self._has_moved = 0.0, False
        # How many usual flushes the one under way is as large as; how long one of them takes.
        self._usual, self._usual_s = 1.0, 0.0
        self.is_stuck = False

    def note_progress(self) -> None:
        """The flush that is under way gets on."""
        self._has_moved = True

    def look(
        self, count: int, *, is_flushing: bool, now_s: float, size_bytes: int = _BYTES_USUAL
    ) -> None:
        """`count` flushes have ended so far, and another of so many bytes is under way or not."""
        if count != self._count or not is_flushing:
            if self._began_s is not None:
                usual_s = (now_s - self._began_s) / self._usual
                self._usual_s += _WEIGHT * (usual_s - self._usual_s)
            self._began_s = None
            self._count = count
        if is_flushing and self._began_s is None:
            self._began_s = self._moved_s = now_s
            self._usual = min(max(1.0, size_bytes / _BYTES_USUAL), _USUAL_MAX)
        if self._has_moved:
            self._moved_s, self._has_moved = now_s, False
        waited_s = 0.0 if self._began_s is None else now_s - self._moved_s
        self.is_stuck = waited_s > self._usual * max(STUCK_S_MIN, _TIMES * self._usual_s)
