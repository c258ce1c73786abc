"""The asyncio face of a database with replicated objects: what `roost.aio.open` gives."""

from roost.database.aio import Database as Trees
from roost.objects.aio.objects import Objects


class Database(Trees):
    """Replicated ordered trees, and objects in them; see `roost.database.aio.database`."""

    @property
    def objects(self) -> Objects:
        """Replicated objects: dictionaries, lists, queues, locks and so on, by their names."""
        return Objects(self)
