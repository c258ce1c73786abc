"""The asyncio face of a database with all services of its member: what `roost.aio.open` gives."""

from typing import TYPE_CHECKING

from roost.objects.aio import Database as Objects

if TYPE_CHECKING:  # who has no time series does not load them
    from roost.program.aio.series import Series


class Database(Objects):
    """Replicated ordered trees, objects in them, and time series; see `roost.database.aio`."""

    @property
    def series(self) -> "Series":
        """Time series: points in, and questions answered, by the member in this process.

        They need the extra `roost[series]`, which each call says when it is not installed.
        """
        from roost.program.aio.series import Series

        return Series(self._embedded)
