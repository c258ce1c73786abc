"""Linearizable reads: ReadIndex rounds shared by all reads that wait (thesis §6.4).

A read waits for a round that *starts* after it arrived, then until this member has applied the
index the round confirmed.  One round is on its way at a time; what arrives meanwhile shares the
next one, so a loaded member spends one round on many reads and an idle one starts at once.

Tokens are counted up and never used again: a late answer can never confirm a newer read.
Rounds that get no answer are started again with a fresh token; a read that finds no leader is
tried again with each tick, and when one is known, until its deadline, and then told `NoLeader`.

A turn of the loop answers ANSWERS_A_TURN of the reads that may be answered.  The rest stand in
line for the turns that follow, where flows are served by turns (`roost.fair_queue`): what they see
then is no older than what was confirmed.

Full?  Up to half of WAITING_COUNT_MAX anybody may add a read; of the other half a flow may have as
many as there is room left for, and more are refused with `Overloaded`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import chain, count
from typing import NamedTuple

from roost.errors import NoLeader, Overloaded, RoostError
from roost.fair_queue import ITEM_COST, FairQueue
from roost.flow import OWN, Flow
from roost.outcome import ReadDone

WAITING_COUNT_MAX = 100_000
# About two milliseconds' worth of them.
ANSWERS_A_TURN = 256
# So many of one flow stand in line as one, and are answered together.
BUNCH_MAX = 32
# Whoever stands in line was let in before.
_NO_BOUND = 1 << 62


class Read(NamedTuple):
    """One read that no round has confirmed; `own_index` must be applied, whatever that says."""

    own_index: int
    deadline_tick: int
    done: ReadDone
    flow: Flow


class ConfirmedRead(NamedTuple):
    """A read that waits until `wanted_index` is applied; those of one index in their order."""

    wanted_index: int
    order: int
    done: ReadDone
    flow: Flow


class ReadRounds:
    """Reads on their way on one member."""

    def __init__(
        self,
        start_round: Callable[[int], None],
        *,
        schedule: Callable[[], None],
        retry_ticks: int,
        timeout_ticks: int,
        first_token: int = 1,
    ) -> None:
        """`start_round(token)` asks the core; its answer comes by `on_confirmed`/`on_failed`.

        `schedule()` has `begin_turn` called in the next turn of the loop.

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
        # Whoever was asked could not say: asked at once again, it could not either.
        self._is_resting = False
        self._unapplied: list[ConfirmedRead] = []  # a heap
        self._order = count()
        # What may be answered, and had no room in the turn in which that was known.
        self._line: FairQueue[list[ReadDone]] = FairQueue(count_max=_NO_BOUND, bytes_max=_NO_BOUND)
        self.line_count = 0
        self._schedule = schedule
        self._left = ANSWERS_A_TURN
        # Of each flow, what came while more than half of all waited.
        self._crowd: Counter[Flow] = Counter()
        self._now_ticks = 0

    def __len__(self) -> int:
        """Reads without an answer so far; zero when idle."""
        return len(self._waiting) + len(self._round) + len(self._unapplied) + self.line_count

    def add(self, done: ReadDone, index: int = 0, flow: Flow = OWN) -> None:
        """Queue a read that must also see `index`; `flush` follows in the same loop turn."""
        waiting = self._waiting
        if len(waiting) >= WAITING_COUNT_MAX // 2 and not self._let_in(flow):
            done(Overloaded("too many reads wait"))
            return
        waiting.append(Read(index, self._now_ticks + self._timeout_ticks, done, flow))

    def _let_in(self, flow: Flow) -> bool:
        """Whether a flow may add one more though many wait; it counts then."""
        if self._crowd[flow] >= WAITING_COUNT_MAX - len(self._waiting):
            return False
        self._crowd[flow] += 1
        return True

    @property
    def is_clogged(self) -> bool:
        """Whether so many are on their way that no further round is begun before some are over."""
        return len(self._unapplied) + self.line_count >= WAITING_COUNT_MAX

    @property
    def is_due(self) -> bool:
        """Whether `flush` would start a round."""
        if not self._waiting or self._round or self._is_resting:
            return False
        return not self.is_clogged

    def flush(self) -> None:
        """Start a round for all that wait, unless one is on its way."""
        if not self.is_due:
            return
        self._round, self._waiting = self._waiting, []
        self._crowd.clear()
        self._round_token = next(self._tokens)
        self._round_tick = self._now_ticks
        self._start_round(self._round_token)

    def on_confirmed(self, token: int, index: int, applied_index: int) -> None:
        """A round came back: its reads may be answered once `index` is applied."""
        if token != self._round_token or not self._round:
            return  # a round that was given up and started again
        reads, self._round = self._round, []
        ready: Sequence[Read] = ()
        if index <= applied_index:
            ready = [it for it in reads if it.own_index <= applied_index]
        if len(ready) < len(reads):
            for read in reads:
                wanted = max(index, read.own_index)
                if wanted > applied_index:
                    confirmed = ConfirmedRead(wanted, next(self._order), read.done, read.flow)
                    heappush(self._unapplied, confirmed)
        self._answer(ready)

    def on_failed(self, token: int) -> None:
        """A round could not be confirmed: its reads wait for the next tick, or for a leader."""
        if token == self._round_token and self._round:
            self._waiting = self._round + self._waiting
            self._round = []
            self._is_resting = True

    def on_leader(self) -> None:
        """A leader is known: a round may be confirmed now."""
        self._is_resting = False

    def on_applied(self, applied_index: int) -> None:
        """Answer the confirmed reads that waited for this index."""
        unapplied = self._unapplied
        if unapplied and unapplied[0].wanted_index <= applied_index:
            ready: list[Read | ConfirmedRead] = []
            while unapplied and unapplied[0].wanted_index <= applied_index:
                ready.append(heappop(unapplied))
            self._answer(ready)

    def _answer(self, reads: Sequence[Read | ConfirmedRead]) -> None:
        """Answer reads if this turn has room for all of them, or have them stand in line."""
        if len(reads) <= self._left and not self.line_count:
            self._left -= len(reads)
            for read in reads:
                read.done(None)
            return
        self.line_count += len(reads)
        by_flow: dict[Flow, list[ReadDone]] = {}
        for read in reads:
            bunch = by_flow.get(read.flow)
            if bunch is None:
                bunch = by_flow[read.flow] = []
            bunch.append(read.done)
            if len(bunch) == BUNCH_MAX:
                self._line_up(by_flow.pop(read.flow), read.flow)
        for flow, bunch in by_flow.items():
            self._line_up(bunch, flow)
        self._go_on()

    def _line_up(self, bunch: list[ReadDone], flow: Flow) -> None:
        is_let_in = self._line.submit(flow, bunch, len(bunch) * ITEM_COST)
        assert is_let_in, "the line has no bound of its own"

    def begin_turn(self) -> None:
        """A turn of the loop begins: answer those in line, as far as it has room for them."""
        self._left = ANSWERS_A_TURN
        if self.line_count:
            self._go_on()

    def _go_on(self) -> None:
        line = self._line
        while self._left > 0 and line.count:
            bunch = line.take()
            self._left -= len(bunch)
            self.line_count -= len(bunch)
            for done in bunch:
                done(None)
        if line.count:
            self._schedule()

    def tick(self) -> None:
        """Give up rounds without an answer and reads whose time is over; start the next round."""
        self._now_ticks += 1
        if self._round and self._now_ticks - self._round_tick >= self._retry_ticks:
            self.on_failed(self._round_token)
        if self._waiting and self._waiting[0].deadline_tick <= self._now_ticks:
            late = [it for it in self._waiting if it.deadline_tick <= self._now_ticks]
            self._waiting = [it for it in self._waiting if it.deadline_tick > self._now_ticks]
            for read in late:
                read.done(NoLeader("nobody has confirmed that it leads: a majority must run"))
        self._is_resting = False
        self.flush()

    def fail_all(self, error: RoostError) -> None:
        """The member stops: nobody is left waiting."""
        waiting: list[Read | ConfirmedRead] = [*self._round, *self._waiting, *self._unapplied]
        dones = [*(it.done for it in waiting), *chain.from_iterable(self._line.take_all())]
        self.line_count = 0
        self._round, self._waiting, self._unapplied = [], [], []
        for done in dones:
            done(error)
