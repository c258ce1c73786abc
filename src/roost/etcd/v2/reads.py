"""Reads of v2: the state of now, and for a long one that state over many turns (D14).

What costs no more than INLINE_COST is read in the turn in which it is asked for.  All that are
begun in a turn have so much together: those for which nothing is left are begun in turns to come,
in the order of coming.  A longer one holds the state it began with and goes on a step a turn, with
all others; when as many states are held as can be it waits for one, and is begun anew.

Full?  A connection asks for one at a time, so those that wait to be begun are no more than there
are connections.  READS_MAX are read or wait; one more is refused.  What answers in the making take
has a bound; a read that would pass it is refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from roost.database.model import HeldView, HeldViewLost, Store, View
from roost.errors import Overloaded, RoostError
from roost.etcd.model.costs import Costs
from roost.memory import Memory
from roost.outcome import settle_future
from roost.slices import Slices

READS_MAX = 100
INLINE_COST: Final = 250
# What it costs to begin one, whatever it comes to.
_BEGIN_COST: Final = 5
# A read whose state was lost is begun anew, so often.
BEGUN_COUNT_MAX: Final = 3
ANSWERS_BYTES_MAX = 64 << 20
# An answer that is long is handed over, and sent, in pieces of so many bytes and a part.
ANSWER_PIECE_BYTES: Final = 64 << 10
Write = Callable[[bytes], None]
# Reads a state, hands over what is found, and says after each step what that has cost.
Read = Callable[[View, Write], Costs[None]]


class _Answer:
    """One answer in the making; all of them share a room."""

    def __init__(self, reads: "Reads") -> None:
        self._reads = reads
        # Those that are whole, and the parts of the next one: millions of parts are never held,
        # which would be joined, and let go of, in one step.
        self._pieces: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._parts_bytes = self._bytes = 0
        self._is_closed = False

    def write(self, part: bytes) -> None:
        if self._is_closed:
            return
        self._parts.append(part)
        self._parts_bytes += len(part)
        self._bytes += len(part)
        self._reads.answers_bytes += len(part)
        if self._parts_bytes >= ANSWER_PIECE_BYTES:
            self._end_piece()

    def _end_piece(self) -> None:
        self._pieces.append(b"".join(self._parts))
        self._parts, self._parts_bytes = [], 0

    def whole(self) -> bytes:
        return b"".join((*self._pieces, *self._parts))

    def pieces(self) -> Iterator[bytes]:
        """All of it; what was taken is kept no longer."""
        self._end_piece()
        pieces = self._pieces
        while pieces:
            yield pieces.popleft()

    def close(self) -> None:
        self._is_closed = True
        self._reads.answers_bytes -= self._bytes


class Reads:
    """All of one member."""

    def __init__(self, store: Store, memory: Memory) -> None:
        """Nobody reads."""
        self._store = store
        self._bytes_max = memory.share(ANSWERS_BYTES_MAX, 8)
        self._steps = Slices(1)
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Those that came when nothing was left of a turn; and what is left of this one.
        self._unbegun: deque[Callable[[], None]] = deque()
        self._left = INLINE_COST
        self._is_turn_due = False
        # Those that take more than a turn.
        self.count = self.answers_bytes = 0
        # Reads that somebody waited for, however long they took.
        self.awaited_count = 0
        store.held_views.hear_room(self._on_room)

    @property
    def waiting_count(self) -> int:
        """How many wait for a state that can be held."""
        return len(self._waiting)

    @property
    def unbegun_count(self) -> int:
        """How many wait for a turn that has time left."""
        return len(self._unbegun)

    def when_turn(self, begin: Callable[[], None]) -> None:
        """Call `begin`, which reads and raises nothing, in this turn or one that has time left."""
        if self._unbegun or self._left <= 0:
            self._unbegun.append(begin)
            self._schedule()
        else:
            begin()

    def _schedule(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_turn_due = False
        self._left = INLINE_COST
        while self._unbegun and self._left > 0:
            self._unbegun.popleft()()
        if self._unbegun:
            self._schedule()

    def _is_done_inline(self, steps: Costs[None]) -> bool:
        """Whether the steps came to their end within what a turn has time for."""
        cost = _BEGIN_COST
        try:
            for it in steps:
                cost += it
                if cost > INLINE_COST + _BEGIN_COST:
                    return False
            return True
        finally:
            self._left -= cost
            if self._left < INLINE_COST // 2:
                self._schedule()

    def read_now(self, read: Read) -> bytes | None:
        """What a read comes to, if that costs no more than a turn has time for; else None.

        Raises:
            RoostError: what it raises itself.

        """
        answer = _Answer(self)
        try:
            with self._store.held_views.glimpse() as view:
                return answer.whole() if self._is_done_inline(read(view, answer.write)) else None
        finally:
            answer.close()

    async def read(self, asked: Read) -> bytes:
        """What a read comes to, as one, where that is not long.

        Raises:
            RoostError: as `read_pieces`.

        """
        return b"".join(await self.read_pieces(asked))

    async def read_pieces(self, asked: Read) -> Iterator[bytes]:
        """What a read comes to, in pieces that are no longer than a turn has time for.

        Raises:
            RoostError: what it raises itself, or that there is no room for it.

        """
        begun_count = 0
        self.awaited_count += 1
        while True:
            answer = _Answer(self)
            try:
                with self._store.held_views.glimpse() as view:
                    steps = asked(view, answer.write)
                    if self._is_done_inline(steps) or await self._read_on(view, steps):
                        return answer.pieces()
            except HeldViewLost:
                begun_count += 1
                if begun_count == BEGUN_COUNT_MAX:
                    raise
            finally:
                answer.close()
                self._on_room()
            await self._wait_room()

    async def _read_on(self, view: HeldView, steps: Costs[None]) -> bool:
        """Go on over many turns; False when it has to wait for a state."""
        if self.count >= READS_MAX:
            raise Overloaded("too many long reads")
        if not self._store.held_views.has_room:
            return False
        view.hold()
        self.count += 1
        try:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._steps.run(self._run(steps, done))
            await done
        finally:
            self.count -= 1
        return True

    def _run(self, steps: Costs[None], done: asyncio.Future[None]) -> Iterator[None]:
        """Take the steps, as long as somebody waits for what they come to."""
        try:
            for _ in steps:
                if done.done():
                    return
                if self.answers_bytes > self._bytes_max:
                    raise Overloaded("answers in the making take too much memory")
                yield
        except RoostError as error:
            settle_future(done, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this read's
            if not done.done():
                done.set_exception(error)
        else:
            settle_future(done, None)

    async def _wait_room(self) -> None:
        """Wait until a state can be held, and all who came before have tried."""
        if self.count + len(self._waiting) >= READS_MAX:
            raise Overloaded("too many long reads")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._on_room()
        await future

    def _on_room(self) -> None:
        """Have the next one try that waits, if it can; when it has tried it calls this again."""
        if not self._store.held_views.has_room:
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():  # its client may be gone
                future.set_result(None)
                return
