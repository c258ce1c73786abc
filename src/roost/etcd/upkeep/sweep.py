"""Removes what was compacted, slice by slice, where this member leads; and says when it is gone.

A compaction takes effect at once; `etcd.compact_slice` removes a bounded part of what nobody can
see any more and says whether there is more.  The tree says itself whether something is left, so a
new leader goes on where the last one was.

Who waits for the removal (`physical` in etcd's CompactionRequest) is told when this member has
applied all of it and holds it durably: the space is free then, and a defragmentation gives it
back.  Full?  Each waiter is an open call, and those are bounded at the port.

Every member says how far the removal is (`removal`): how long it has seen it, what it has removed
since, and where in the order of keys it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from roost.database.model import Changes, LongChanges, Walk, share_of
from roost.errors import RoostError
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.mvcc import COMPACTING_KEY, Mvcc
from roost.etcd.ports import Replica
from roost.outcome import Outcome
from roost.ticker import Ticker

SLICE_OPERATION: Final = "etcd.compact_slice"
# A leader that has just begun finds what the last one left within this time.
LOOK_S: Final = 1.0
# To search in a megabyte takes half a millisecond.
_SEARCHED_BYTES_MAX = 2048


@dataclass(frozen=True, slots=True)
class Removal:
    """How far a removal is: `share` of the keys, as they lie, was looked at, from 0 to 1."""

    share: float
    removed_count: int
    seconds: float


@dataclass(slots=True)
class _Seen:
    """A removal since this member sees it; `ends` are the keys it lies between, once known."""

    began_s: float
    removed_count: int
    ends: tuple[bytes, bytes] | None = None


class Sweep:
    """The removal on one member."""

    def __init__(
        self, replica: Replica, mvcc: Mvcc, alarms: Alarms, clock_s: Callable[[], float]
    ) -> None:
        """Nothing is removed before `start`, or something applied says that there is work."""
        self._alarms = alarms
        self._clock_s = clock_s
        self._seen: _Seen | None = None
        self._replica = replica
        self._mvcc = mvcc
        # Where it stood when it was last looked at; None: nothing was left.
        self._place = self._place_now()
        self._is_running = False
        self._waiting: list[Callable[[], None]] = []
        self._ticker = Ticker(LOOK_S, self._go_on)

    def start(self) -> None:
        """Look for what is left now and then."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def on_applied(self, _index: int, changes: Changes) -> None:
        """See whether a compaction began, or its removal ended; called for the tree `meta`."""
        # Every put writes `meta`: the bytes of a few say "certainly not" for less than to look.
        # A slice that passes much which is gone already is a long one, whose entry has no keys.
        payload = changes.payload
        is_searched = len(payload) <= _SEARCHED_BYTES_MAX and not isinstance(changes, LongChanges)
        if is_searched and COMPACTING_KEY not in payload:
            return
        place = self._place_now()
        if place == self._place:
            return
        self._place = place
        removed = (value is None for *_, value in changes.of_tree(self._mvcc.history))
        self._mvcc.counts.compacted += sum(removed)
        if place is not None:
            self._look_at()
            self._go_on()
        else:
            self._finish()

    def removal(self) -> Removal | None:
        """How far it is, for whoever looks; None = nothing is left to be removed."""
        if not self._has_work():
            return None
        seen = self._look_at()
        view, history = self._replica.view, self._mvcc.history
        place = self._place_now() or b""
        if seen.ends is None:
            first = Walk(view, history, b"", None).take(1)
            last = view.scan(history, reverse=True, limit=1)
            if first and last:
                seen.ends = first[0][0], last[0][0]
        return Removal(
            share=share_of(*seen.ends, place) if seen.ends else 0.0,
            removed_count=self._mvcc.counts.compacted - seen.removed_count,
            seconds=self._clock_s() - seen.began_s,
        )

    def _look_at(self) -> _Seen:
        """What was seen of it; from now on, if it is new."""
        if self._seen is None:
            self._seen = _Seen(self._clock_s(), self._mvcc.counts.compacted)
        return self._seen

    def on_switched(self) -> None:
        """A snapshot has replaced everything: perhaps the removal is in it."""
        self._place = self._place_now()
        if not self._has_work():
            self._finish()

    def wait(self, done: Callable[[], None]) -> None:
        """Call `done` when nothing that was compacted is left here, and that is durable."""
        self._waiting.append(done)
        if not self._has_work():
            self._finish()

    def _place_now(self) -> bytes | None:
        return self._replica.view.get(self._mvcc.meta, COMPACTING_KEY)

    def _has_work(self) -> bool:
        return self._place_now() is not None

    def _finish(self) -> None:
        """Make the removal durable, so that sizes are true, and tell who waits."""
        self._seen = None
        waiting, self._waiting = self._waiting, []

        def durable(_error: RoostError | None) -> None:
            self._alarms.look()  # there is room again before anybody is told so
            for done in waiting:
                done()

        self._replica.files.make_durable(durable)

    def _go_on(self) -> None:
        replica = self._replica
        is_leader = replica.leader_id == replica.member_id
        if is_leader and not self._is_running and self._has_work():
            self._is_running = True
            replica.transact_nowait(SLICE_OPERATION, b"", self._on_slice)

    def _on_slice(self, outcome: Outcome) -> None:
        self._is_running = False
        if isinstance(outcome, bytes) and outcome:
            self._go_on()  # else the next look finds what is left
