"""Jobs of deletion, step by step (`jobs`): what the member that leads does for them.

The series of a job are looked up once, by whoever begins or takes over; those that are declared
later are none of them.  Between two steps others go on; a step counts what it deletes.
"""

from dataclasses import dataclass

from roost.database import Refused
from roost.series.engine import Engine
from roost.series.errors import OVERTAKEN, BadSeries, BadWindow
from roost.series.jobs import Job
from roost.series.reading import Reading
from roost.series.selecting import select

# Series that a job may be of, some 40 bytes each while it runs, and those of one step.
SERIES_MAX, STEP_SERIES = 1 << 18, 64


@dataclass(slots=True)
class _Running:
    """A job, and the series that are left behind `cursor`, the last one first."""

    number: int
    cursor: int
    sids: list[int]


class Deleting:
    """What one member does for jobs."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is begun."""
        self._engine = engine
        self._running: _Running | None = None

    async def step(self) -> bool:
        """Make one step of the oldest job; whether there was one to make.

        Raises:
            RoostError: it was not made, or nobody knows; it can be repeated.

        """
        job = await self._engine.running_job()
        if job is None:
            self._running = None
            return False
        running = self._running
        if running is None or (running.number, running.cursor) != (job.number, job.cursor):
            running = self._running = _Running(job.number, job.cursor, await self._left(job))
        page = running.sids[-STEP_SERIES:][::-1]
        async with self._engine.reading() as reading:
            count = await counted(reading, page, job.start, job.stop)
        try:
            await self._engine.step_job(job, page, count)
        except Refused as refusal:
            if refusal.code != OVERTAKEN:
                raise
            self._running = None  # looked up again, if there is something left
        except BaseException:
            self._running = None
            raise
        else:
            del running.sids[len(running.sids) - len(page) :]
            running.cursor = page[-1] if page else running.cursor
        return True

    async def _left(self, job: Job) -> list[int]:
        try:
            async with self._engine.reading() as reading:
                found = select(reading, job.names, job.tags, most=SERIES_MAX)
                sids = {it async for it in found if it > job.cursor}
        except (BadSeries, BadWindow) as error:
            # It was looked up before it began; there are more by now than a job may be of.
            await self._engine.cancel_job(job.number)
            raise Refused(f"job {job.number} is cancelled: {error}") from error
        return sorted(sids, reverse=True)


async def counted(reading: Reading, sids: list[int], start: int, stop: int) -> int:
    """How many numbers series have in a range."""
    total = 0
    for sid in sids:
        content = await reading.content(sid)
        if content is not None:
            total += await content.count(start, stop)
    return total
