"""When things run out, on a clock that no pause and no jump can move.

The clock goes on by what passed between two looks at it, but by STEP_S_MAX at most: a process
that was stopped, or a machine that slept, gives everybody the time that nobody could use.  So a
deadline may come late, and never early (P10).

No call is long, however many ids there are.  An id stands in a *slot*, with all others that are to
be looked at in the same part of a second, or, where that is far away, in the same hour or year.
Whoever is given more time stays in its slot; when that comes up, `look_through` looks at a bounded
number of those in it, who are due or go to a later one.  A heap of all ids had to be made anew when
half of them were forgotten, 0.35 s of a million, and all that was renewed came up at once
(2026-11-28).

Full?  Ids are bounded by whoever keeps them; slots are a few thousand at most, SLOTS_A_LEVEL of
each length.

A member that begins to lead takes over a million rows in slices of SLICE_ROWS, one in a turn of
the loop, so that nobody waits for it.  All of them count from when it began to lead, and a renewal
that comes before a row's turn counts as well.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, frexp, inf
from typing import Final

from roost.database.model import DELETE_FROM, Changes, Walk
from roost.etcd.ports import Replica
from roost.parted import HashedMap

STEP_S_MAX: Final = 1.0
# About two milliseconds.
SLICE_ROWS = 1000
# The shortest slot.  Slots are twice as long where time is so many of these away, and again.
_SLOT_S: Final = 1 / 64
_SLOTS_A_LEVEL: Final = 512
# What stands in no slot any more: its time was up when it was looked at.
_DUE: Final = -1
_LEVEL_BITS: Final = 6
Slot = HashedMap[bytes, None]


class Deadlines:
    """A deadline for each of any number of ids; it is only ever moved to later.

    Without memory for a step nothing is lost: an id leaves a place when it stands in the next one,
    and what stands where it should not is passed by.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """None yet; `clock_s` never goes back."""
        self._clock_s = clock_s
        self._now_s = 0.0
        self._seen_s: float | None = None
        # What `clear` has left behind.
        self._old: list[HashedMap[bytes, float] | HashedMap[bytes, int] | Slot] = []
        self._begin()

    def _begin(self) -> None:
        self._at_s: HashedMap[bytes, float] = HashedMap()
        # Where each stands: the number of its slot, or _DUE.
        self._places: HashedMap[bytes, int] = HashedMap()
        # By number, and when each is to be looked at, that first which comes up first.
        self._slots: dict[int, Slot] = {}
        self._order: list[tuple[float, int]] = []
        # Those whose time was up when they were looked at, in that order; and some that are gone.
        self._due: deque[bytes] = deque()

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
        held_s = self._at_s.get(name, None)
        if held_s is None:
            self._stand(name, at_s)
            self._at_s[name] = at_s
        elif at_s > held_s:
            self._at_s[name] = at_s

    def _stand(self, name: bytes, at_s: float) -> None:
        """Have an id stand in the slot of a time."""
        left_s = max(0.0, at_s - self._now_s)
        level = max(0, frexp(left_s / (_SLOT_S * _SLOTS_A_LEVEL))[1])
        length_s = _SLOT_S * (1 << level)
        # A long one is looked at before any of it is due, a short one when all of it is.
        index = int(at_s / length_s) if level else ceil(at_s / length_s)
        number = index << _LEVEL_BITS | level
        slot = self._slots.get(number)
        if slot is None:
            slot = HashedMap()
            heappush(self._order, (index * length_s, number))
            self._slots[number] = slot
        slot[name] = None
        self._places[name] = number

    def forget(self, name: bytes) -> None:
        """An id has no deadline any more."""
        slot = self._slots.get(self._places.pop(name, _DUE))
        if slot is not None:
            slot.pop(name, None)
        self._at_s.pop(name, None)

    def clear(self) -> None:
        """Forget all; the memory is given back by `free`."""
        left: tuple[HashedMap[bytes, float] | HashedMap[bytes, int] | Slot, ...]
        left = (self._at_s, self._places, *self._slots.values())
        self._old += [it for it in left if len(it)]
        self._begin()

    def free(self, rows_max: int) -> bool:
        """Give back memory of some rows that were forgotten; say whether there are more.

        To free a million rows at once takes a sixth of a second (measured, 2026-11-26).
        """
        left = rows_max
        while self._old and left:
            left -= self._old[-1].forget_some(left)
            if not len(self._old[-1]):
                self._old.pop()
        return bool(self._old)

    def look_through(self, rows_max: int) -> bool:
        """Look at some of those whose slots have come up; say whether there are more.

        They are due, or go to a later slot.
        """
        self.advance()
        left, now_s, order = rows_max, self._now_s, self._order
        while order and order[0][0] <= now_s:
            number = order[0][1]
            slot = self._slots.get(number)
            if slot is None or not len(slot):
                heappop(order)
                self._slots.pop(number, None)
                continue
            if not left:
                return True
            names = slot.some(left)
            left -= len(names)
            for name in names:
                if self._places.get(name, None) == number:
                    at_s = self._at_s.get(name, now_s)
                    if at_s > now_s:
                        self._stand(name, at_s)
                    else:
                        self._due.append(name)
                        self._places[name] = _DUE
                slot.pop(name, None)
        return False

    def remaining_s(self, name: bytes) -> float | None:
        """Seconds that an id has left, 0 when its time is up; None when it has no deadline."""
        self.advance()
        at_s = self._at_s.get(name, None)
        return None if at_s is None else max(0.0, at_s - self._now_s)

    def time_of(self, name: bytes) -> float:
        """When an id has its deadline, for who sorts by that; those that have none come last."""
        return self._at_s.get(name, inf)

    def is_due(self, name: bytes) -> bool:
        """Whether an id has a deadline, and it has passed."""
        self.advance()
        at_s = self._at_s.get(name, None)
        return at_s is not None and at_s <= self._now_s

    def take_due(self, count_max: int) -> list[bytes]:
        """Ids whose time is up, in the order in which that was found.

        Of those that `look_through` has found, and of SLICE_ROWS more.  They are named again
        STEP_S_MAX later, behind others, until they are forgotten.
        """
        self.look_through(SLICE_ROWS)
        due: list[bytes] = []
        waiting = self._due
        for _ in range(min(len(waiting), SLICE_ROWS)):
            if len(due) >= count_max:
                break
            name = waiting[0]
            at_s = self._at_s.get(name, None)
            # Some were forgotten since, and may have come back; some were moved.
            if at_s is not None and self._places.get(name, None) == _DUE:
                is_due = at_s <= self._now_s
                self._stand(name, self._now_s + STEP_S_MAX if is_due else at_s)
                if is_due:
                    due.append(name)
            waiting.popleft()
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
        # One of these a turn: each is a slice by itself.
        if self._untimed_from is not None:
            has_more = self._time_slice(self._untimed_from) or bool(self._old)
        else:
            has_more = self.look_through(SLICE_ROWS) or self.free(SLICE_ROWS)
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
