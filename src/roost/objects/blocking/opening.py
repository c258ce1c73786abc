"""How the asyncio face of a database with objects is opened."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from roost.database import DEFAULT_LIMITS, Builder, Limits, Network, Operations, Urls
from roost.faces import LoopThread
from roost.objects.aio import opening as aio
from roost.objects.blocking.database import Database
from roost.settings import SettingsArguments


def open_database(
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
    loop = LoopThread("roost-database")
    try:
        inner = loop.call(
            aio.open_database(
                path,
                name=name,
                members=members,
                join=join,
                operations=operations,
                limits=limits,
                builder=builder,
                network=network,
                **settings,
            )
        )
    except BaseException:
        loop.close()
        raise
    return Database._owning(inner, loop)
