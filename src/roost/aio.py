"""The asyncio face of Roost: `async with roost.aio.open("data") as db: ...`.

The same names as those of `roost`, on the caller's event loop; each is loaded when it is first
used, so that a client does not load a server.
"""

from typing import TYPE_CHECKING

from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.awaited import Opening, open  # noqa: A004 - it is called roost.aio.open
    from roost.client.aio import Client
    from roost.database.aio import (
        Attempt,
        DerivedTree,
        Events,
        Local,
        MultiTree,
        Observation,
        Queue,
        ReadMultiTree,
        Reads,
        ReadTree,
        Tree,
        View,
    )
    from roost.objects.aio import MachineHandle
    from roost.program.aio import Database
else:
    _TREES = ("MultiTree", "Queue", "ReadMultiTree", "ReadTree", "Tree")
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(
                (
                    *_TREES,
                    "Attempt",
                    "DerivedTree",
                    "Events",
                    "Local",
                    "Observation",
                    "Reads",
                    "View",
                ),
                "roost.database.aio",
            ),
            **dict.fromkeys(("Opening", "open"), "roost.awaited"),
            "Client": "roost.client.aio",
            "Database": "roost.program.aio.database",
            "MachineHandle": "roost.objects.aio",
        },
    )

__all__ = [
    "Attempt",
    "Client",
    "Database",
    "DerivedTree",
    "Events",
    "Local",
    "MachineHandle",
    "MultiTree",
    "Observation",
    "Opening",
    "Queue",
    "ReadMultiTree",
    "ReadTree",
    "Reads",
    "Tree",
    "View",
    "open",
]
