"""`roost.open`: a database with all its services, in this program."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.operations import Operations
from roost.database.place import Urls
from roost.peer import Network
from roost.program.blocking import Database
from roost.program.blocking.opening import open_database
from roost.settings import SettingsArguments


def open(  # noqa: A001 - it is called roost.open
    path: str | Path | None,
    *,
    name: str = "default",
    members: Mapping[str, Urls] | None = None,
    join: Sequence[str] = (),
    operations: Iterable[Operations] = (),
    limits: Limits = DEFAULT_LIMITS,
    network: Network | None = None,
    **settings: Unpack[SettingsArguments],
) -> Database:
    """Open the database in a directory, which is made when it is not there; None = in memory.

    The member runs on a thread of its own; every method is safe from any thread.  Without `members`
    and `join` it is alone, and no port is opened.

    * `members`: who the first members of a cluster are, `{"m1": "10.0.0.1:2380", ...}`; `name` says
      which of them this is.
    * `join`: addresses of members of a running cluster, which has added this one by its
      `listen_peer_urls` (`roost member add`), as a voter or as a learner.
    * `operations`: those of the program, the same on every member.
    * `network`: what members talk over, in place of TCP; see `docs/how-to/own-transport.md`.
    * `settings`: as the command line's, with `_` for `-`; durations in seconds.

    What is acknowledged is durable on a majority.  In memory nothing is: it is gone with the close.

    Raises:
        BadOpening, BadSetting: what was told cannot be; nothing was opened.
        BadDeclaration: two operations have one name.
        CannotJoin: no member lets this one in.
        DirectoryLocked: another process, or this one, has it open.
        DeviceFault: the directory is damaged, or somebody else's.
        OSError: a port cannot be listened on.

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
    return open_database(path, given)
