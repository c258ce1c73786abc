"""One running member of a cluster: the consensus core, its disk, its store and its links."""

from roost.member.config import MemberConfig, address_of
from roost.member.errors import BadMemberConfig, MalformedForward, NotAMember, StoreBehindJournal
from roost.member.member import Member, MemberStatus
from roost.member.roster import MemberRecord, cluster_id_of, member_id_of

__all__ = [
    "BadMemberConfig",
    "MalformedForward",
    "Member",
    "MemberConfig",
    "MemberRecord",
    "MemberStatus",
    "NotAMember",
    "StoreBehindJournal",
    "address_of",
    "cluster_id_of",
    "member_id_of",
]
