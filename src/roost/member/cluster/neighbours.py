"""Whom a member is linked to, as the roster says; who may join; how we are known.

Members that our roster does not know yet are believed when others vouch for them (`vouching`).
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from roost.errors import RoostError
from roost.member.cluster.roster import PUBLISH_OPERATION, MemberRecord, Roster, encode_record
from roost.member.cluster.vouching import Vouching
from roost.member.config import MemberConfig, added_anew, address_of
from roost.member.errors import DirectoryLost, MemberRemoved, RolledBack
from roost.outcome import Done, Outcome
from roost.peer import (
    AlreadyBootstrapped,
    Invitation,
    Join,
    Known,
    RefusedThere,
    RemovedMember,
    Transport,
    WrongIncarnation,
    WrongMember,
)

logger = logging.getLogger(__name__)


class Neighbours:
    """Keeps the links of one member as the applied roster has them.

    `transport` is set before anything else is called.
    """

    transport: Transport

    def __init__(
        self,
        roster: Roster,
        vouching: Vouching,
        *,
        own_id: int,
        cluster_id: int,
        config: MemberConfig,
        transact: Callable[[str, bytes, Done], None],
        remember: Callable[[list[str]], None],
    ) -> None:
        """Nothing is dialled before `follow`."""
        self._roster = roster
        self._vouching = vouching
        self._own_id = own_id
        self._cluster_id = cluster_id
        self._config = config
        self._transact = transact
        self._remember = remember
        self._is_published = False
        # What each member last said, so that it is told once.
        self._refusals: dict[int, str] = {}

    def follow(self) -> None:
        """Have links to everybody in the roster, and to nobody who was removed."""
        records = {it.id: it for it in self._roster.linked()} | self._vouching.records()
        for member_id, record in records.items():
            if member_id != self._own_id and not self._roster.is_removed(member_id):
                addresses = [address_of(url) for url in record.peer_urls]
                self.transport.add_peer(member_id, addresses)
        for member_id in self.transport.peers():
            if self._roster.is_removed(member_id):
                self.transport.remove_peer(member_id)
        self._remember(
            [url for it in self._roster.linked() if it.id != self._own_id for url in it.peer_urls]
        )

    def on_refused(self, member_id: int, said: RefusedThere) -> RoostError | None:
        """A member will not talk to us; what ends ours, if that is known to be so."""
        is_new = self._refusals.get(member_id) != str(said)
        self._refusals[member_id] = str(said)
        logger.log(
            logging.ERROR if is_new else logging.DEBUG,
            "member %x refuses this member: %s",
            member_id,
            said,
        )
        if not said.is_proven:
            return None  # a stranger may say anything
        remove = f"`roost member remove {self._own_id:x}`"
        anew = f"{remove}, {added_anew(self._config)}"
        match said.refusal:
            case RemovedMember():
                return MemberRemoved(str(said))
            case WrongIncarnation():
                return RolledBack(f"{said}; the way back: {anew}")
            case AlreadyBootstrapped():
                text = f"{said}, and {self._config.data_dir} is not the directory it had"
                return DirectoryLost(f"{text}; start it on that, or if it is lost: {anew}")
        return None

    def invite(self, asked: Join) -> tuple[Invitation, Known]:
        """Who a newcomer is, by the URLs it was added with, and where.

        Raises:
            WrongMember: nobody was added with these URLs.
            AlreadyBootstrapped: it has lived in another directory than the one that asks.

        """
        for record in self._roster.records():
            if sorted(record.peer_urls) == sorted(asked.peer_urls):
                break
        else:
            raise WrongMember(f"no member was added with peer URLs {list(asked.peer_urls)}")
        lived_in = self.transport.lives.directory_of(record.id)
        if record.id == self._own_id or lived_in not in (0, asked.directory):
            raise AlreadyBootstrapped(f"member {record.id:x} has already been bootstrapped")
        addresses = tuple(address_of(url) for url in record.peer_urls)
        invitation = Invitation(cluster_id=self._cluster_id, member_id=record.id)
        return invitation, Known(addresses, self._roster.names_of(record.id))

    def tell_clients(self, urls: tuple[str, ...]) -> None:
        """From now on clients are served at `urls`; the next tick tells the cluster."""
        self._config = replace(self._config, advertise_client_urls=urls)
        self._is_published = False

    def publish(self) -> None:
        """Tell the cluster our name and client URLs, once after a start (etcd: publishV3)."""
        if self._is_published:
            return
        self._is_published = True
        config, life = self._config, self.transport.local.life
        for name in self._roster.names_of(self._own_id):
            if name != config.name:
                text = "%s is the directory of member %r (%x), which is called %r from now on"
                logger.warning(text, config.data_dir, name, self._own_id, config.name)
        record = MemberRecord(
            id=self._own_id,
            name=config.name,
            peer_urls=config.advertise_peer_urls,
            client_urls=config.advertise_client_urls,
            incarnation=life.incarnation,
            directory=life.directory,
        )
        self._transact(PUBLISH_OPERATION, encode_record(record), self._on_published)

    def _on_published(self, outcome: Outcome) -> None:
        if isinstance(outcome, RoostError):
            self._is_published = False  # tried again by the next tick
