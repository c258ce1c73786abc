"""Clients for Roost and etcd."""

from roost.client.blocking import Change, Client, Item, Member, prefix_end
from roost.client.credentials import Credentials
from roost.client.errors import ClientError, Unreachable
from roost.client.leases import Leader, Leases, TimeToLive
from roost.client.users import Permission, Users

__all__ = [
    "Change",
    "Client",
    "ClientError",
    "Credentials",
    "Item",
    "Leader",
    "Leases",
    "Member",
    "Permission",
    "TimeToLive",
    "Unreachable",
    "Users",
    "prefix_end",
]
