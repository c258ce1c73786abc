"""One running member of a cluster: the consensus core, its disk, its store and its links."""

from roost.member import membership
from roost.member.config import MemberConfig, address_of
from roost.member.errors import (
    BadMemberConfig,
    CannotJoin,
    MalformedForward,
    MemberRemoved,
    NotAMember,
    StoreBehindJournal,
)
from roost.member.joining import join_cluster
from roost.member.member import Member
from roost.member.membership import (
    AddMember,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
    UpdateMember,
)
from roost.member.recovery import found_new_cluster
from roost.member.roster import MemberRecord, cluster_id_of, member_id_of
from roost.member.status import MemberStatus

__all__ = [
    "AddMember",
    "BadMemberConfig",
    "CannotJoin",
    "MalformedForward",
    "Member",
    "MemberConfig",
    "MemberRecord",
    "MemberRemoved",
    "MemberStatus",
    "NotAMember",
    "PromoteMember",
    "RemoveMember",
    "ReplaceMember",
    "StoreBehindJournal",
    "UpdateMember",
    "address_of",
    "cluster_id_of",
    "found_new_cluster",
    "join_cluster",
    "member_id_of",
    "membership",
]
