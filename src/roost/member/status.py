"""What a member says about itself."""

from dataclasses import dataclass

from roost.raft import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """A snapshot of one member for status pages; indices are log positions."""

    member_id: int
    cluster_id: int
    name: str
    role: Role
    leader_id: int
    term: int
    last_index: int
    commit_index: int
    applied_index: int
    durable_index: int
    db_bytes: int
    db_in_use_bytes: int
    queue_count: int
    inflight_count: int
    read_count: int
    forward_count: int
    sync_ms_mean: float
