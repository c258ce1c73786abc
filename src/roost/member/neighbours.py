"""Whom a member is linked to, as the roster says; who may join; how we are known."""

from collections.abc import Callable

from roost.errors import RoostError
from roost.member.config import MemberConfig, address_of
from roost.member.roster import PUBLISH_OPERATION, MemberRecord, Roster, encode_record
from roost.outcome import Done
from roost.peer import Invitation, Join, Transport, WrongMember


class Neighbours:
    """Keeps the links of one member as the applied roster has them."""

    def __init__(
        self,
        roster: Roster,
        transport: Transport,
        *,
        own_id: int,
        cluster_id: int,
        config: MemberConfig,
        transact: Callable[[str, bytes, Done], None],
    ) -> None:
        """Nothing is dialled before `follow`."""
        self._roster = roster
        self._transport = transport
        self._own_id = own_id
        self._cluster_id = cluster_id
        self._config = config
        self._transact = transact
        self._is_published = False

    def follow(self) -> None:
        """Have links to everybody in the roster, and to nobody who was removed."""
        records = {it.id: it for it in self._roster.records() if it.id != self._own_id}
        for member_id, record in records.items():
            addresses = [address_of(url) for url in record.peer_urls]
            self._transport.add_peer(member_id, addresses)
        for member_id in self._transport.peers():
            if self._roster.is_removed(member_id):
                self._transport.remove_peer(member_id)

    def identify(self, asked: Join) -> Invitation:
        """Who a newcomer is, by the URLs it was added with.

        Raises:
            WrongMember: nobody was added with these URLs.

        """
        for record in self._roster.records():
            if sorted(record.peer_urls) == sorted(asked.peer_urls):
                return Invitation(cluster_id=self._cluster_id, member_id=record.id)
        raise WrongMember(f"no member was added with peer URLs {', '.join(asked.peer_urls)}")

    def publish(self) -> None:
        """Tell the cluster our name and client URLs, once after a start (etcd: publishV3)."""
        if self._is_published:
            return
        self._is_published = True
        config = self._config
        record = MemberRecord(
            id=self._own_id,
            name=config.name,
            peer_urls=config.advertise_peer_urls,
            client_urls=config.advertise_client_urls,
            incarnation=self._transport.local.incarnation,
        )
        self._transact(PUBLISH_OPERATION, encode_record(record), self._on_published)

    def _on_published(self, _result: bytes | None, error: RoostError | None) -> None:
        if error is not None:
            self._is_published = False  # tried again by the next tick
