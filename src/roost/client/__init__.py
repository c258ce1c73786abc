"""Clients for Roost and etcd."""

from roost.client.blocking import Change, Client, Item, prefix_end
from roost.client.errors import ClientError, Unreachable

__all__ = ["Change", "Client", "ClientError", "Item", "Unreachable", "prefix_end"]
