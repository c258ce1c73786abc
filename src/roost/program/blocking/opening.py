"""How the asyncio face of a database with all services is opened."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roost.faces import LoopThread
from roost.program.aio import opening as aio
from roost.program.blocking.database import Database


def open_database(path: str | Path | None, given: Mapping[str, Any]) -> Database:
    """Open the database in a directory; `given` is what `roost.open` was, by name.

    Raises:
        RoostError, OSError: as `roost.open`.

    """
    loop = LoopThread("roost-database")
    try:
        inner = loop.call(aio.open_database(path, given))
    except BaseException:
        loop.close()
        raise
    return Database._owning(inner, loop)
