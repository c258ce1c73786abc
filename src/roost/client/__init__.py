"""Clients for Roost and etcd."""

from roost.client.blocking import Change, Client, Item, Member, prefix_end
from roost.client.errors import ClientError, Unreachable

__all__ = ["Change", "Client", "ClientError", "Item", "Member", "Unreachable", "prefix_end"]
