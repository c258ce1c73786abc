"""How the asyncio face of a database is opened."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from roost.database.aio.database import Database
from roost.database.builtin import BUILTIN
from roost.database.embedded import Bare, Builder, Embedded
from roost.database.errors import BadOpening
from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.operations import Operations, by_name
from roost.database.place import Place, Urls, place_of, remove
from roost.member.settings import make_world
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
    **settings: Unpack[SettingsArguments],
) -> Database:
    """Open the database in a directory, which is made when it is not there; None = in memory.

    Alone, unless `members` or `join` say otherwise; see `roost.database.place`.  `operations` are
    those of the program, the same on every member.  `settings` have the names and meanings of the
    command line's (`docs/reference/settings.md`), durations in seconds.

    Raises:
        BadOpening, BadSetting: what was told cannot be.
        BadDeclaration: two operations have one name.
        CannotJoin: no member lets this one in.
        DirectoryLocked: another process, or this one, has it open.
        DeviceFault: the directory is damaged, or somebody else's.
        OSError: a port cannot be listened on.

    """
    known = by_name(operations)
    place = place_of(path, name=name, members=members, join=join, given=settings)
    builder = builder or Bare()
    try:
        builder.check(place.settings)
        embedded = await Embedded.open(
            place.config,
            make_world(place.settings),
            settings=place.settings,
            builder=builder,
            operations={**known, **BUILTIN},
            limits=limits,
            joins=place.joins,
            is_forced=place.settings.force_new_cluster,
        )
    except BaseException:
        remove(place.temporary)
        raise
    embedded.on_closed = lambda: remove(place.temporary)
    await _check_alone(embedded, place)
    return Database(embedded, limits)


async def _check_alone(embedded: Embedded, place: Place) -> None:
    """Refuse to be alone with the directory of a member of many: it would wait for ever.

    Raises:
        BadOpening: it is.

    """
    voters = embedded.member.core.configuration.all_voters()
    if place.is_alone and len(voters) > 1:
        await asyncio.shield(embedded.close())
        raise BadOpening(
            f"{place.config.data_dir} is of a member of a cluster of {len(voters)}: give members=, "
            "or listen_peer_urls=, so that the others can reach it"
        )
