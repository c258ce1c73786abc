"""When things run out, on a clock that no pause and no jump can move.

The clock goes on by what passed between two looks at it, but by STEP_S_MAX at most: a process
that was stopped, or a machine that slept, gives everybody the time that nobody could use.  So a
deadline may come late, and never early (P10).
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

STEP_S_MAX = 1.0


class Deadlines:
    """A deadline for each of any number of ids; it is only ever moved to later."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """None yet; `clock_s` never goes back."""
        self._clock_s = clock_s
        self._at: dict[bytes, float] = {}
        # One row an id; a row that says too early is pushed again when it comes up.
        self._heap: list[tuple[float, bytes]] = []
        self._now_s = 0.0
        self._seen_s: float | None = None

    def __len__(self) -> int:
        """How many ids have a deadline."""
        return len(self._at)

    def __contains__(self, name: bytes) -> bool:
        """Whether an id has a deadline."""
        return name in self._at

    def look(self) -> None:
        """Let the time pass that has passed, as far as it counts."""
        clock_s = self._clock_s()
        if self._seen_s is not None:
            self._now_s += min(max(0.0, clock_s - self._seen_s), STEP_S_MAX)
        self._seen_s = clock_s

    def extend(self, name: bytes, seconds: float) -> None:
        """Give an id at least so much time from now."""
        self.look()
        at = self._now_s + seconds
        held = self._at.get(name)
        if held is None:
            self._at[name] = at
            heappush(self._heap, (at, name))
        elif at > held:
            self._at[name] = at

    def forget(self, name: bytes) -> None:
        """An id has no deadline any more."""
        self._at.pop(name, None)
        if len(self._heap) > 1000 + 2 * len(self._at):
            self._heap = [(at, name) for name, at in self._at.items()]
            heapify(self._heap)

    def clear(self) -> None:
        """Forget all."""
        self._at.clear()
        self._heap.clear()

    def remaining_s(self, name: bytes) -> float:
        """Seconds that an id has left; 0 when its time is up, or it has none."""
        self.look()
        return max(0.0, self._at.get(name, 0.0) - self._now_s)

    def is_due(self, name: bytes) -> bool:
        """Whether an id has a deadline, and it has passed."""
        self.look()
        at = self._at.get(name)
        return at is not None and at <= self._now_s

    def take_due(self, count_max: int) -> list[bytes]:
        """Ids whose time is up, earliest first; named again STEP_S_MAX later unless forgotten."""
        due: list[bytes] = []
        self.look()
        heap, now_s = self._heap, self._now_s
        while heap and heap[0][0] <= now_s and len(due) < count_max:
            _, name = heappop(heap)
            at = self._at.get(name)
            if at is None:
                continue  # forgotten
            if at <= now_s:
                due.append(name)
            heappush(heap, (at if at > now_s else now_s + STEP_S_MAX, name))
        return due
