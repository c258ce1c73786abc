"""Where the cluster leads, for clients that are to ask there themselves (etcd 0.3).

Later versions forward writes, and so does Roost unless `--v2-redirect` says otherwise: a client
behind a proxy may not reach the leader, and one in front of it saves a hop.
"""

from roost.etcd.ports import Replica
from roost.etcd.v2.faults import Fault, Reason
from roost.exchange import Answer, Request


class Leading:
    """Who leads, as one member knows it."""

    def __init__(self, replica: Replica, *, redirects: bool) -> None:
        """Without `redirects` everything is answered here."""
        self._replica = replica
        self._redirects = redirects

    @property
    def is_here(self) -> bool:
        """Whether this member leads."""
        return self._replica.leader_id == self._replica.member_id

    def elsewhere(self, request: Request) -> Answer | None:
        """The same request at the leader; None when it is answered here.

        Raises:
            Fault: nobody leads.

        """
        if not self._redirects or self.is_here:
            return None
        replica = self._replica
        if not replica.leader_id:
            raise Fault(Reason.DURING_ELECTION)
        record = next((it for it in replica.members() if it.id == replica.leader_id), None)
        if record is None or not record.client_urls:
            return None  # it has not said yet where it is: forwarded as always
        query = b"?" + request.query if request.query else b""
        place = record.client_urls[0].rstrip("/").encode() + request.raw_path + query
        return Answer(307, b"", ((b"location", place),))
