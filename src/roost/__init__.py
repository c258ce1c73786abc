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
        BadTreeName,
        BadValue,
        Change,
        Conflict,
        DerivedDropped,
        DerivedFailed,
        DerivedLost,
        KeyTooLarge,
        Limits,
        MemberEnded,
        Operation,
        OperationFailed,
        Operations,
        OtherCodec,
        Overrun,
        Rebuilding,
        Refused,
        Status,
        Transaction,
        UnknownOperation,
        ValueTooLarge,
        ViewClosed,
        WriteSetTooLarge,
        derived,
        events,
    )
    from roost.errors import DeviceFault, NotExecuted, OutcomeUnknown, RoostError
    from roost.faces import Closed, Forked
    from roost.journal import DirectoryLocked
    from roost.member import Backup, CannotJoin
    from roost.objects import (
        Context,
        Machine,
        MachineNotOpen,
        MachineStopped,
        SnapshotPolicy,
        command,
        query,
    )
    from roost.opening import open  # noqa: A004 - it is called roost.open
    from roost.program.blocking import Database
    from roost.restoring import Imported, Restored, import_etcd, restore
    from roost.settings import BadSetting
else:
    _DATABASE = (
        *("BadArgument", "BadDeclaration", "BadKey", "BadOpening", "BadValue", "Conflict"),
        *("Limits", "MemberEnded", "Operation", "Operations", "Refused", "Status"),
        *("Transaction", "UnknownOperation", "Annotation", "Change", "Overrun", "UNKNOWN"),
        *("DerivedDropped", "DerivedFailed", "DerivedLost", "Rebuilding", "derived"),
        *("BadTreeName", "KeyTooLarge", "OperationFailed", "OtherCodec", "ValueTooLarge"),
        *("ViewClosed", "WriteSetTooLarge"),
        "events",
    )
    _ERRORS = ("DeviceFault", "NotExecuted", "OutcomeUnknown", "RoostError")
    _MACHINES = (
        *("Context", "Machine", "MachineNotOpen", "MachineStopped", "SnapshotPolicy", "command"),
        "query",
    )
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(_DATABASE, "roost.database"),
            **dict.fromkeys(_ERRORS, "roost.errors"),
            **dict.fromkeys(("Closed", "Forked"), "roost.faces"),
            **dict.fromkeys(("Backup", "CannotJoin"), "roost.member"),
            "BadSetting": "roost.settings",
            "DirectoryLocked": "roost.journal",
            "Client": "roost.client",
            "Database": "roost.program.blocking.database",
            **dict.fromkeys(_MACHINES, "roost.objects"),
            "aio": "roost.aio",
            "open": "roost.opening",
            **dict.fromkeys(("Imported", "Restored", "import_etcd", "restore"), "roost.restoring"),
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
    "BadSetting",
    "BadTreeName",
    "BadValue",
    "CannotJoin",
    "Change",
    "Client",
    "Closed",
    "Conflict",
    "Context",
    "Database",
    "DerivedDropped",
    "DerivedFailed",
    "DerivedLost",
    "DeviceFault",
    "DirectoryLocked",
    "Forked",
    "Imported",
    "KeyTooLarge",
    "Limits",
    "Machine",
    "MachineNotOpen",
    "MachineStopped",
    "MemberEnded",
    "NotExecuted",
    "Operation",
    "OperationFailed",
    "Operations",
    "OtherCodec",
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
    "ValueTooLarge",
    "ViewClosed",
    "WriteSetTooLarge",
    "aio",
    "command",
    "derived",
    "events",
    "import_etcd",
    "open",
    "query",
    "restore",
]
