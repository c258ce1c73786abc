"""The asyncio face of a database with replicated objects: what `roost.aio.open` gives."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.database.blocking import Database as Trees
from roost.objects.aio import database as aio
from roost.objects.blocking.objects import Objects


class Database(Trees):
    """Replicated ordered trees, and objects in them; see `roost.database.aio.database`."""

    _inner: aio.Database

    @property
    def objects(self) -> Objects:
        """Replicated objects: dictionaries, lists, queues, locks and so on, by their names."""
        return Objects._of(self._inner.objects, self._loop)
