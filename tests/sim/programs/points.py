"""Time series as a program under faults: points that come late, twice, over others, and go.

Clients append points of few series, delete ranges and whole series, freeze what is staged, seal
slice by slice wherever they are, and read; what they read, each point and each sum of a quarter of
an hour, must be what one dictionary a series could have answered, one call after another.  Values
are whole numbers, so that sums are the same in whichever order they are added.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np
import pytest

import roost
import roost.sim
from roost.aio import Database
from roost.series import blocks, registry, sealing, slicing, staging
from roost.series.engine import Engine
from roost.series.names import Info
from roost.series.records import batch, encode_batch
from roost.series.summaries import COUNT, LAST, MOST, SUM
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges
from roost.sim import Session
from roost.testing import DictModel

NAMES = ("a", "b")
MINUTE_NS = 60 * 10**9
QUARTER_NS = 15 * MINUTE_NS
# Two hours before the end of a partition, and of a day.
BEGIN = 1_711_756_800 * 10**9
MINUTES = 240
SECONDS = 6.0

points = roost.Operations("points")
Row = tuple[int, int]
Sum = tuple[int, int, int, int, int]


@points.operation
def append(txn: roost.Transaction, name: str, rows: list[Row]) -> None:
    """Points as minutes and values, in the order in which they came."""
    told = registry.declare(txn, [Info(name)])
    sids = np.full(len(rows), told.sids[0])
    times = np.array([BEGIN + minute * MINUTE_NS for minute, _ in rows])
    record = batch(sids, times, np.array([float(it) for _, it in rows]))
    staging.append(txn, told.epoch, encode_batch(record))


@points.operation
def delete(txn: roost.Transaction, name: str, start: int, stop: int) -> None:
    """A range of minutes of a series."""
    told = registry.declare(txn, [Info(name)])
    start, stop = BEGIN + start * MINUTE_NS, BEGIN + stop * MINUTE_NS
    registry.delete_points(txn, told.sids, start, stop)


@points.operation
def drop(txn: roost.Transaction, name: str) -> None:
    """A whole series, and another one of its name is empty."""
    registry.delete_series(txn, Info(name).key)


class Points(DictModel):
    """Values by minutes of each series."""

    def append(self, name: str, rows: list[Row]) -> None:
        self.setdefault(name, {}).update(rows)

    def delete(self, name: str, start: int, stop: int) -> None:
        held = self.setdefault(name, {})
        self[name] = {minute: it for minute, it in held.items() if not start <= minute < stop}

    def drop(self, name: str) -> None:
        if self.pop(name, None) is None:
            raise roost.Refused(code="no_series")

    def held(self, name: str) -> list[Row]:
        return sorted(self.get(name, {}).items())

    def sums(self, name: str) -> list[Sum]:
        quarters: dict[int, list[int]] = {}
        for minute, it in self.held(name):
            quarters.setdefault(minute // 15, []).append(it)
        return [(it, len(of), sum(of), max(of), of[-1]) for it, of in sorted(quarters.items())]


_engines = WeakKeyDictionary[Database, Engine]()


def engine_of(database: Database) -> Engine:
    """One a member, as where members run."""
    return _engines.setdefault(database, Engine(database))


async def held(database: Database, name: str) -> list[Row]:
    """All points of a series."""
    async with engine_of(database).reading() as reading:
        sid = await reading.sid(Info(name).key)
        content = None if sid is None else await reading.content(sid)
        if content is None:
            return []
        return [
            ((time - BEGIN) // MINUTE_NS, int(value))
            async for table in content.points(TIME_MIN, TIME_STOP)
            for time, value in zip(table.times.tolist(), table.values.tolist(), strict=True)
        ]


async def sums(database: Database, name: str) -> list[Sum]:
    """Count, sum, highest and last of its quarters of an hour."""
    starts = np.arange(-MINUTES // 15, MINUTES // 15 + 1) * QUARTER_NS + BEGIN
    async with engine_of(database).reading() as reading:
        sid = await reading.sid(Info(name).key)
        content = None if sid is None else await reading.content(sid)
        if content is None:
            return []
        rows = await content.summed(Ranges(starts, starts + QUARTER_NS))
    quarters = (starts[rows.times] - BEGIN) // QUARTER_NS
    numbers = rows.columns[[COUNT, SUM, MOST, LAST]].astype(np.int64)
    return [
        (quarter, *row) for quarter, row in zip(quarters.tolist(), numbers.T.tolist(), strict=True)
    ]


async def visit(db: Session, dice: random.Random) -> None:
    """One visit of a client."""
    name, what = dice.choice(NAMES), dice.random()
    engine = engine_of(db.database)
    if what < 0.4:
        await db.run(append, name, _rows(dice))
    elif what < 0.5:
        start = dice.randrange(-20, MINUTES)
        await db.run(delete, name, start, start + dice.choice((1, 7, 15, 60)))
    elif what < 0.52:
        await db.run(drop, name)
    elif what < 0.6:
        await engine.freeze()
    elif what < 0.8:
        for _ in range(dice.randint(1, 4)):
            await engine.seal_slice()
    elif what < 0.9:
        await db.read("held", lambda it: held(it, name), name)
    else:
        await db.read("sums", lambda it: sums(it, name), name)


def _rows(dice: random.Random) -> list[Row]:
    """Points of now, ten minutes a second of the run; one in five is late, or there already."""
    newest = min(int(asyncio.get_running_loop().time() * 10) % MINUTES, MINUTES - 13)
    return [
        (dice.randrange(newest + 1) if dice.random() < 0.2 else newest + it, dice.randrange(1000))
        for it in range(dice.randint(1, 12))
    ]


@contextmanager
def few_are_many() -> Iterator[pytest.MonkeyPatch]:
    """A few points fill blocks and slices, and make rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ROWS_MAX", 16)
        patch.setattr(blocks, "FULL_ROWS", 10)
        patch.setattr(blocks, "STATISTICS_MIN", 4)
        patch.setattr(sealing, "SMALL_MAX", 3)
        patch.setattr(sealing, "ROW_NUMBERS_MIN", 3)
        patch.setattr(sealing, "ROWS_POINTS", 10)
        patch.setattr(slicing, "STEP_POINTS", 8)
        patch.setattr(slicing, "SLICE_POINTS", 12)
        yield patch


def check_points(seeds: Iterable[int]) -> roost.sim.Checked:
    """Have clients write, seal and read, under all faults.

    Raises:
        roost.sim.Broken: something is wrong.

    """

    return roost.sim.check(
        operations=[points], client=visit, model=Points, seeds=seeds, seconds=SECONDS
    )
