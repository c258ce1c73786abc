"""What a member says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roost.raft import Role

if TYPE_CHECKING:
    from roost.member.member import Member


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
    uncommitted_bytes: int
    unapplied_bytes: int
    persist_count: int
    snapshot_transfer_count: int
    send_queue_bytes: int
    damaged_entry_count: int
    mended_entry_count: int
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


def read_status(member: Member) -> MemberStatus:
    """How a member is now."""
    core, statistics = member.core, member.store.statistics()
    return MemberStatus(
        member_id=member.member_id,
        cluster_id=member.cluster_id,
        name=member.config.name,
        role=core.role,
        leader_id=core.leader_id,
        term=core.term,
        last_index=core.last_index,
        commit_index=core.commit_index,
        applied_index=member.store.applied_index,
        durable_index=member.store.durable_index,
        db_bytes=statistics.size_bytes,
        db_in_use_bytes=statistics.in_use_bytes,
        queue_count=member.executor.queue_count,
        inflight_count=member.executor.inflight_count,
        read_count=len(member.reads),
        forward_count=len(member.router.forwarder),
        sync_ms_mean=member.persistence.mean_ms,
        uncommitted_bytes=core.uncommitted_bytes,
        unapplied_bytes=core.unapplied_bytes,
        persist_count=member.persistence.outstanding_count,
        snapshot_transfer_count=member.snapshots.task_count,
        send_queue_bytes=member.transport.queued_bytes(),
        damaged_entry_count=len(member.journal.faulty),
        mended_entry_count=member.custody.repair.mended_count,
        is_fenced=core.is_fenced,
        lost_entries=dict(core.lost_entries),
    )
