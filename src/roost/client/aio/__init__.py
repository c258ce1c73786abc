"""The client for asyncio."""

from typing import TYPE_CHECKING

from roost.client.aio.client import Client
from roost.client.aio.leases import Leases
from roost.client.aio.locks import Election, Leading, Lock
from roost.client.aio.session import Session
from roost.client.aio.stm import Stm
from roost.client.aio.users import Users
from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.client.aio.counters import Batch, Counters
    from roost.client.aio.later import Later
else:
    __getattr__ = lazily(
        __name__,
        {
            "Batch": "roost.client.aio.counters",
            "Counters": "roost.client.aio.counters",
            "Later": "roost.client.aio.later",
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
