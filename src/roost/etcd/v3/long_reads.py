"""Long reads: a bounded part in a turn of the loop, of one state whatever is written meanwhile.

A read is a generator that yields what each of its steps has cost.  It is begun in the turn in
which it comes, on a glimpse of the state of now; what ends within INLINE_UNITS is answered there,
as nearly all reads are.  A longer one holds the state (`store.held`) and goes on in turns to come,
which all long reads share, client by client (D14).

All that are begun in a turn have INLINE_UNITS together: a thousand clients may ask at once, and a
hundred keys for each of them are half a second.  Those for which nothing is left are begun in turns
to come, client by client, rights and all; what they see then is no older than what they asked for.

An answer up to WHOLE_BYTES_MAX is sent whole; a longer one in parts, and its read rests while the
client does not take them.

Full?  UNBEGUN_MAX wait to be begun, of a client as many as there is room left for; more are refused
(`Overloaded`, etcd: too many requests).  There are READS_MAX long reads, and no client has more
than there are places left.  What turns out to be long when its client has no place is begun anew
when a read of that client has ended: nothing of it was sent before.
While as many states are held as can be, reads wait for one, in the order in which they came; they
are begun anew then, rights and all.  What answers keep in memory is bounded by `room`.  A client
that takes nothing for REST_S_MAX, and a state that is held for too long, end a read with an error.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Protocol

from roost.call import Call
from roost.database.model import HeldView, HeldViewLost, Store
from roost.errors import Overloaded, RoostError, Stopped
from roost.etcd import errors
from roost.etcd.model.costs import BYTES_A_ROW_LOG2
from roost.etcd.model.ranges import Room
from roost.etcd.model.rows import ROWS_MAX
from roost.etcd.v3.requests import fail
from roost.fair_queue import FairQueue
from roost.memory import Memory

logger = logging.getLogger(__name__)
READS_MAX = 1000
UNBEGUN_MAX = 20_000
# Of a turn of the loop, in units of about three microseconds (`server.intake`).
INLINE_UNITS = 500
TURN_UNITS = 250
# What it costs to begin one, and to look whether one that has waited still may be begun.
_BEGIN_UNITS, _LOOK_UNITS = 20, 5
# At so many clients that had no place for a read is looked again in a turn.
OWNERS_A_TURN = 10
WHOLE_BYTES_MAX = 256 << 10
# Of an answer; nobody can read a longer message, nor can its length be said.
MESSAGE_BYTES_MAX = (1 << 31) - 1
PENDING_BYTES_MAX = 256 << 10
ROOM_BYTES_MAX = 128 << 20
REST_S_MAX = 60.0
# A read whose state was lost before anything was sent is begun anew, so often.
BEGUN_COUNT_MAX = 3
_NO_BOUND = 1 << 60
# What a unit of work weighs among flows, as if it were so many bytes that were sent.
_BYTES_PER_UNIT = 32
# What a step yields that can go on only when the client has taken something, and one behind which
# the answer is sent in parts.
REST, PARTS = -1, -2
Steps = Generator[int, None, None]


class Reading(Protocol):
    """An answer without its header: `measure` to its end, then `pieces`, then `close`."""

    size: int

    def measure(self) -> Steps:
        """Find out how long the answer is."""

    @property
    def last_cost(self) -> int:
        """What the last step of measuring has cost, which nothing was yielded for."""

    @property
    def is_kept(self) -> bool:
        """Whether `pieces` needs no state any more."""

    def pieces(self) -> Iterator[bytes]:
        """The answer; a step each."""

    def close(self) -> None:
        """Keep nothing any more."""


class LongRead:
    """One read, from the first attempt on.

    It is given to whatever it calls, and so nothing of it is in a cycle once it has ended.
    """

    def __init__(
        self,
        call: Call,
        begin: Callable[["LongRead"], Steps],
        again: Callable[["LongRead"], None],
    ) -> None:
        """`begin(read)` reads `read.view` and answers `call`; `again(read)` has it begun anew."""
        self.call = call
        self.begin = begin
        self.again = again
        self.view: HeldView
        self.steps: Steps
        self.begun_count = 0
        # What its last step has cost, when it is over.
        self.last_cost = 0
        # Whether something was sent, so that it cannot be begun anew.
        self.is_sending = False
        # Until when it rests; None = it does not.
        self.resting: asyncio.TimerHandle | None = None
        # Who has it go on when its client has taken something; None = nobody.
        self.on_wake: Callable[[LongRead], None] | None = None

    def wake(self) -> None:
        """Its client has taken something, or is gone."""
        if self.on_wake is not None:
            self.on_wake(self)


class LongReads:
    """All of one member."""

    def __init__(self, store: Store, memory: Memory) -> None:
        """Nobody reads; answers in the making take a part of `memory`."""
        self._store = store
        self._waiting: deque[LongRead] = deque()
        # Those that came when nothing was left of a turn; and what is left of this one.
        self._unbegun: FairQueue[LongRead] = FairQueue(count_max=UNBEGUN_MAX, bytes_max=_NO_BOUND)
        self._left = INLINE_UNITS
        # What is in it is bounded before it comes in: see `_has_place`.
        self._turns: FairQueue[LongRead] = FairQueue(count_max=_NO_BOUND, bytes_max=_NO_BOUND)
        self.room = Room(memory.share(ROOM_BYTES_MAX, 8))
        # Those whose clients had no place for them, by owner; and at how many of these is to be
        # looked again, for something has ended.
        self._placeless: dict[str, deque[LongRead]] = {}
        self._look_count = 0
        # All that have begun and not ended: in line, or resting.
        self._begun: dict[LongRead, None] = {}
        self._is_due = self._is_stopped = False
        store.held_views.hear_room(self._on_room)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._begun) + self.waiting_count

    @property
    def waiting_count(self) -> int:
        """How many of them wait until a state can be held, or they can be begun."""
        placeless = sum(map(len, self._placeless.values()))
        return len(self._waiting) + len(self._unbegun) + placeless

    @property
    def has_left(self) -> bool:
        """Whether something more may be read in this turn."""
        return self._left > 0

    def spend(self, read_bytes: int) -> None:
        """So much was read in this turn by somebody else, who has asked whether he may."""
        self._left -= read_bytes >> BYTES_A_ROW_LOG2
        if self._left < INLINE_UNITS // 2:
            self._schedule()

    def run(self, read: LongRead) -> None:
        """Answer it now, or begin and go on in turns to come, or begin it in one of these."""
        if self._left <= 0:
            self._put_off(read)
            return
        try:
            self._run(read)
        finally:
            if self._left < INLINE_UNITS // 2:
                self._schedule()

    def _put_off(self, read: LongRead) -> None:
        """Begin it in a turn to come."""
        if not self._unbegun.submit(read.call.flow, read, 0):
            fail(read.call, Overloaded("too many reads wait"))

    def _run(self, read: LongRead) -> None:
        self._left -= _BEGIN_UNITS
        read.view = self._store.held_views.glimpse()
        read.on_wake = self._wake
        read.steps = read.begin(read)
        read.begun_count += 1
        units, is_resting = 0, False
        while units < INLINE_UNITS and not is_resting:
            cost = self._step(read)
            if cost is None:
                self._left -= read.last_cost
                return
            if cost == PARTS and not self._has_place(read):
                break
            is_resting = cost == REST
            if cost > 0:
                units += cost
                self._left -= cost
        self._go_on_later(read, is_resting=is_resting)

    def stop(self) -> None:
        """End all of them."""
        self._is_stopped = True
        waiting, self._waiting = self._waiting, deque()
        placeless, self._placeless = chain(*self._placeless.values()), {}
        for read in (*self._begun, *waiting):
            self._fail(read, Stopped("the member stops"))
        for read in (*self._unbegun.take_all(), *placeless):
            fail(read.call, Stopped("the member stops"))

    def _begin_anew(self, read: LongRead) -> None:
        """It can be begun: whoever waited is asked for his rights in the state of now."""
        try:
            if not read.call.is_over:
                read.again(read)
        except RoostError as error:
            fail(read.call, error)
        except Exception:
            logger.exception("a read could not be begun anew")
            read.call.fail(*errors.INTERNAL_ERROR)
        finally:
            self._left -= _LOOK_UNITS

    def _go_on_later(self, read: LongRead, *, is_resting: bool) -> None:
        """It is long: make its state last, or wait until that can be."""
        if not read.is_sending and not self._has_place(read):
            self._end(read)
            self._wait_for_place(read)
        elif not read.view.is_over and not self._store.held_views.has_room:
            self._end(read)
            self._wait(read)
        else:
            if not read.view.is_over:
                read.view.hold()
            self._begun[read] = None
            if is_resting:
                self._rest(read)
            else:
                self._line_up(read, INLINE_UNITS)

    def _wait_for_place(self, read: LongRead) -> None:
        if self.waiting_count >= UNBEGUN_MAX:
            fail(read.call, Overloaded("too many reads wait"))
            return
        read.begun_count -= 1  # it has lost nothing
        self._placeless.setdefault(read.call.flow.owner, deque()).append(read)

    def _begin_placeless(self) -> None:
        """Begin those that have a place now: some clients a turn, all when a read has ended."""
        for _ in range(OWNERS_A_TURN):
            self._look_count = min(self._look_count, len(self._placeless))
            if not self._look_count:
                return
            owner = next(iter(self._placeless))
            line = self._placeless.pop(owner)
            while line and self._left > 0 and self._has_place(line[0]):
                self._begin_anew(line.popleft())
            if line:
                line.extend(self._placeless.pop(owner, ()))
                self._placeless[owner] = line
            if self._left <= 0:
                return  # this one is looked at again
            self._look_count -= 1

    def _has_place(self, read: LongRead) -> bool:
        """Whether there may be one more: no client has more than there are places left."""
        count = len(self._begun) + len(self._waiting)
        if 2 * count < READS_MAX:
            return True
        owner = read.call.flow.owner
        own = sum(it.call.flow.owner == owner for it in chain(self._begun, self._waiting))
        return own < READS_MAX - count

    def _line_up(self, read: LongRead, units: int) -> None:
        """Have it go on when it is its client's turn; its last step has cost so much."""
        self._turns.submit(read.call.flow, read, units * _BYTES_PER_UNIT)
        self._schedule()

    def _wait(self, read: LongRead) -> None:
        self._waiting.append(read)
        self._schedule()

    def _step(self, read: LongRead) -> int | None:
        """Take a step; None when it was the last, whatever the outcome."""
        try:
            if not read.call.is_over:
                return next(read.steps)
            self._end(read)
        except StopIteration:
            self._end(read)
        except HeldViewLost as error:
            self._end(read)
            if read.is_sending or read.begun_count >= BEGUN_COUNT_MAX:
                fail(read.call, error)
            else:
                self._wait(read)
        except RoostError as error:
            self._fail(read, error)
        except Exception:
            logger.exception("a read failed")
            self._end(read)
            read.call.fail(*errors.INTERNAL_ERROR)
        return None

    def _fail(self, read: LongRead, error: RoostError) -> None:
        self._end(read)
        fail(read.call, error)

    def _end(self, read: LongRead) -> None:
        """Hold nothing for it any more."""
        self._begun.pop(read, None)
        if self._placeless:
            self._look_count = len(self._placeless)
            self._schedule()
        if read.resting is not None:
            read.resting.cancel()
            read.resting = None
        read.steps.close()
        read.view.close()

    def _rest(self, read: LongRead) -> None:
        """Its client has much to take."""
        loop = asyncio.get_running_loop()
        read.resting = loop.call_later(REST_S_MAX, self._give_up, read)

    def _wake(self, read: LongRead) -> None:
        """Its client has taken something, or is gone."""
        if read.resting is not None:
            read.resting.cancel()
            read.resting = None
            self._line_up(read, 1)

    def _give_up(self, read: LongRead) -> None:
        text = f"the client has taken nothing of its answer for {REST_S_MAX:.0f} s"
        self._fail(read, HeldViewLost(text))

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _on_room(self) -> None:
        """A state can be held again."""
        if self._waiting:
            self._schedule()

    def _turn(self) -> None:
        """Begin reads and go on with others, for a bounded part of a turn."""
        self._is_due = False
        if self._is_stopped:
            return
        self._left = INLINE_UNITS
        held_views = self._store.held_views
        while self._waiting and held_views.has_room and self._left > 0:
            self._begin_anew(self._waiting.popleft())
        while len(self._unbegun) and self._left > 0:
            self._begin_anew(self._unbegun.take())
        self._begin_placeless()
        units = 0
        while len(self._turns) and units < TURN_UNITS:
            read = self._turns.take()
            cost = self._step(read)
            units += max(1, cost or 0)
            if cost == REST:
                self._rest(read)
            elif cost is not None:
                self._line_up(read, max(1, cost))
        is_waited_for = len(self._unbegun) or (self._waiting and held_views.has_room)
        is_spent = self._left < INLINE_UNITS // 2
        if len(self._turns) or is_waited_for or self._look_count or is_spent:
            self._schedule()


def answered(read: LongRead, headed: bytes, reading: Reading) -> Steps:
    """Answer a read with `headed` and what `reading` finds behind it, whole or in parts."""
    try:
        yield from reading.measure()
        call, size = read.call, len(headed) + reading.size
        if size > MESSAGE_BYTES_MAX:
            raise errors.message_too_large(size, MESSAGE_BYTES_MAX)
        if reading.is_kept:
            read.view.close()
        read.last_cost = reading.last_cost + (size >> BYTES_A_ROW_LOG2)
        if size <= WHOLE_BYTES_MAX:
            yield from _answered_whole(call, headed, reading)
            return
        yield PARTS
        read.is_sending = True
        sending = call.reply_in_parts(size)
        sending.on_drain = read.wake
        sending.send(headed)
        for piece in reading.pieces():
            while sending.pending_bytes > PENDING_BYTES_MAX and not call.is_over:
                yield REST
            if call.is_over:
                return
            sending.send(piece)
            yield _cost_of(reading, piece)
    finally:
        reading.close()


def _answered_whole(call: Call, headed: bytes, reading: Reading) -> Steps:
    parts = [headed]
    for piece in reading.pieces():
        parts.append(piece)
        if len(parts) > 4:  # a short answer is a piece or two and its end, and made at once
            yield _cost_of(reading, piece)
    call.reply(b"".join(parts))


def _cost_of(reading: Reading, piece: bytes) -> int:
    """What a piece has cost: the work of copying it, and of reading it where it was not kept."""
    return (1 if reading.is_kept else ROWS_MAX) + (len(piece) >> BYTES_A_ROW_LOG2)
