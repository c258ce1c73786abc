"""Whom a member is linked to, as the roster says; who may join; how we are known.

A member that is not in our roster may be one that was added since, and may be the leader that we
need to learn of that.  It is believed when a member that we know says so: whoever is refused as
unknown is asked about (FRAME_WHO, u64 id), and what is answered (FRAME_WHO_IS, JSON of `Vouched`)
counts until we have applied as much as the one that answered.  The same goes for a member that is
not where our roster has it.

Full?  ASKED_MAX members are asked about within ASK_S; a stranger can make up more ids than that.
"""

import logging
from collections.abc import Callable

import msgspec

from roost.errors import UNDECODABLE, PeerFault, RoostError
from roost.member.cluster.roster import PUBLISH_OPERATION, MemberRecord, Roster, encode_record
from roost.member.config import MemberConfig, added_anew, address_of
from roost.member.errors import BadMemberConfig, DirectoryLost, MemberRemoved, RolledBack
from roost.member.protocol import FRAME_WHO, FRAME_WHO_IS
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
    encode_frame,
)
from roost.raft.types import Count

logger = logging.getLogger(__name__)
ASK_S, ASKED_MAX = 1.0, 32
_ID_BYTES = 8


class Vouched(msgspec.Struct, frozen=True):
    """What a member says of another, as of the entry at `index`."""

    index: Count
    record: MemberRecord


class Neighbours:
    """Keeps the links of one member as the applied roster has them.

    `transport` is set before anything else is called.
    """

    transport: Transport

    def __init__(
        self,
        roster: Roster,
        *,
        own_id: int,
        cluster_id: int,
        config: MemberConfig,
        transact: Callable[[str, bytes, Done], None],
        applied_index: Callable[[], int],
        clock_s: Callable[[], float],
        remember: Callable[[list[str]], None],
    ) -> None:
        """Nothing is dialled before `follow`."""
        self._roster = roster
        self._own_id = own_id
        self._cluster_id = cluster_id
        self._config = config
        self._transact = transact
        self._applied_index = applied_index
        self._clock_s = clock_s
        self._remember = remember
        self._is_published = False
        self._vouched: dict[int, Vouched] = {}
        # What each member last said, so that it is told once.
        self._refusals: dict[int, str] = {}
        self._asked: set[int] = set()
        self._asked_since_s = 0.0

    def follow(self) -> None:
        """Have links to everybody in the roster, and to nobody who was removed."""
        applied = self._applied_index()
        self._vouched = {it: said for it, said in self._vouched.items() if said.index > applied}
        records = {it.id: it for it in self._roster.linked()}
        records |= {it: said.record for it, said in self._vouched.items()}
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

    # --- members we do not know yet -------------------------------------------------------------

    def ask_about(self, member_id: int) -> None:
        """Somebody greets as a member that we do not know, or not there: ask who it is."""
        now_s = self._clock_s()
        if now_s - self._asked_since_s >= ASK_S:
            self._asked_since_s = now_s
            self._asked.clear()
        if member_id in self._asked or len(self._asked) >= ASKED_MAX:
            return
        self._asked.add(member_id)
        encoded = encode_frame(FRAME_WHO, [member_id.to_bytes(_ID_BYTES, "big")])
        for peer in self.transport.peers():
            self.transport.send(peer, encoded, bulk=False)

    def on_who(self, sender: int, body: bytes) -> None:
        """A member asks who that is.

        Raises:
            PeerFault: it asks for no id.

        """
        if len(body) != _ID_BYTES:
            raise PeerFault(f"a member was asked about by {len(body)} bytes")
        member_id = int.from_bytes(body, "big")
        record = self._roster.record_of(member_id)
        if record is not None and not self._roster.is_removed(member_id):
            said = msgspec.json.encode(Vouched(self._applied_index(), record))
            self.transport.send(sender, encode_frame(FRAME_WHO_IS, [said]), bulk=False)

    def on_who_is(self, sender: int, body: bytes) -> None:
        """A member says who that is: it knows more than we do, or it does not count.

        Raises:
            PeerFault: it breaks the format.

        """
        try:
            said = msgspec.json.decode(body, type=Vouched)
            addresses = [address_of(url) for url in said.record.peer_urls]
        except (*UNDECODABLE, BadMemberConfig) as error:
            raise PeerFault(f"this tells nothing of a member: {error}") from error
        member_id = said.record.id
        is_asked = member_id in self._asked and member_id != self._own_id
        is_newer = said.index > self._applied_index()
        if not is_asked or not is_newer or self._roster.is_removed(member_id):
            return
        if self.transport.is_full() and member_id not in self.transport.peers():
            return
        logger.info("member %x vouches for member %x, which is new to this one", sender, member_id)
        self._vouched[member_id] = said
        self.transport.add_peer(member_id, addresses)

    # --- those who refuse us ---------------------------------------------------------------------

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

    # --- newcomers ------------------------------------------------------------------------------

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

    # --- ourselves ------------------------------------------------------------------------------

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
