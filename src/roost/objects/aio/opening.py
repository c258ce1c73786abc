"""How the asyncio face of a database with objects is opened."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from roost.database import (
    DEFAULT_LIMITS,
    Builder,
    Limits,
    Network,
    Operations,
    Urls,
    open_as,
)
from roost.objects.aio.database import Database
from roost.objects.layouts.operations import OPERATIONS
from roost.settings import SettingsArguments


async def open_database(
    path: str | Path | None,
    *,
    name: str = "default",
    members: Mapping[str, Urls] | None = None,
    join: Sequence[str] = (),
    operations: Iterable[Operations] = (),
    limits: Limits = DEFAULT_LIMITS,
    builder: Builder | None = None,
    network: Network | None = None,
    **settings: Unpack[SettingsArguments],
) -> Database:
    """Open the database in a directory; see `roost.database.aio.open_database`.

    Raises:
        RoostError, OSError: as there.

    """
    return await open_as(
        Database,
        path,
        name=name,
        members=members,
        join=join,
        operations=operations,
        built_in=OPERATIONS,
        limits=limits,
        builder=builder,
        network=network,
        settings=settings,
    )
