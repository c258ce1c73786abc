"""When things run out, on a clock that no pause and no jump can move.

The clock goes on by what passed between two looks at it, but by STEP_S_MAX at most: a process
that was stopped, or a machine that slept, gives everybody the time that nobody could use.  So a
deadline may come late, and never early (P10).
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from math import inf

from roost.etcd.ports import Replica
from roost.store import DELETE_FROM, Changes

STEP_S_MAX = 1.0


class Deadlines:
    """A deadline for each of any number of ids; it is only ever moved to later."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """None yet; `clock_s` never goes back."""
        self._clock_s = clock_s
        self._at: dict[bytes, float] = {}
        # One row an id that counts, the one with its serial number; it is pushed again when it
        # comes up and the deadline was moved meanwhile.
        self._heap: list[tuple[float, int, bytes]] = []
        self._serials: dict[bytes, int] = {}
        self._serial = 0
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
            self._push(at, name)
        elif at > held:
            self._at[name] = at

    def _push(self, at: float, name: bytes) -> None:
        self._serial += 1
        self._serials[name] = self._serial
        heappush(self._heap, (at, self._serial, name))

    def forget(self, name: bytes) -> None:
        """An id has no deadline any more."""
        self._at.pop(name, None)
        self._serials.pop(name, None)
        if len(self._heap) > 1000 + 2 * len(self._at):
            self._heap = [row for row in self._heap if self._serials.get(row[2]) == row[1]]
            heapify(self._heap)

    def clear(self) -> None:
        """Forget all."""
        self._at.clear()
        self._serials.clear()
        self._heap.clear()

    def remaining_s(self, name: bytes) -> float:
        """Seconds that an id has left; 0 when its time is up, or it has none."""
        self.look()
        return max(0.0, self._at.get(name, 0.0) - self._now_s)

    def by_time(self, names: Iterable[bytes]) -> list[bytes]:
        """Sort ids by their deadlines; those that have none come last."""
        at, never = self._at, inf
        return sorted(names, key=lambda name: at.get(name, never))

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
            _, serial, name = heappop(heap)
            if self._serials.get(name) != serial:
                continue  # it was forgotten
            at = self._at[name]
            if at <= now_s:
                due.append(name)
            self._push(at if at > now_s else now_s + STEP_S_MAX, name)
        return due


class LeaderDeadlines(Deadlines):
    """A deadline for each row of a tree, kept where this member leads, and nowhere else.

    A member that begins to lead gives every row its time and a grace; rows that are applied get
    theirs, rows that go away have none.
    """

    def __init__(
        self,
        replica: Replica,
        tree_id: int,
        *,
        seconds_of: Callable[[bytes], float],
        clock_s: Callable[[], float],
        grace_s: float = 0.0,
    ) -> None:
        """`seconds_of` says of a row's value how much time it gives."""
        super().__init__(clock_s)
        self._replica = replica
        self._tree_id = tree_id
        self._seconds_of = seconds_of
        self._grace_s = grace_s
        # The term in which the deadlines hold; 0 when this member does not lead.
        self._term = 0
        replica.observe(self._on_applied, trees=(tree_id,))

    def leads(self) -> bool:
        """Whether the deadlines are ours to keep; they are made when leadership begins."""
        replica = self._replica
        term = replica.term if replica.leader_id == replica.member_id else 0
        if term != self._term:
            self._term = term
            self.clear()
            for name, row in replica.view.iterate(self._tree_id) if term else ():
                self.extend(name, self._seconds_of(row) + self._grace_s)
        return bool(term)

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._term:
            return
        for kind, tree_id, name, row in changes.writes:
            if tree_id != self._tree_id:
                continue
            if kind == DELETE_FROM:
                self.clear()
            elif row is None:
                self.forget(name)
            else:
                self.extend(name, self._seconds_of(row))
