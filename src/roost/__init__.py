"""Roost: replicated storage for Python.

    with roost.open("data") as db: ...

Names are imported when they are used, so that a client does not load a server.
"""

from typing import TYPE_CHECKING

from roost.lazy import lazily

if TYPE_CHECKING:
    from roost import aio
    from roost.client import Client
    from roost.database import (
        UNKNOWN,
        Annotation,
        BadArgument,
        BadDeclaration,
        BadKey,
        BadOpening,
        BadValue,
        Change,
        Conflict,
        DerivedDropped,
        DerivedFailed,
        DerivedLost,
        Limits,
        MemberEnded,
        Operation,
        Operations,
        Overrun,
        Rebuilding,
        Refused,
        Status,
        Transaction,
        UnknownOperation,
        derived,
        events,
    )
    from roost.errors import NotExecuted, OutcomeUnknown, RoostError
    from roost.faces import Closed, Forked
    from roost.member import Backup
    from roost.objects import Context, Machine, SnapshotPolicy, command, query
    from roost.objects.blocking import Database
    from roost.opening import open  # noqa: A004 - it is called roost.open
    from roost.restoring import Restored, restore
else:
    _DATABASE = (
        *("BadArgument", "BadDeclaration", "BadKey", "BadOpening", "BadValue", "Conflict"),
        *("Limits", "MemberEnded", "Operation", "Operations", "Refused", "Status"),
        *("Transaction", "UnknownOperation", "Annotation", "Change", "Overrun", "UNKNOWN"),
        *("DerivedDropped", "DerivedFailed", "DerivedLost", "Rebuilding", "derived"),
        "events",
    )
    _MACHINES = ("Context", "Machine", "SnapshotPolicy", "command", "query")
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(_DATABASE, "roost.database"),
            **dict.fromkeys(("NotExecuted", "OutcomeUnknown", "RoostError"), "roost.errors"),
            **dict.fromkeys(("Closed", "Forked"), "roost.faces"),
            "Backup": "roost.member",
            "Client": "roost.client",
            "Database": "roost.objects.blocking",
            **dict.fromkeys(_MACHINES, "roost.objects"),
            "aio": "roost.aio",
            "open": "roost.opening",
            **dict.fromkeys(("Restored", "restore"), "roost.restoring"),
        },
    )

__all__ = [
    "UNKNOWN",
    "Annotation",
    "Backup",
    "BadArgument",
    "BadDeclaration",
    "BadKey",
    "BadOpening",
    "BadValue",
    "Change",
    "Client",
    "Closed",
    "Conflict",
    "Context",
    "Database",
    "DerivedDropped",
    "DerivedFailed",
    "DerivedLost",
    "Forked",
    "Limits",
    "Machine",
    "MemberEnded",
    "NotExecuted",
    "Operation",
    "Operations",
    "OutcomeUnknown",
    "Overrun",
    "Rebuilding",
    "Refused",
    "Restored",
    "RoostError",
    "SnapshotPolicy",
    "Status",
    "Transaction",
    "UnknownOperation",
    "aio",
    "command",
    "derived",
    "events",
    "open",
    "query",
    "restore",
]
