"""Clients for Roost and etcd.

`Client` is where to begin; `docs/how-to/python-client.md` shows it.

    with Client("127.0.0.1:2379") as client:
        client.put(b"greeting", b"hello")
        print(client.get(b"greeting"))
"""

from roost.client.blocking import Change, Client, Item, Member
from roost.client.connections import is_lost
from roost.client.credentials import Credentials
from roost.client.errors import BadEndpoint, ClientError, Compacted, LeaseLost, Unreachable
from roost.client.leases import Leases, TimeToLive
from roost.client.scope import Scope
from roost.client.session import Session
from roost.client.turns import Leader
from roost.client.users import Permission, Users
from roost.proto.ranges import prefix_end

__all__ = [
    "BadEndpoint",
    "Change",
    "Client",
    "ClientError",
    "Compacted",
    "Credentials",
    "Item",
    "Leader",
    "LeaseLost",
    "Leases",
    "Member",
    "Permission",
    "Scope",
    "Session",
    "TimeToLive",
    "Unreachable",
    "Users",
    "is_lost",
    "prefix_end",
]
