"""How the asyncio face of a database with all services is opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roost.database import open_as
from roost.objects.layouts.operations import OPERATIONS
from roost.program.aio.database import Database
from roost.server.embedding import Services


async def open_database(path: str | Path | None, given: Mapping[str, Any]) -> Database:
    """Open the database in a directory; `given` is what `roost.open` was, by name.

    Raises:
        RoostError, OSError: as `roost.open`.

    """
    return await open_as(Database, path, built_in=OPERATIONS, builder=Services(), **given)
