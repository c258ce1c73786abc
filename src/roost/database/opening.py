"""How a database is opened: the place, the member in it, and the face that is asked for.

A room above, which has more to give than trees (`roost.objects`), opens a face of its own.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from roost import compiled
from roost.database.builtin import BUILTIN
from roost.database.embedded import Bare, Builder, Embedded
from roost.database.errors import BadOpening
from roost.database.limits import Limits
from roost.database.operations import Operation, Operations, by_name
from roost.database.place import Place, Urls, place_of, remove, unfit
from roost.member.settings import make_world
from roost.peer import BorrowedNetwork, Network
from roost.settings import SettingsArguments

F = TypeVar("F")


async def open_as(
    kind: Callable[[Embedded, Limits], F],
    path: str | Path | None,
    *,
    name: str,
    members: Mapping[str, Urls] | None,
    join: Sequence[str],
    operations: Iterable[Operations],
    built_in: Mapping[str, Operation[Any, Any]],
    limits: Limits,
    builder: Builder | None,
    network: Network | None,
    settings: SettingsArguments,
) -> F:
    """Open the database in a directory as `kind`; see `roost.database.aio.open_database`.

    `built_in` are operations that its members know besides, whatever the program declares.

    Raises:
        RoostError, OSError: as there.

    """
    if (wrong := _compiled_fault()) is not None:
        raise BadOpening(f"{wrong}: `make fast` or `make slow`, or install it anew")
    known = by_name(operations)
    if not isinstance(limits, Limits):
        raise BadOpening(f"limits={limits!r}: give roost.Limits(...)")
    place = place_of(path, name=name, members=members, join=join, given=settings)
    builder = builder or Bare()
    try:
        world = make_world(place.settings)
        if network is not None:
            world.network = BorrowedNetwork(network)
        builder.check(place.settings)
        embedded = await Embedded.open(
            place.config,
            world,
            settings=place.settings,
            builder=builder,
            operations={**known, **BUILTIN, **built_in},
            limits=limits,
            joins=place.joins,
            is_forced=place.settings.force_new_cluster,
        )
    except OSError as error:
        remove(place.temporary)
        raise unfit(place.config.data_dir, error) or error from error
    except BaseException:
        remove(place.temporary)
        raise
    embedded.on_closed = lambda: remove(place.temporary)
    await _check_alone(embedded, place)
    return kind(embedded, limits)


@functools.cache
def _compiled_fault() -> str | None:
    """What `compiled.fault` says; all sources are read for that, once in a process."""
    return compiled.fault()


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
