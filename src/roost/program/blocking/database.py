"""The asyncio face of a database with all services of its member: what `roost.aio.open` gives."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import TYPE_CHECKING

from roost.objects.blocking import Database as Objects
from roost.program.aio import database as aio

if TYPE_CHECKING:
    from roost.counters.blocking import Counters
    from roost.program.blocking.series import Series


class Database(Objects):
    """Replicated trees, objects in them, time series, and counters; see `roost.database.aio`."""

    _inner: aio.Database

    @property
    def counters(self) -> "Counters":
        """Counters, which count while the cluster is split; the calls are those of a client.

        Raises:
            BadOpening: the database was opened without these services.

        """
        from roost.counters.blocking import Counters

        return Counters._of(self._inner.counters, self._loop)

    @property
    def series(self) -> "Series":
        """Time series: points in, and questions answered, by the member in this process.

        They need the extra `roost[series]`, which each call says when it is not installed.

        """
        from roost.program.blocking.series import Series

        return Series._of(self._inner.series, self._loop)
