"""A flow: the requests of one client, between which and others work is shared.

A client is a user where somebody has to be one, else a network: an IPv4 address, or a whole /64 of
IPv6, which is what one customer gets.  By address alone a neighbour behind the same proxy, or on
the same machine, could make everybody there wait; by connection alone a client would get as many
turns as it opens connections.  So a flow has both, and turns go round among owners first, then
among the connections of an owner (`fair_queue.py`).
"""

from ipaddress import IPv6Address, ip_network
from typing import Final, NamedTuple

# A longer name shares its turns with all that begin like it; it travels with every request that a
# follower hands on, in four bytes a character at most.
_USER_CHARS_MAX: Final = 48
OWNER_BYTES_MAX: Final = 255
CONNECTION_MAX: Final = 0xFFFF


class Flow(NamedTuple):
    """Who owns the requests, and by which connection they came: its port, as the client has it."""

    owner: str
    connection: int = 0

    def as_user(self, user: str) -> "Flow":
        """The same connection, and a user who has said who it is."""
        return Flow(f"user:{user[:_USER_CHARS_MAX]}", self.connection)


# What a member asks for by itself.
OWN = Flow("")


def flow_of(address: str, port: int) -> Flow:
    """What comes by a connection from there, as long as nobody has to say who it is."""
    return Flow(network_of(address), port)


def network_of(address: str) -> str:
    """What counts as one place."""
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address  # IPv4, or no network at all
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))
