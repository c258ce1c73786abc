"""Points as they come, by the names of their series: merged, declared, appended.

Whoever has points waits for them; what waits at the same time becomes one record, so a thousand
clients with a point each cost the log what one with a thousand does.  One record is on its way at
a time: points of one caller are in the log in the order in which they were given.

Names are looked up once: what the cluster calls a series is kept here, as long as no series is
deleted (`Head.epoch`).

Full?  So many points may wait, WAITING_POINTS_MAX; whoever has more waits for room, in the order of
coming.  When blocks are not made as fast as points come, all wait, for FULL_S at most; then they
are refused.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from roost.database import MemberLost, Refused
from roost.series.engine import Engine
from roost.series.errors import STAGING_FULL, STALE
from roost.series.extra import Floats, Ints, np
from roost.series.names import Info
from roost.series.records import POINTS_MAX, batch, encode_batch
from roost.series.registry import DECLARED_MAX
from roost.tasks import Tasks

WAITING_POINTS_MAX = 1 << 18
# More than that are put into a record on a thread: 0.1 µs a point, and a turn has 2 ms.
ASIDE_POINTS = 4096
FULL_S, FULL_PAUSE_S = 20.0, 0.05
# Names that are looked up in one turn: a part of a millisecond, or two where they have many labels.
NAMES_A_TURN = 400
# Names whose numbers are kept: some 300 bytes each; then anew.
KNOWN_MAX = 1 << 17
# How often names are looked up again because a series was deleted meanwhile.
STALE_MAX = 10


@dataclass(frozen=True, slots=True)
class Points:
    """Points: `places[i]` says which of `series` point i is of; times in nanoseconds."""

    series: Sequence[Info]
    places: Ints
    times: Ints
    values: Floats

    def __len__(self) -> int:
        """How many there are."""
        return len(self.times)


@dataclass(slots=True, eq=False)
class _Waiting:
    """Points with the numbers of their series, and who waits for them."""

    epoch: int
    sids: Ints
    times: Ints
    values: Floats
    future: "asyncio.Future[int]"


class _Stale(Exception):
    """A series was deleted: numbers have to be looked up again."""


class Intake:
    """What comes in at one member."""

    def __init__(self, engine: Engine) -> None:
        """Nothing comes."""
        self._engine = engine
        self._known: dict[bytes, int] = {}
        self._epoch = -1
        self._waiting: deque[_Waiting] = deque()
        self._waiting_points = 0
        self._room = asyncio.Condition()
        self._tasks = Tasks()
        self._is_running = False
        self.point_count = self.record_count = 0

    async def close(self) -> None:
        """Take no more; whoever waits is told that nobody knows."""
        await self._tasks.close()

    async def add(self, given: Points) -> int:
        """Append points; they are durable on a majority when this returns.

        The number of the last record that has some of them; 0 when there are none.

        Raises:
            BadPoints: a time or a number is none; nothing was appended.
            Refused: BAD_SERIES; STAGING_FULL, come again; some of many may have been appended.
            OutcomeUnknown, NotExecuted: as `Database.run`; the same can be appended again.

        """
        number = 0
        for begin in range(0, len(given), POINTS_MAX):
            part = slice(begin, begin + POINTS_MAX)
            number = await self._add(
                Points(given.series, given.places[part], given.times[part], given.values[part])
            )
        return number

    async def _add(self, given: Points) -> int:
        count = len(given)
        await self._wait_room(count)
        try:
            for left in range(STALE_MAX, -1, -1):
                sids = await self._sids(given.series)
                try:
                    return await self._append(sids[given.places], given)
                except _Stale:
                    self._known.clear()
                    if not left:
                        raise Refused("series are deleted all the time: come again",
                                      code=STALE) from None  # fmt: skip
            raise AssertionError("it returned, or raised")
        finally:
            await self._give_room(count)

    async def _wait_room(self, count: int) -> None:
        async with self._room:
            await self._room.wait_for(
                lambda: (
                    not self._waiting_points or self._waiting_points + count <= WAITING_POINTS_MAX
                )
            )
            self._waiting_points += count

    async def _give_room(self, count: int) -> None:
        async with self._room:
            self._waiting_points -= count
            self._room.notify_all()

    async def _sids(self, series: Sequence[Info]) -> Ints:
        """The numbers of series, declared when they are not there; over as many turns."""
        while True:
            epoch, found = self._epoch, []
            for begin in range(0, len(series), NAMES_A_TURN):
                if begin:
                    await asyncio.sleep(0)
                found += await self._some_sids(series[begin : begin + NAMES_A_TURN])
            if self._epoch == epoch:  # else those of the first turns may be of deleted series
                return np.array(found, np.int64)

    async def _some_sids(self, series: Sequence[Info]) -> list[int]:
        keys = [it.key for it in series]
        while True:
            missing = {key: info for key, info in zip(keys, series, strict=True)
                       if key not in self._known}  # fmt: skip
            if not missing:
                return [self._known[it] for it in keys]
            if len(self._known) + len(missing) > KNOWN_MAX:
                self._known.clear()
            wanted = list(missing.items())
            for begin in range(0, len(wanted), DECLARED_MAX):
                page = wanted[begin : begin + DECLARED_MAX]
                told = await self._engine.declare([info for _, info in page])
                if told.epoch != self._epoch:
                    self._known.clear()
                    self._epoch = told.epoch
                self._known.update(zip((key for key, _ in page), told.sids, strict=True))

    async def _append(self, sids: Ints, given: Points) -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(self._epoch, sids, given.times, given.values, future))
        if not self._is_running:
            self._is_running = True
            self._tasks.start(self._run())
        return await future

    async def _run(self) -> None:
        """Append what waits, a record after the other, until nothing does."""
        merged: list[_Waiting] = []
        try:
            while self._waiting:
                merged = self._take()
                try:
                    number = await self._record(merged)
                except Refused as refusal:
                    error: Exception = _Stale() if refusal.code == STALE else refusal
                    _tell(merged, error)
                except Exception as error:  # noqa: BLE001 - each who waits is told
                    _tell(merged, error)
                else:
                    _tell(merged, number)
                merged = []
        finally:
            self._is_running = False
            # Nobody is left here, unless this was cancelled: the member ends.
            _tell([*merged, *self._waiting], MemberLost("the member ended before the answer"))
            self._waiting.clear()

    def _take(self) -> list[_Waiting]:
        """As many as one record holds, of one epoch; those whom nobody waits for are left out."""
        found: list[_Waiting] = []
        count = 0
        while self._waiting:
            it = self._waiting[0]
            if found and (count + len(it.times) > POINTS_MAX or it.epoch != found[0].epoch):
                break
            self._waiting.popleft()
            found.append(it)
            count += len(it.times)
        return found

    async def _record(self, merged: list[_Waiting]) -> int:
        sids = np.concatenate([it.sids for it in merged])
        times = np.concatenate([it.times for it in merged])
        values = np.concatenate([it.values for it in merged])

        def encode() -> bytes:
            return encode_batch(batch(sids, times, values))

        record = encode() if len(sids) <= ASIDE_POINTS else await self._engine.aside(encode)
        stop_s = self._engine.clock_s() + FULL_S
        while True:
            try:
                number = await self._engine.append(merged[0].epoch, record)
            except Refused as refusal:
                if refusal.code != STAGING_FULL or self._engine.clock_s() >= stop_s:
                    raise
            else:
                self.record_count += 1
                self.point_count += len(sids)
                return number
            await asyncio.sleep(FULL_PAUSE_S)


def _tell(waiting: Sequence[_Waiting], outcome: int | Exception) -> None:
    for it in waiting:
        if it.future.done():
            continue  # whoever waited has gone
        if isinstance(outcome, Exception):
            it.future.set_exception(outcome)
        else:
            it.future.set_result(outcome)
