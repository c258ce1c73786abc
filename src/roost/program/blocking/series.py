"""The asyncio face of time series in the program whose member has them: `db.series`.

    with db.series.connect(wait_for_server_flush=True) as con:
        con.add("sensor1.heat", datetime.now(UTC), 21.5)
    days = db.series.query("sensor1.heat").window("1d").aggregate("max").fetch()

What it gives is the client's (`roost.client.series`), with all of its calls and errors; only the
way to the member is another one.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.client.series.blocking import Connection, Question
from roost.faces import Face
from roost.program.aio import series as aio


class Series(Face):
    """Time series of one database."""

    _inner: aio.Series

    def connect(
        self, *, wait_for_server_flush: bool = False, timeout_s: float = 30.0
    ) -> "Connection":
        """A connection, to be entered by `with`; it ends with the database, at the latest.

        As `roost.client.series.connect`: with `wait_for_server_flush` an appender's block ends when
        its points are durable on a majority.  `timeout_s` is how long nothing may come.

        """
        return Connection._of(
            self._inner.connect(wait_for_server_flush=wait_for_server_flush, timeout_s=timeout_s),
            self._loop,
        )

    def query(self, *names: str) -> "Question":
        """Ask for series, by their names; `by_tag` adds tags."""
        return Question._of(self._inner.query(*names), self._loop)
