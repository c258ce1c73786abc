"""The asyncio face of a database with all services of its member: what `roost.aio.open` gives."""

from typing import TYPE_CHECKING

from roost.database.errors import BadOpening
from roost.objects.aio import Database as Objects
from roost.server.embedding import Embedding

if TYPE_CHECKING:  # who has no time series, or does not count, does not load them
    from roost.counters.aio import Counters
    from roost.program.aio.series import Series


class Database(Objects):
    """Replicated trees, objects in them, time series, and counters; see `roost.database.aio`."""

    @property
    def counters(self) -> "Counters":
        """Counters, which count while the cluster is split; the calls are those of a client.

        Raises:
            BadOpening: the database was opened without these services.

        """
        from roost.counters.aio import Counters

        rooms = self._embedded.rooms
        found = rooms.inside("counters") if isinstance(rooms, Embedding) else None
        if not isinstance(found, Counters):
            raise BadOpening("there are no counters here: open it with roost.open")
        return found

    @property
    def series(self) -> "Series":
        """Time series: points in, and questions answered, by the member in this process.

        They need the extra `roost[series]`, which each call says when it is not installed.
        """
        from roost.program.aio.series import Series

        return Series(self._embedded)
