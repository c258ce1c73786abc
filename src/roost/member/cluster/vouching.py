"""Members that our roster does not know yet, believed because another member vouches for them.

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

from roost.errors import UNDECODABLE, PeerFault
from roost.member.cluster.roster import RECORD_BYTES_MAX, MemberRecord, Roster
from roost.member.config import address_of
from roost.member.errors import BadMemberConfig
from roost.member.protocol import FRAME_WHO, FRAME_WHO_IS
from roost.peer import Transport, encode_frame
from roost.raft.types import Count

logger = logging.getLogger(__name__)
ASK_S, ASKED_MAX = 1.0, 32
_ID_BYTES = 8


class Vouched(msgspec.Struct, frozen=True):
    """What a member says of another, as of the entry at `index`."""

    index: Count
    record: MemberRecord


class Vouching:
    """Asks about members for one member, and answers; `transport` is set before anything else."""

    transport: Transport

    def __init__(
        self,
        roster: Roster,
        *,
        own_id: int,
        applied_index: Callable[[], int],
        clock_s: Callable[[], float],
    ) -> None:
        """Nobody was asked about."""
        self._roster = roster
        self._own_id = own_id
        self._applied_index = applied_index
        self._clock_s = clock_s
        self._vouched: dict[int, Vouched] = {}
        self._asked: set[int] = set()
        self._asked_since_s = 0.0

    def records(self) -> dict[int, MemberRecord]:
        """Those that count still: what we have applied ourselves, we know better."""
        applied = self._applied_index()
        self._vouched = {it: said for it, said in self._vouched.items() if said.index > applied}
        return {it: said.record for it, said in self._vouched.items()}

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
        if len(body) > 2 * RECORD_BYTES_MAX:
            raise PeerFault(f"{len(body)} bytes say more than there is to say of a member")
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
