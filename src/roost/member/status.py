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
    queue_bytes: int
    queue_flow_count: int
    queue_refused_count: int
    inflight_count: int
    read_count: int
    read_line_count: int
    forward_count: int
    sync_ms_mean: float
    uses_thread: bool
    uncommitted_bytes: int
    unapplied_bytes: int
    persist_count: int
    snapshot_transfer_count: int
    send_queue_bytes: int
    damaged_entry_count: int
    repaired_entry_count: int
    failed_work_count: int
    is_fenced: bool
    lost_entries: dict[int, int]

    @property
    def waiting(self) -> dict[str, int]:
        """What waits in each bounded place; all zero when the member is idle."""
        return {
            "queue": self.queue_count,
            "inflight": self.inflight_count,
            "reads": self.read_count,
            "forwarded": self.forward_count,
            "uncommitted_bytes": self.uncommitted_bytes,
            "unapplied_bytes": self.unapplied_bytes,
            "persisting": self.persist_count,
            "snapshot_transfers": self.snapshot_transfer_count,
            "send_queue_bytes": self.send_queue_bytes,
        }
