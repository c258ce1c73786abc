"""The client that blocks."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import TYPE_CHECKING

from roost.client.blocking.client import Client
from roost.client.blocking.leases import Leases
from roost.client.blocking.locks import Election, Leading, Lock
from roost.client.blocking.session import Session
from roost.client.blocking.stm import Stm
from roost.client.blocking.users import Users
from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.client.blocking.counters import Batch, Counters
    from roost.client.blocking.later import Later
else:
    __getattr__ = lazily(
        __name__,
        {
            "Batch": "roost.client.blocking.counters",
            "Counters": "roost.client.blocking.counters",
            "Later": "roost.client.blocking.later",
        },
    )
__all__ = [
    "Batch",
    "Client",
    "Counters",
    "Election",
    "Later",
    "Leading",
    "Leases",
    "Lock",
    "Session",
    "Stm",
    "Users",
]
