"""Clients for Roost and etcd.

`Client` is where to begin; `docs/how-to/python-client.md` shows it.  `roost.client.aio` has the
same classes for asyncio, of which those here are made.

    with Client("127.0.0.1:2379") as client:
        client.put("greeting", "hello")
        print(client.get("greeting"))
"""

from typing import TYPE_CHECKING

from roost.client.blocking import Client, Election, Leading, Leases, Lock, Session, Stm, Users
from roost.client.channel import Manners
from roost.client.credentials import Credentials
from roost.client.errors import (
    BadEndpoint,
    Busy,
    ClientError,
    Compacted,
    Contended,
    CounterRefused,
    LeaseLost,
    LeaseNotFound,
    NoSpace,
    NotLoggedIn,
    OperationRefused,
    OutcomeUnknown,
    PermissionDenied,
    RequestRefused,
    TooLarge,
    Unreachable,
    WaitedTooLong,
    WrongLoop,
    is_lost,
)
from roost.client.scope import Scope
from roost.client.shapes import (
    Alarm,
    Change,
    Granted,
    HashKv,
    Item,
    Leader,
    Member,
    Page,
    Permission,
    Status,
    TimeToLive,
)
from roost.client.transactions import Delete, Get, Key, Put, Txn, TxnAnswer
from roost.lazy import lazily
from roost.proto.ranges import prefix_end

if TYPE_CHECKING:
    from roost.client.blocking import Counters, Later
    from roost.client.sticky import Retry
else:  # who does not count does not load them
    __getattr__ = lazily(
        __name__,
        {
            "Counters": "roost.client.blocking",
            "Later": "roost.client.blocking",
            "Retry": "roost.client.sticky",
        },
    )

__all__ = [
    "Alarm",
    "BadEndpoint",
    "Busy",
    "Change",
    "Client",
    "ClientError",
    "Compacted",
    "Contended",
    "CounterRefused",
    "Counters",
    "Credentials",
    "Delete",
    "Election",
    "Get",
    "Granted",
    "HashKv",
    "Item",
    "Key",
    "Later",
    "Leader",
    "Leading",
    "LeaseLost",
    "LeaseNotFound",
    "Leases",
    "Lock",
    "Manners",
    "Member",
    "NoSpace",
    "NotLoggedIn",
    "OperationRefused",
    "OutcomeUnknown",
    "Page",
    "Permission",
    "PermissionDenied",
    "Put",
    "RequestRefused",
    "Retry",
    "Scope",
    "Session",
    "Status",
    "Stm",
    "TimeToLive",
    "TooLarge",
    "Txn",
    "TxnAnswer",
    "Unreachable",
    "Users",
    "WaitedTooLong",
    "WrongLoop",
    "is_lost",
    "prefix_end",
]
