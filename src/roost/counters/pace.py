"""Whether a small step is made durable on the loop, or beside it.

To hand a step to a thread and to hear of its end takes longer than the sync itself where a disk is
fast; so a small step is written in the turn that took it, and sockets fill meanwhile.  A disk that
is slow would hold up everything else on the loop: then all steps go to a thread, until syncs are
fast again.  The member's own log does likewise.
"""

# What a sync may take on the loop, on the average (D14), and what one counts at most: a single
# hiccup, however long, does not change the way.
INLINE_S_MAX = 0.001
_OUTLIER_TIMES = 4
_WEIGHT = 0.05
# Steps come back to the loop when they take this part of what made them leave it.
_RETURN_PART = 0.25
# A larger step takes the loop some milliseconds to encode.
QUICK_ROWS_MAX = 128


class Pace:
    """Of one store's steps; sans I/O."""

    def __init__(self) -> None:
        """Begin on the loop."""
        self.is_inline = True
        self._mean_s = 0.0

    def note(self, took_s: float) -> None:
        """A small step took so long, on the loop or beside it."""
        counted_s = min(took_s, _OUTLIER_TIMES * INLINE_S_MAX)
        self._mean_s += _WEIGHT * (counted_s - self._mean_s)
        if self._mean_s > INLINE_S_MAX:
            self.is_inline = False
        elif self._mean_s < _RETURN_PART * INLINE_S_MAX:
            self.is_inline = True
