"""Linearizable reads: ReadIndex rounds shared by all reads that wait (thesis §6.4).

A read waits for a round that *starts* after it arrived, then until this member has applied the
index the round confirmed.  One round is on its way at a time; what arrives meanwhile shares the
next one, so a loaded member spends one round on many reads and an idle one starts at once.

Tokens are counted up and never used again: a late answer can never confirm a newer read.
Rounds that get no answer are started again with a fresh token; a read that finds no leader is
tried again until its deadline and then told `NoLeader`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from roost.errors import NoLeader, Overloaded, RoostError
from roost.outcome import ReadDone

WAITING_COUNT_MAX = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """One read without a round that confirmed it; `index` must be applied, whatever that says."""

    index: int
    deadline_tick: int
    done: ReadDone


class ConfirmedRead(NamedTuple):
    """A read that waits until `wanted_index` is applied; those of one index in their order."""

    wanted_index: int
    order: int
    done: ReadDone


class ReadRounds:
    """Reads on their way on one member."""

    def __init__(
        self,
        start_round: Callable[[int], None],
        *,
        retry_ticks: int,
        timeout_ticks: int,
        first_token: int = 1,
    ) -> None:
        """`start_round(token)` asks the core; its answer comes by `on_confirmed`/`on_failed`.

        `first_token` must be new with each life of a member: an answer meant for the life before
        would confirm a read that began after it.
        """
        self._start_round = start_round
        self._retry_ticks = retry_ticks
        self._timeout_ticks = timeout_ticks
        self._tokens = count(first_token)
        self._waiting: list[Read] = []
        self._round: list[Read] = []
        self._round_token = 0
        self._round_tick = 0
        self._unapplied: list[ConfirmedRead] = []  # a heap
        self._order = count()
        self._now_ticks = 0

    def __len__(self) -> int:
        """Reads without an answer so far; zero when idle."""
        return len(self._waiting) + len(self._round) + len(self._unapplied)

    def add(self, done: ReadDone, index: int = 0) -> None:
        """Queue a read that must also see `index`; `flush` follows in the same loop turn."""
        if len(self._waiting) >= WAITING_COUNT_MAX:
            done(Overloaded("too many reads wait"))
            return
        self._waiting.append(Read(index, self._now_ticks + self._timeout_ticks, done))

    @property
    def is_due(self) -> bool:
        """Whether `flush` would start a round."""
        return bool(self._waiting) and not self._round

    def flush(self) -> None:
        """Start a round for all that wait, unless one is on its way."""
        if not self._waiting or self._round:
            return
        self._round, self._waiting = self._waiting, []
        self._round_token = next(self._tokens)
        self._round_tick = self._now_ticks
        self._start_round(self._round_token)

    def on_confirmed(self, token: int, index: int, applied_index: int) -> None:
        """A round came back: its reads may be answered once `index` is applied."""
        if token != self._round_token or not self._round:
            return  # a round that was given up and started again
        reads, self._round = self._round, []
        for read in reads:
            wanted = max(index, read.index)
            if wanted <= applied_index:
                read.done(None)
            else:
                heappush(self._unapplied, ConfirmedRead(wanted, next(self._order), read.done))

    def on_failed(self, token: int) -> None:
        """A round could not be confirmed: its reads wait for the next try."""
        if token == self._round_token and self._round:
            self._waiting = self._round + self._waiting
            self._round = []

    def on_applied(self, applied_index: int) -> None:
        """Answer the confirmed reads that waited for this index."""
        unapplied = self._unapplied
        while unapplied and unapplied[0].wanted_index <= applied_index:
            heappop(unapplied).done(None)

    def tick(self) -> None:
        """Give up rounds without an answer and reads whose time is over; start the next round."""
        self._now_ticks += 1
        if self._round and self._now_ticks - self._round_tick >= self._retry_ticks:
            self.on_failed(self._round_token)
        if self._waiting and self._waiting[0].deadline_tick <= self._now_ticks:
            late = [it for it in self._waiting if it.deadline_tick <= self._now_ticks]
            self._waiting = [it for it in self._waiting if it.deadline_tick > self._now_ticks]
            for read in late:
                read.done(NoLeader("nobody has confirmed that it leads"))
        self.flush()

    def fail_all(self, error: RoostError) -> None:
        """The member stops: nobody is left waiting."""
        waiting: list[Read | ConfirmedRead] = [*self._round, *self._waiting, *self._unapplied]
        self._round, self._waiting, self._unapplied = [], [], []
        for it in waiting:
            it.done(error)
