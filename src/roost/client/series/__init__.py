"""Time series of a cluster, for programs: points in, and questions answered.

    from roost.client import series

    with series.connect("127.0.0.1:2379", wait_for_server_flush=True) as con:
        with con.series("sensor1.heat") as s:
            s.add(datetime.now(UTC), 21.5)
        days = con.query("sensor1.heat").between(t0, t1).window("1d", tz="Europe/Prague")
        print(days.aggregate("max", "min", "mean").fetch())

`series.aio` has the same for asyncio: `async with series.aio.connect(...) as con`, and what waits
is awaited.  docs/how-to/series.md shows both.
"""

from roost.client.series import aio, sharded
from roost.client.series.answers import Answer, Live, Table
from roost.client.series.blocking import Appender, Connection, Question, connect, query
from roost.client.series.dataset import Every, Exported, State, export
from roost.client.series.errors import BadPoint, SeriesRefused
from roost.client.series.questions import Asked

__all__ = [
    "Answer",
    "Appender",
    "Asked",
    "BadPoint",
    "Connection",
    "Every",
    "Exported",
    "Live",
    "Question",
    "SeriesRefused",
    "State",
    "Table",
    "aio",
    "connect",
    "export",
    "query",
    "sharded",
]
