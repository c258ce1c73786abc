"""Linearizable reads: ReadIndex rounds shared by all reads that wait (thesis §6.4).

A read waits for a round that *starts* after it arrived, then until this member has applied the
index the round confirmed.  One round is on its way at a time; what arrives meanwhile shares the
next one, so a loaded member spends one round on many reads and an idle one starts at once.

Tokens are counted up and never used again: a late answer can never confirm a newer read.
Rounds that get no answer are started again with a fresh token; a read that finds no leader is
tried again with each tick, and when one is known, until its deadline, and then told `NoLeader`.

A turn of the loop answers ANSWERS_A_TURN of the reads that may be answered, or whose time is over.
The rest stand in line for the turns that follow, where flows are served by turns
(`roost.fair_queue`): what they see then is no older than what was confirmed.  A round of very many
joins that line over as many turns as it takes, LINED_UP_A_TURN of its bunches in each.

Full?  Up to half of WAITING_COUNT_MAX anybody may add a read; of the other half a flow may have as
many as there is room left for, and more are refused with `Overloaded`.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from roost.errors import NoLeader, Overloaded, RoostError
from roost.fair_queue import ITEM_COST, FairQueue
from roost.flow import OWN, Flow
from roost.outcome import ReadDone, tell_reads

WAITING_COUNT_MAX = 100_000
# About two milliseconds' worth of them.
ANSWERS_A_TURN: Final = 256
# A millisecond's worth.
LINED_UP_A_TURN: Final = 512
# So many of one flow wait as one, and are answered together.
BUNCH_MAX: Final = 32
# Whoever stands in line was let in before.
_NO_BOUND: Final = 1 << 62


class Bunch:
    """Reads of one flow that came one after another; `own_index` must be applied for them."""

    __slots__ = ("deadline_tick", "dones", "flow", "own_index")

    def __init__(self, flow: Flow, deadline_tick: int, own_index: int, done: ReadDone) -> None:
        """Begin with one."""
        self.flow = flow
        self.deadline_tick = deadline_tick
        self.own_index = own_index
        self.dones = [done]


class Confirmed(NamedTuple):
    """Bunches of so many reads that wait until `wanted_index` is applied; equal ones in order."""

    wanted_index: int
    order: int
    bunches: Sequence[Bunch]
    read_count: int


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
        # In the order of coming, so those whose time is over first stand first.
        self._waiting: deque[Bunch] = deque()
        self._waiting_count = 0
        # The last of those that wait, while it takes more.
        self._open: Bunch | None = None
        self._round: deque[Bunch] = deque()
        self._round_count = 0
        self._round_token = 0
        self._round_tick = 0
        # Whoever was asked could not say: asked at once again, it could not either.
        self._is_resting = False
        self._unapplied: list[Confirmed] = []  # a heap
        self._unapplied_count = 0
        self._applied_index = 0
        self._order = count()
        # What may be answered, and had no room in the turn in which that was known: rounds that
        # have yet to join the line, and the line.
        self._joining: deque[deque[Bunch]] = deque()
        self._line: FairQueue[list[ReadDone]] = FairQueue(count_max=_NO_BOUND, bytes_max=_NO_BOUND)
        self.line_count = 0
        self._schedule = schedule
        self._left, self._left_to_line_up = ANSWERS_A_TURN, LINED_UP_A_TURN
        # Of each flow, what came while more than half of all waited.
        self._crowd: Counter[Flow] = Counter()
        self._now_ticks = 0

    def __len__(self) -> int:
        """Reads without an answer so far; zero when idle."""
        return self._waiting_count + self._round_count + self._unapplied_count + self.line_count

    def add(self, done: ReadDone, index: int = 0, flow: Flow = OWN) -> None:
        """Queue a read that must also see `index`; `flush` follows in the same loop turn.

        What `done` raises is the caller's alone (`roost.outcome`).
        """
        if self._waiting_count >= WAITING_COUNT_MAX // 2 and not self._let_in(flow):
            tell_reads([done], Overloaded("too many reads wait"))
            return
        self._waiting_count += 1
        # Not by equality, which would cost more than it brings: a connection has one flow.
        bunch = self._open
        if (
            bunch is not None
            and bunch.flow is flow
            and bunch.own_index == index
            and len(bunch.dones) < BUNCH_MAX
        ):
            bunch.dones.append(done)
            return
        deadline_tick = self._now_ticks + self._timeout_ticks
        self._open = bunch = Bunch(flow, deadline_tick, index, done)
        self._waiting.append(bunch)

    def _let_in(self, flow: Flow) -> bool:
        """Whether a flow may add one more though many wait; it counts then."""
        if self._crowd[flow] >= WAITING_COUNT_MAX - self._waiting_count:
            return False
        self._crowd[flow] += 1
        return True

    @property
    def is_clogged(self) -> bool:
        """Whether so many are on their way that no further round is begun before some are over."""
        return self._unapplied_count + self.line_count >= WAITING_COUNT_MAX

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
        self._round, self._waiting, self._open = self._waiting, deque(), None
        self._round_count, self._waiting_count = self._waiting_count, 0
        self._crowd.clear()
        self._round_token = next(self._tokens)
        self._round_tick = self._now_ticks
        self._start_round(self._round_token)

    def on_confirmed(self, token: int, index: int, applied_index: int) -> None:
        """A round came back: its reads may be answered once `index` is applied."""
        if token != self._round_token or not self._round:
            return  # a round that was given up and started again
        bunches, self._round = self._round, deque()
        read_count, self._round_count = self._round_count, 0
        self._applied_index = max(self._applied_index, applied_index)
        if index > applied_index:
            self._wait_for(index, bunches, read_count)
        else:
            self._answer(bunches, read_count)

    def on_failed(self, token: int) -> None:
        """A round could not be confirmed: its reads wait for the next tick, or for a leader."""
        if token == self._round_token and self._round:
            self._round.extend(self._waiting)
            self._waiting, self._round = self._round, deque()
            self._waiting_count += self._round_count
            self._round_count = 0
            self._is_resting = True

    def on_leader(self) -> None:
        """A leader is known: a round may be confirmed now."""
        self._is_resting = False

    def on_applied(self, applied_index: int) -> None:
        """Answer the confirmed reads that waited for this index."""
        self._applied_index = max(self._applied_index, applied_index)
        unapplied = self._unapplied
        while unapplied and unapplied[0].wanted_index <= applied_index:
            it = heappop(unapplied)
            self._unapplied_count -= it.read_count
            self._answer(it.bunches, it.read_count)

    def _wait_for(self, index: int, bunches: Sequence[Bunch], read_count: int) -> None:
        self._unapplied_count += read_count
        heappush(self._unapplied, Confirmed(index, next(self._order), bunches, read_count))

    def _wait_alone(self, bunch: Bunch) -> None:
        """A bunch wants more than its round does."""
        self._wait_for(bunch.own_index, (bunch,), len(bunch.dones))

    def _answer(self, bunches: Sequence[Bunch], read_count: int) -> None:
        """Answer reads if this turn has room for all of them, or have them stand in line."""
        if read_count <= self._left and not self.line_count:
            for bunch in bunches:
                if bunch.own_index > self._applied_index:
                    self._wait_alone(bunch)
                else:
                    self._left -= len(bunch.dones)
                    tell_reads(bunch.dones, None)
            return
        self.line_count += read_count
        self._joining.append(deque(bunches))
        self._go_on()

    def begin_turn(self) -> None:
        """A turn of the loop begins: answer those in line, as far as it has room for them."""
        self._left, self._left_to_line_up = ANSWERS_A_TURN, LINED_UP_A_TURN
        if self.line_count:
            self._go_on()
        self._expire()

    def _go_on(self) -> None:
        self._line_up()
        line, left = self._line, self._left
        if left > 0:
            for dones in line.take_batch(left, left * ITEM_COST):
                self._left -= len(dones)
                self.line_count -= len(dones)
                tell_reads(dones, None)
        if self.line_count:
            self._schedule()

    def _line_up(self) -> None:
        """Have some of those that came back together join the line."""
        joining = self._joining
        while joining and self._left_to_line_up > 0:
            bunches = joining[0]
            if not bunches:
                joining.popleft()
                continue
            bunch = bunches.popleft()
            self._left_to_line_up -= 1
            if bunch.own_index > self._applied_index:
                self.line_count -= len(bunch.dones)
                self._wait_alone(bunch)
                continue
            is_let_in = self._line.submit(bunch.flow, bunch.dones, len(bunch.dones) * ITEM_COST)
            assert is_let_in, "the line has no bound of its own"

    def tick(self) -> None:
        """Give up rounds without an answer and reads whose time is over; start the next round."""
        self._now_ticks += 1
        self._open = None  # what comes from now on has a later deadline
        if self._round and self._now_ticks - self._round_tick >= self._retry_ticks:
            self.on_failed(self._round_token)
        self._expire()
        self._is_resting = False
        self.flush()

    def _expire(self) -> None:
        """Tell those whose time is over, as far as this turn has room for them."""
        waiting = self._waiting
        while waiting and waiting[0].deadline_tick <= self._now_ticks:
            if self._left <= 0:
                self._schedule()
                return
            dones = waiting.popleft().dones
            self._waiting_count -= len(dones)
            self._left -= len(dones)
            tell_reads(dones, NoLeader("nobody has confirmed that it leads: a majority must run"))

    def fail_all(self, error: RoostError) -> None:
        """The member stops: nobody is left waiting."""
        confirmed: list[Sequence[Bunch]] = [*self._joining]
        confirmed += [it.bunches for it in self._unapplied]
        bunches = [*self._round, *self._waiting, *(it for some in confirmed for it in some)]
        waiting = [*(it.dones for it in bunches), *self._line.take_all()]
        self._waiting_count = self._round_count = self._unapplied_count = self.line_count = 0
        self._round, self._waiting, self._unapplied = deque(), deque(), []
        self._joining.clear()
        self._open = None
        for dones in waiting:
            tell_reads(dones, error)
