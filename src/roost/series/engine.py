"""Time series on one member's database: what clients, pages and commands are built on.

    engine = Engine(db)
    told = await engine.declare([Info("sensor1.heat")])
    await engine.append(told.epoch, encode_batch(batch(sids, times, values)))
    async with engine.reading() as reading:
        content = await reading.content(told.sids[0])
        rows = await content.summed(ranges)
    while await engine.seal_slice(): ...

Each member has one, made when its database is opened: whichever leads runs the operations.  Every
member may seal; two that do at once cost each other work and nothing else.  Reads are of one
state, and linearizable.  READINGS_MAX of them go on at a time, for few states can be held at once
(`Database.view`); whoever comes then waits for one to end.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from roost.database import Operation, Refused, UnknownOperation
from roost.database.aio import Database, Observation
from roost.series.describing import METRICS_TREE, Described, descriptions, lots
from roost.series.errors import OVERTAKEN
from roost.series.generations import Records
from roost.series.head import STAGED_TREE, Head
from roost.series.jobs import Job, decode_job
from roost.series.names import Info, Tag
from roost.series.notes import NOTES_TREE, notes_of
from roost.series.operations import (
    APPEND,
    BEGIN_JOB,
    CANCEL_JOB,
    DECLARE,
    DEDUP,
    DELETE_MANY,
    DELETE_POINTS,
    DELETE_SERIES,
    DESCRIBE,
    FREEZE,
    KEEP,
    NOTE,
    OPERATIONS,
    PUT_BLOCKS,
    STEP_JOB,
    TAG,
    THIN,
)
from roost.series.reading import Reading, open_reading
from roost.series.registry import Declared
from roost.series.retention import POLICIES_TREE, Policy, rules_of, too_old
from roost.series.slicing import Slicing
from roost.series.trees import trees_of

# Rows that are read, and blocks of 64 points that are decoded, in a turn (record 0009).
TURN_ROWS = 250
READINGS_MAX = 2
# A member that leads and was never asked for time series loads them first (`server.models`).
LOADING_S, LOADING_PAUSE_S = 10.0, 0.05
R = TypeVar("R")


class Turns:
    """Work in turns of the loop: whoever has done enough lets others go on."""

    def __init__(self) -> None:
        """A turn begins."""
        self._left = TURN_ROWS

    async def spend(self, rows: int) -> None:
        """So much was done."""
        self._left -= rows
        if self._left <= 0:
            await asyncio.sleep(0)
            self._left = TURN_ROWS


class Engine:
    """Time series; see the module.  On the database's event loop only."""

    def __init__(self, db: Database) -> None:
        """Ask `db`, and have its member know the operations of time series; nothing is read."""
        for it in OPERATIONS.values():
            db.host.declare(it)
        self._db = db
        self._records = Records()
        self._trees = trees_of(db.local)
        self._slicing = Slicing(self._trees, self._records, db.host.aside, Turns().spend)
        self._readings = asyncio.Semaphore(READINGS_MAX)

    async def _run(self, operation: Operation[..., R], *given: Any) -> R:
        """Have an operation run, also by a member that has to load what it needs for it."""
        clock_s = self._db.host.clock_s
        stop_s = clock_s() + LOADING_S
        while True:
            try:
                return await self._db.run(operation, *given)
            except UnknownOperation:
                if clock_s() >= stop_s:
                    raise
            await asyncio.sleep(LOADING_PAUSE_S)

    @property
    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows: it is the one that should seal."""
        return self._db.host.is_leader

    def now_ns(self) -> int:
        """The date by this member's clock, in nanoseconds since 1970."""
        return int(self._db.host.origin().at_s * 1e9)

    def clock_s(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._db.host.clock_s()

    async def aside(self, work: Callable[[], R]) -> R:
        """Run `work` on a thread, while the loop goes on; it must touch nothing of the loop's."""
        return await self._db.host.aside(work)

    async def head(self) -> Head:
        """How far staging and sealing are, as this member knows it."""
        return await self._trees.read_head()

    async def declare(self, given: list[Info]) -> Declared:
        """The numbers of series, which are made when they are not there; DECLARED_MAX at most.

        Names and labels are checked before, by `names.check_name` and `names.labels`.

        Raises:
            Refused, OutcomeUnknown, NotExecuted: as `Database.run`; it can be repeated.

        """
        return await self._run(DECLARE, given)

    async def tag(self, key: bytes, added: list[Tag], removed: list[Tag]) -> Info:
        """Put tags on a series, and take tags away; what it is then.

        Raises:
            Refused: NO_SERIES.

        """
        return await self._run(TAG, key, added, removed)

    async def dedup(self, given: Info) -> Info:
        """Have the higher or the later of two points of one time count; see `registry.dedup`.

        Raises:
            Refused: BAD_SERIES.

        """
        return await self._run(DEDUP, given)

    async def append(self, epoch: int, record: bytes) -> int:
        """Append points; they are durable on a majority when this returns.  The record's number.

        Raises:
            Refused: STALE, declare the series again; STAGING_FULL, seal, or wait; BAD_RECORD.
            OutcomeUnknown, NotExecuted: as `Database.run`; the same points can be appended again.

        """
        return await self._run(APPEND, epoch, record)

    async def delete_points(self, sids: list[int], start: int, stop: int) -> int:
        """Delete a range of series; no read that begins later sees it.  The record's number.

        Raises:
            Refused: STAGING_FULL.

        """
        return await self._run(DELETE_POINTS, sids, start, stop)

    async def delete_series(self, key: bytes) -> None:
        """Delete a series, by its name's key, with all that it has.

        Raises:
            Refused: NO_SERIES; STAGING_FULL.

        """
        await self._run(DELETE_SERIES, key)

    async def begin_job(self, job: Job) -> Job:
        """Begin a deletion of many series; it has its number then.

        Raises:
            Refused: too many are under way.

        """
        return await self._run(BEGIN_JOB, job)

    async def step_job(self, job: Job, sids: list[int], point_count: int) -> Job:
        """Go on with a job: `sids` are next; what it is then.

        Raises:
            Refused: OVERTAKEN; NO_JOB; STAGING_FULL.

        """
        return await self._run(STEP_JOB, job.number, job.cursor, sids, point_count)

    async def cancel_job(self, number: int) -> Job:
        """Delete no more by a job; what it is then.

        Raises:
            Refused: NO_JOB.

        """
        return await self._run(CANCEL_JOB, number)

    async def jobs(self) -> list[Job]:
        """All jobs whose rows are kept, the oldest first."""
        async with self.reading() as reading:
            pages = reading.trees.jobs.pages()
            return [decode_job(row) async for page in pages for _, row in page]

    async def running_job(self) -> Job | None:
        """The oldest job that is not over, as this member knows it."""
        async for page in self._trees.jobs.pages():
            for _, row in page:
                job = decode_job(row)
                if not job.is_over:
                    return job
        return None

    async def keep(self, target: bytes, policy: Policy | None) -> None:
        """Set or remove the rule of `retention.of_series` or `of_tag`.

        Raises:
            Refused: BAD_POLICY.

        """
        await self._run(KEEP, target, policy)

    async def rules(self) -> list[tuple[bytes, Policy]]:
        """The rules of all that are kept for some time only, as this member knows them."""
        return await rules_of(self._db.local.tree(POLICIES_TREE))

    async def note(self, target: bytes, text: str) -> None:
        """Note something of `retention.of_series` or `of_tag`; see `notes.note`.

        Raises:
            Refused: BAD_NOTE.

        """
        await self._run(NOTE, target, text)

    async def notes(self) -> list[tuple[bytes, str]]:
        """All that is noted, as this member knows it."""
        return await notes_of(self._db.local.tree(NOTES_TREE))

    async def describe(self, given: dict[bytes, Described]) -> None:
        """Keep what is said of metrics, by their names.

        Raises:
            RoostError: it was refused, has not run, or nobody knows; it can be said again.

        """
        for lot in lots(given):
            await self._run(DESCRIBE, lot)

    def descriptions(self, metric: bytes = b"") -> AsyncIterator[tuple[bytes, Described]]:
        """What is known of a metric, or of all, as this member knows it."""
        return descriptions(self._db.local.tree(METRICS_TREE), metric)

    async def expire(self, now_ns: int) -> int:
        """Delete or thin what is older than its rule; how much of both.  To be called now and then.

        Raises:
            Refused: STAGING_FULL; what was deleted before stays so.

        """
        count, policies = 0, self._db.local.tree(POLICIES_TREE)
        async for page in too_old(self._trees, policies, now_ns):
            if page.deletions:
                await self._run(DELETE_MANY, page.deletions)
            if page.thinnings:
                await self._run(THIN, page.thinnings)
            count += len(page.deletions) + len(page.thinnings)
        return count

    async def freeze(self) -> bool:
        """Have what is staged sealed though it is not full; whether there is something to seal."""
        return await self._run(FREEZE)

    async def seal_slice(self) -> bool:
        """Seal some of what is frozen; whether there may be more.

        Raises:
            SeriesDamaged: something in the trees is not what was written.
            OutcomeUnknown, NotExecuted: as `Database.run`; it can be repeated.

        """
        found = await self._slicing.slice()
        if found is None:
            return False
        try:
            await self._run(PUT_BLOCKS, found)
        except Refused as refusal:
            if refusal.code != OVERTAKEN:
                raise
        return True

    def staging(self) -> Observation[bytes, bytes]:
        """Records as this member applies them, from its `async with` block on."""
        return self._db.observe(STAGED_TREE)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Reading, None]:
        """Series of one state, which has all that was acknowledged before.

        Raises:
            NoLeader, Overloaded, ViewClosed: as `Database.view`.

        """
        async with self._readings, self._db.view() as view:
            yield await open_reading(trees_of(view), self._records, Turns().spend, self.aside)
