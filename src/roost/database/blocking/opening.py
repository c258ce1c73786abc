"""How the asyncio face of a database is opened."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from roost.database.aio import opening as aio
from roost.database.blocking.database import Database
from roost.database.embedded import Builder
from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.operations import Operations
from roost.database.place import Urls
from roost.faces import LoopThread
from roost.peer import Network
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
    """Open the database in a directory, which is made when it is not there; None = in memory.

    Alone, unless `members` or `join` say otherwise; see `roost.database.place`.  `operations` are
    those of the program, the same on every member.  `settings` have the names and meanings of the
    command line's (`docs/reference/settings.md`), durations in seconds.  `network` is what members
    talk over, in place of TCP.

    Raises:
        BadOpening, BadSetting: what was told cannot be.
        BadDeclaration: two operations have one name.
        CannotJoin: no member lets this one in.
        DirectoryLocked: another process, or this one, has it open.
        DeviceFault: the directory is damaged, or somebody else's.
        OSError: a port cannot be listened on.

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
