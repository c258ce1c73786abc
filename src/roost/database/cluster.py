"""Changes of who is in the cluster: what is asked of a member's own operations, and the answer.

Each kind of change is an operation; what is asked and what is answered is JSON
(`member/cluster/membership.py`).  Its refusals are in `member_errors`.
"""

import msgspec

from roost.member import (
    AddMember,
    MemberRecord,
    PromoteMember,
    RemoveMember,
    ReplaceMember,
    UpdateMember,
    membership,
)

__all__ = [
    "AddMember",
    "MemberChange",
    "MemberRecord",
    "PromoteMember",
    "RemoveMember",
    "ReplaceMember",
    "UpdateMember",
    "decode_members",
    "encode_change",
    "operation_of",
]

MemberChange = AddMember | ReplaceMember | RemoveMember | UpdateMember | PromoteMember
_OPERATIONS: dict[type[MemberChange], str] = {
    AddMember: membership.ADD,
    ReplaceMember: membership.REPLACE,
    RemoveMember: membership.REMOVE,
    UpdateMember: membership.UPDATE,
    PromoteMember: membership.PROMOTE,
}


def operation_of(change: MemberChange) -> str:
    """The name of the operation that makes a change."""
    return _OPERATIONS[type(change)]


def encode_change(change: MemberChange) -> bytes:
    """What that operation is asked with."""
    return msgspec.json.encode(change)


def decode_members(answer: bytes) -> list[MemberRecord]:
    """All members after a change, the one that was added first."""
    return msgspec.json.decode(answer, type=list[MemberRecord])
