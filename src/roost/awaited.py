"""`roost.aio.open`: as `roost.open`, on the caller's event loop."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.operations import Operations
from roost.database.place import Urls
from roost.peer import Network
from roost.program.aio import Database
from roost.program.aio.opening import open_database
from roost.settings import SettingsArguments


class Opening:
    """A database that is about to be opened: by `await`, or for an `async with` block."""

    def __init__(self, path: str | Path | None, given: Mapping[str, Any]) -> None:
        """Nothing is opened before somebody waits."""
        self._path = path
        self._given = given
        self._database: Database | None = None

    async def _open(self) -> Database:
        return await open_database(self._path, self._given)

    def __await__(self) -> Generator[Any, Any, Database]:
        """Open it; whoever gets it closes it."""
        return self._open().__await__()

    async def __aenter__(self) -> Database:
        """Open it for a block."""
        self._database = await self._open()
        return self._database

    async def __aexit__(self, *exc: object) -> None:
        """Close it."""
        assert self._database is not None, "it was opened"
        await self._database.close()


def open(  # noqa: A001 - it is called roost.aio.open
    path: str | Path | None,
    *,
    name: str = "default",
    members: Mapping[str, Urls] | None = None,
    join: Sequence[str] = (),
    operations: Iterable[Operations] = (),
    limits: Limits = DEFAULT_LIMITS,
    network: Network | None = None,
    **settings: Unpack[SettingsArguments],
) -> Opening:
    """Open the database in a directory, which is made when it is not there; None = in memory.

    As `roost.open`, on the event loop that awaits it.

    Raises:
        RoostError, OSError: as `roost.open`.

    """
    given = {
        "name": name,
        "members": members,
        "join": join,
        "operations": operations,
        "limits": limits,
        "network": network,
        "settings": settings,
    }
    return Opening(path, given)
