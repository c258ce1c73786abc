"""When things run out, on a clock that no pause and no jump can move.

The clock goes on by what passed between two looks at it, but by STEP_S_MAX at most: a process
that was stopped, or a machine that slept, gives everybody the time that nobody could use.  So a
deadline may come late, and never early (P10).

A member that begins to lead takes over a million rows in slices of SLICE_ROWS, one in a turn of
the loop, so that nobody waits for it.  All of them count from when it began to lead, and a renewal
that comes before a row's turn counts as well.
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, NamedTuple

from roost.database.model import DELETE_FROM, Changes, Walk
from roost.etcd.ports import Replica

STEP_S_MAX: Final = 1.0
# About two milliseconds.
SLICE_ROWS = 1000


class _Row(NamedTuple):
    """A deadline in the heap; `serial` says whether it is still the one that counts."""

    at_s: float
    serial: int
    name: bytes


class Deadlines:
    """A deadline for each of any number of ids; it is only ever moved to later."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """None yet; `clock_s` never goes back."""
        self._clock_s = clock_s
        self._at_s: dict[bytes, float] = {}
        # One row an id that counts, the one with its serial number; it is pushed again when it
        # comes up and the deadline was moved meanwhile.
        self._heap: list[_Row] = []
        self._serials: dict[bytes, int] = {}
        self._serial = 0
        self._now_s = 0.0
        self._seen_s: float | None = None
        # What `clear` has left behind.
        self._old: list[dict[bytes, float] | dict[bytes, int] | list[_Row]] = []

    def __len__(self) -> int:
        """How many ids have a deadline."""
        return len(self._at_s)

    def __contains__(self, name: bytes) -> bool:
        """Whether an id has a deadline."""
        return name in self._at_s

    def advance(self) -> None:
        """Let the time pass that has passed, as far as it counts."""
        seen_s = self._clock_s()
        if self._seen_s is not None:
            self._now_s += min(max(0.0, seen_s - self._seen_s), STEP_S_MAX)
        self._seen_s = seen_s

    def extend(self, name: bytes, seconds: float) -> None:
        """Give an id at least so much time from now."""
        self.advance()
        self._extend_to(name, self._now_s + seconds)

    def _extend_to(self, name: bytes, at_s: float) -> None:
        held_s = self._at_s.get(name)
        if held_s is None:
            self._at_s[name] = at_s
            self._push(at_s, name)
        elif at_s > held_s:
            self._at_s[name] = at_s

    def _push(self, at_s: float, name: bytes) -> None:
        self._serial += 1
        self._serials[name] = self._serial
        heappush(self._heap, _Row(at_s, self._serial, name))

    def forget(self, name: bytes) -> None:
        """An id has no deadline any more."""
        self._at_s.pop(name, None)
        self._serials.pop(name, None)
        if len(self._heap) > 1000 + 2 * len(self._at_s):
            self._heap = [it for it in self._heap if self._serials.get(it.name) == it.serial]
            heapify(self._heap)

    def clear(self) -> None:
        """Forget all; the memory is given back by `free`."""
        self._old += (self._at_s, self._serials, self._heap)
        self._at_s, self._serials, self._heap = {}, {}, []

    def free(self, rows_max: int) -> bool:
        """Give back memory of some rows that were forgotten; say whether there are more.

        To free a million rows at once takes a sixth of a second (measured, 2026-11-26).
        """
        left = rows_max
        while self._old and left:
            rows = self._old[-1]
            count = min(left, len(rows))
            if isinstance(rows, list):
                del rows[len(rows) - count :]
            else:
                for _ in range(count):
                    rows.popitem()
            left -= count
            if not rows:
                self._old.pop()
        return bool(self._old)

    def remaining_s(self, name: bytes) -> float | None:
        """Seconds that an id has left, 0 when its time is up; None when it has no deadline."""
        self.advance()
        at_s = self._at_s.get(name)
        return None if at_s is None else max(0.0, at_s - self._now_s)

    def time_of(self, name: bytes) -> float:
        """When an id has its deadline, for who sorts by that; those that have none come last."""
        return self._at_s.get(name, inf)

    def is_due(self, name: bytes) -> bool:
        """Whether an id has a deadline, and it has passed."""
        self.advance()
        at_s = self._at_s.get(name)
        return at_s is not None and at_s <= self._now_s

    def take_due(self, count_max: int) -> list[bytes]:
        """Ids whose time is up, earliest first; named again STEP_S_MAX later unless forgotten."""
        due: list[bytes] = []
        self.advance()
        heap, now_s = self._heap, self._now_s
        while heap and heap[0].at_s <= now_s and len(due) < count_max:
            row = heappop(heap)
            name = row.name
            if self._serials.get(name) != row.serial:
                continue  # it was forgotten
            at_s = self._at_s[name]
            if at_s <= now_s:
                due.append(name)
            self._push(at_s if at_s > now_s else now_s + STEP_S_MAX, name)
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
        # When we first saw that we lead in it, and from which row on none has its time yet.
        self._begun_s = 0.0
        self._untimed_from: bytes | None = None
        self._next_slice: asyncio.Handle | None = None
        replica.observe(self._on_applied, trees=(tree_id,))

    @property
    def is_leading(self) -> bool:
        """Whether this member leads, and the deadlines are ours to keep."""
        return self._replica.leader_id == self._replica.member_id

    def follow_leadership(self) -> None:
        """Take over the time of all rows when leadership has come; to be called now and then."""
        self.advance()
        if self._next_slice is None:
            self._take_over()

    def stop(self) -> None:
        """Take over no more."""
        if self._next_slice is not None:
            self._next_slice.cancel()

    def advance(self) -> None:
        """Let the time pass; deadlines of an earlier term count no more.

        Others may have renewed what we kept the time of when we last led, so it is forgotten
        before anything is decided by it, at whatever call comes first.
        """
        super().advance()
        term = self._replica.term if self.is_leading else 0
        if term != self._term:
            self._term = term
            self.clear()
            self._begun_s = self._now_s
            self._untimed_from = b"" if term else None

    def _take_over(self) -> None:
        """Give some rows their time, and go on in the next turn of the loop."""
        self._next_slice = None
        self.advance()
        has_more = self.free(SLICE_ROWS)
        if self._untimed_from is not None:
            has_more |= self._time_slice(self._untimed_from)
        if has_more:
            self._next_slice = asyncio.get_running_loop().call_soon(self._take_over)

    def _time_slice(self, first: bytes) -> bool:
        walk = Walk(self._replica.view, self._tree_id, first, None)
        for name, row in walk.take(SLICE_ROWS):
            self._extend_to(name, self._begun_s + self._seconds_of(row) + self._grace_s)
        self._untimed_from = None if walk.is_done else walk.place
        return not walk.is_done

    def _on_applied(self, _index: int, changes: Changes) -> None:
        self.advance()
        if not self._term:
            return
        for kind, _, name, row in changes.of_tree(self._tree_id):
            if kind == DELETE_FROM:
                self.clear()
            elif row is None:
                self.forget(name)
            else:
                self.extend(name, self._seconds_of(row))
