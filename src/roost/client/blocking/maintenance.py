"""How members are, and what keeps them well (etcd api: Maintenance)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator

from roost.client.aio import maintenance as aio
from roost.client.shapes import Alarm, HashKv, Status
from roost.faces import Face


class Maintenance(Face):
    """What operators ask of members."""

    _inner: aio.Maintenance

    def status(self, endpoint: str) -> Status:
        """What the member at an endpoint says of itself; it is one of the client's `endpoints`.

        Raises:
            Unreachable: it does not answer.

        """
        return self._loop.call(self._inner.status(endpoint))

    def alarms(self) -> list[Alarm]:
        """Every alarm that is raised."""
        return self._loop.call(self._inner.alarms())

    def disarm(self, alarm: Alarm) -> None:
        """Take an alarm back."""
        self._loop.call(self._inner.disarm(alarm))

    def defragment(self) -> None:
        """Have one endpoint's member rewrite its store's file."""
        self._loop.call(self._inner.defragment())

    def hash_kv(self, revision: int = 0) -> HashKv:
        """The hash of all keys up to a revision, 0 for the current one."""
        return self._loop.call(self._inner.hash_kv(revision))

    def move_leader(self, member_id: int) -> None:
        """Let a member lead; one of the endpoints must be the leader's.

        Raises:
            RequestRefused: none is.
            ClientError: it cannot lead, or did not take over in time.

        """
        self._loop.call(self._inner.move_leader(member_id))

    def snapshot(self) -> Generator[bytes, None, None]:
        """One endpoint's store, in pieces, with its SHA-256 as the last 32 bytes.

        Raises:
            ClientError: with the server's words; what came before it is of no use, and when it
                broke, asking again asks the next endpoint.

        """
        return self._loop.iterate(self._inner.snapshot())

    def written_since(
        self, index: int, term: int, cluster_id: int = 0
    ) -> Generator[bytes, None, None]:
        """What was written behind a log position, in pages; Roost's own.

        With `cluster_id` the position is one of that cluster.

        Raises:
            ClientError: the journal does not reach back that far, or is of another cluster.

        """
        return self._loop.iterate(self._inner.written_since(index, term, cluster_id))
