"""Who a member is to its peers: what it says of itself, and what it knows of them."""

from dataclasses import dataclass

from roost.peer.frame import Hello, Life

CONTROL, BULK, SNAPSHOT = 0, 1, 2
CHANNELS = (CONTROL, BULK, SNAPSHOT)
# The id of whoever does not know its own yet.
NEWCOMER = 0
Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPeer:
    """Who we are to our peers."""

    cluster_id: int
    member_id: int
    life: Life
    protocol_version: int
    storage_version: int
    addresses: tuple[Address, ...] = ()

    def hello(self, target_id: int, channel: int, nonce: bytes) -> Hello:
        """What we say to `target_id` when we dial it."""
        return Hello(
            cluster_id=self.cluster_id,
            member_id=self.member_id,
            life=self.life,
            target_id=target_id,
            channel=channel,
            protocol_version=self.protocol_version,
            storage_version=self.storage_version,
            nonce=nonce,
            addresses=self.addresses,
        )


@dataclass(frozen=True, slots=True)
class Known:
    """A member as our roster has it: where it is, and what else its certificate may name."""

    addresses: tuple[Address, ...]
    names: tuple[str, ...] = ()
