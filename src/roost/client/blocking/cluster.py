"""Who is in the cluster (etcd api: Cluster)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Sequence

from roost.client.aio import cluster as aio
from roost.client.shapes import Member
from roost.faces import Face


class Cluster(Face):
    """The members of a cluster."""

    _inner: aio.Cluster

    def members(self, *, serializable: bool = False) -> list[Member]:
        """All members, linearizably; or as one of them knows them, though nobody leads."""
        return self._loop.call(self._inner.members(serializable=serializable))

    def add_member(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> tuple[Member, list[Member]]:
        """Add a member, to be started afterwards; return it, and all members."""
        return self._loop.call(self._inner.add_member(peer_urls, is_learner=is_learner))

    def replace_member(
        self, member_id: int, peer_urls: Sequence[str]
    ) -> tuple[Member, list[Member]]:
        """Put a new member in another's place; return it, and all members.  Roost's own."""
        return self._loop.call(self._inner.replace_member(member_id, peer_urls))

    def remove_member(self, member_id: int) -> list[Member]:
        """Remove a member for good; return the others."""
        return self._loop.call(self._inner.remove_member(member_id))

    def update_member(self, member_id: int, peer_urls: Sequence[str]) -> list[Member]:
        """Give a member other peer URLs; return all members."""
        return self._loop.call(self._inner.update_member(member_id, peer_urls))

    def promote_member(self, member_id: int) -> list[Member]:
        """Make a learner a voter; return all members."""
        return self._loop.call(self._inner.promote_member(member_id))
