"""Points of series as they come, from the member that is asked, in the order of the log.

What is told is durable: a record is told when it is applied here.  Late points are told when they
come; deletions are not.  Series are those that are there when it begins.

As server-sent events (WHATWG), one a series of a record, or the same without its words as lines:

    data: {"name":"cpu{host=a}","points":[["2024-03-01T00:00:00Z",0.5]]}

Full?  What was applied and not taken is 10,000 records or 8 MiB (`Database.observe`).  Whoever is
slower is told that some are missing, `{"missed":true}`, and goes on with what is new.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from datetime import tzinfo
from typing import TypeVar

import msgspec

from roost.database import Overrun, Refused
from roost.faces import Closed
from roost.series.engine import Engine
from roost.series.errors import NO_SERIES, BadWindow
from roost.series.extra import Ints, np
from roost.series.names import Tag
from roost.series.parts import numbers, step_rows
from roost.series.records import Batch, decode
from roost.series.selecting import select
from roost.series.spelling import Precision, series_text, time_texts
from roost.tasks import Tasks

# When nothing comes for so long it is said that somebody is there.
ALIVE_S = 10.0
SERIES_MAX = 1000
# A series of a record takes as long to tell as so many points in UTC; a turn tells STEP_POINTS.
SERIES_POINTS, STEP_POINTS = 30, 1000
T = TypeVar("T")


async def titles_of(engine: Engine, names: list[str], tags: list[Tag]) -> dict[int, str]:
    """The series that are asked for, by their numbers.

    Raises:
        BadWindow: there are more than SERIES_MAX.
        Refused: NO_SERIES, there is none.
        RoostError: as `queries.select`.

    """
    found: dict[int, str] = {}
    async with engine.reading() as reading:
        async for sid in select(reading, names, tags):
            info = await reading.trees.read_info(sid)
            if info is not None:
                found[sid] = series_text(info.name, info.labels)
            if len(found) > SERIES_MAX:
                raise BadWindow(f"more than {SERIES_MAX} series: ask for fewer")
    if not found:
        raise Refused("there is no such series", code=NO_SERIES)
    return found


async def tail(
    engine: Engine, titles: Mapping[int, str], tz: tzinfo, unit: Precision | None
) -> AsyncGenerator[dict[str, object], None]:
    """What comes for series from now on, until nobody listens or the database is closed.

    An empty value says that it has begun, or that nothing came for ALIVE_S.
    """
    wanted = np.array(sorted(titles), np.int64)
    waiting = Tasks(on_error=lambda _: None)  # whoever waits for it is told
    async with engine.staging() as seen:
        pages = seen.pages()
        try:
            yield {}
            point_cost = max(1, STEP_POINTS // step_rows(1, tz, unit))
            while True:
                coming = waiting.start(_next(pages))
                while not (await asyncio.wait((coming,), timeout=ALIVE_S))[0]:
                    yield {}
                page = coming.result()
                if page is None:
                    return
                for it in page:
                    if isinstance(it, Overrun):
                        yield {"missed": True}
                    elif it.value is not None:
                        record = decode(it.value)
                        if isinstance(record, Batch):
                            spent = 0
                            for count, row in _rows(record, titles, wanted, tz, unit):
                                yield row
                                spent += SERIES_POINTS + point_cost * count
                                if spent >= STEP_POINTS:
                                    spent = 0
                                    await asyncio.sleep(0)
                        await asyncio.sleep(0)
        finally:
            await waiting.close()
            await pages.aclose()


async def _next(pages: AsyncIterator[list[T]]) -> list[T] | None:
    try:
        return await anext(pages, None)
    except Closed:
        return None


def _rows(
    record: Batch, titles: Mapping[int, str], wanted: Ints, tz: tzinfo, unit: Precision | None
) -> Iterator[tuple[int, dict[str, object]]]:
    """Points of a record that somebody wants, some at a time; how many, and the row."""
    step = step_rows(1, tz, unit)
    for sid in np.intersect1d(record.sids, wanted).tolist():
        table = record.of(sid)
        assert table is not None, "it is one of them"
        for begin in range(0, len(table), step):
            part = table.at(slice(begin, begin + step))
            times = time_texts(part.times, tz, unit)
            points = list(zip(times, numbers("value", part.values), strict=True))
            yield len(points), {"name": titles[sid], "points": points}


async def as_events(rows: AsyncIterator[dict[str, object]]) -> AsyncIterator[bytes]:
    """As server-sent events."""
    async for row in rows:
        word = b"event: missed\n" if "missed" in row else b""
        yield word + b"data: " + msgspec.json.encode(row) + b"\n\n" if row else b":\n\n"


async def as_lines(rows: AsyncIterator[dict[str, object]]) -> AsyncIterator[bytes]:
    """As JSON, a line each."""
    async for row in rows:
        yield msgspec.json.encode(row) + b"\n"
