"""The asyncio face of time series in the program whose member has them: `db.series`.

    async with db.series.connect(wait_for_server_flush=True) as con:
        await con.add("sensor1.heat", datetime.now(UTC), 21.5)
    days = await db.series.query("sensor1.heat").window("1d").aggregate("max").fetch()

What it gives is the client's (`roost.client.series`), with all of its calls and errors; only the
way to the member is another one.
"""

from roost.client.series.aio import Connection, Question
from roost.client.series.questions import Asked
from roost.database.embedded import Embedded
from roost.program.here import Here

# How long an answer may take that is asked for without a connection.
ANSWER_S = 30.0


class Series:
    """Time series of one database."""

    def __init__(self, embedded: Embedded) -> None:
        """Use `Database.series`."""
        self._embedded = embedded

    def connect(
        self, *, wait_for_server_flush: bool = False, timeout_s: float = 30.0
    ) -> "Connection":
        """A connection, to be entered by `async with`; it ends with the database, at the latest.

        As `roost.client.series.connect`: with `wait_for_server_flush` an appender's block ends when
        its points are durable on a majority.  `timeout_s` is how long nothing may come.
        """
        way = Here(self._embedded, timeout_s)
        return Connection(way, wait_for_server_flush=wait_for_server_flush, timeout_s=timeout_s)

    def query(self, *names: str) -> "Question":
        """Ask for series, by their names; `by_tag` adds tags."""
        return Question(Here(self._embedded, ANSWER_S), Asked(names=names))
