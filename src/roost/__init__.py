"""Roost: replicated storage for Python.

    with roost.open("data") as db: ...

Names are imported when they are used, so that a client does not load a server.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roost import aio
    from roost.database import (
        BadArgument,
        BadDeclaration,
        BadKey,
        BadOpening,
        BadValue,
        Conflict,
        Limits,
        MemberEnded,
        Operation,
        Operations,
        Refused,
        Status,
        Transaction,
        UnknownOperation,
    )
    from roost.database.blocking import Database
    from roost.errors import NotExecuted, OutcomeUnknown, RoostError
    from roost.faces import Closed, Forked
    from roost.opening import open  # noqa: A004 - it is called roost.open

__all__ = [
    "BadArgument",
    "BadDeclaration",
    "BadKey",
    "BadOpening",
    "BadValue",
    "Closed",
    "Conflict",
    "Database",
    "Forked",
    "Limits",
    "MemberEnded",
    "NotExecuted",
    "Operation",
    "Operations",
    "OutcomeUnknown",
    "Refused",
    "RoostError",
    "Status",
    "Transaction",
    "UnknownOperation",
    "aio",
    "open",
]


def __getattr__(name: str) -> object:
    """Import a public name."""
    from importlib import import_module

    if name == "aio":
        return import_module("roost.aio")
    places = {"Database": "database.blocking", "open": "opening"}
    places |= dict.fromkeys(("NotExecuted", "OutcomeUnknown", "RoostError"), "errors")
    places |= dict.fromkeys(("Closed", "Forked"), "faces")
    if name not in __all__:
        raise AttributeError(f"module 'roost' has no attribute {name!r}")
    module = import_module(f"roost.{places.get(name, 'database')}")
    held: object = getattr(module, name)
    globals()[name] = held
    return held
