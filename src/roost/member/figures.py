"""The figures of a member: who leads, how far it is, its links, its disk, its store."""

from collections.abc import Iterator
from dataclasses import dataclass

from roost.figures import Figure, Sample
from roost.member.member import Member
from roost.member.status import MemberStatus
from roost.raft import Role


@dataclass(frozen=True, slots=True)
class MemberNow:
    """One member at one moment."""

    member: Member
    status: MemberStatus


def _active_peers(now: MemberNow) -> Iterator[Sample]:
    local, transport = f"{now.member.member_id:x}", now.member.transport
    for peer in transport.peers():
        labels = (("Local", local), ("Remote", f"{peer:x}"))
        yield Sample(int(transport.is_open_to(peer)), labels)


def _round_trips(now: MemberNow) -> Iterator[Sample]:
    times = now.member.links.round_trips.times
    for peer in now.member.transport.peers():
        if peer in times:
            yield Sample(times[peer], (("To", f"{peer:x}"),))


def _sent_failures(now: MemberNow) -> Iterator[Sample]:
    transport = now.member.transport
    for peer in transport.peers():
        yield Sample(transport.dropped_counts.get(peer, 0), (("To", f"{peer:x}"),))


FIGURES: tuple[Figure[MemberNow], ...] = (
    Figure(
        "etcd_server_has_leader",
        "gauge",
        "Whether a leader is known.",
        lambda it: it.status.leader_id != 0,
    ),
    Figure(
        "etcd_server_is_leader",
        "gauge",
        "Whether this member leads.",
        lambda it: it.status.role is Role.LEADER,
    ),
    Figure(
        "etcd_server_is_learner",
        "gauge",
        "Whether this member is a learner.",
        lambda it: it.member.is_learner,
    ),
    Figure(
        "etcd_server_id",
        "gauge",
        "1, with the id of this member.",
        lambda it: [Sample(1, (("server_id", f"{it.member.member_id:x}"),))],
    ),
    Figure(
        "etcd_server_leader_changes_seen_total",
        "counter",
        "Leaders that this member has seen come.",
        lambda it: it.member.leader_change_count,
    ),
    Figure(
        "etcd_server_proposals_committed_total",
        "gauge",
        "Highest log position committed.",
        lambda it: it.status.commit_index,
    ),
    Figure(
        "etcd_server_proposals_applied_total",
        "gauge",
        "Highest log position applied.",
        lambda it: it.status.applied_index,
    ),
    Figure(
        "etcd_server_proposals_pending",
        "gauge",
        "Requests waiting to be executed or committed.",
        lambda it: it.status.queue_count + it.status.inflight_count,
    ),
    Figure(
        "roost_reads_in_line",
        "gauge",
        "Reads that could be answered, and wait for a turn of the loop.",
        lambda it: it.status.read_line_count,
    ),
    Figure(
        "roost_queue_bytes",
        "gauge",
        "Bytes of the requests that wait to be executed.",
        lambda it: it.status.queue_bytes,
    ),
    Figure(
        "roost_queue_flows",
        "gauge",
        "Client connections that take turns because of requests that wait to be executed.",
        lambda it: it.status.queue_flow_count,
    ),
    Figure(
        "roost_queue_refused_total",
        "counter",
        "Requests refused because their client had too many waiting to be executed.",
        lambda it: it.status.queue_refused_count,
    ),
    Figure(
        "etcd_mvcc_db_total_size_in_bytes",
        "gauge",
        "Size of the store.",
        lambda it: it.status.db_bytes,
    ),
    Figure(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "gauge",
        "Part of the store that is in use.",
        lambda it: it.status.db_in_use_bytes,
    ),
    Figure(
        "etcd_network_active_peers",
        "gauge",
        "Whether there is a link to a member.",
        _active_peers,
    ),
    Figure(
        "etcd_network_peer_round_trip_time_seconds",
        "histogram",
        "From a heartbeat to its answer, by member, as leader.",
        _round_trips,
    ),
    Figure(
        "etcd_network_peer_sent_failures_total",
        "counter",
        "Frames dropped, by member: no link, or its queue was full.",
        _sent_failures,
    ),
    Figure(
        "etcd_network_peer_sent_bytes_total",
        "counter",
        "Bytes sent to members.",
        lambda it: it.member.transport.statistics.sent_bytes,
    ),
    Figure(
        "etcd_network_peer_received_bytes_total",
        "counter",
        "Bytes received from members.",
        lambda it: it.member.transport.statistics.received_bytes,
    ),
    Figure(
        "roost_peer_frames_sent_total",
        "counter",
        "Frames sent to members.",
        lambda it: it.member.transport.statistics.sent_count,
    ),
    Figure(
        "roost_peer_frames_received_total",
        "counter",
        "Frames received from members.",
        lambda it: it.member.transport.statistics.received_count,
    ),
    Figure(
        "roost_peer_frames_dropped_total",
        "counter",
        "Frames dropped: no link, or its queue was full.",
        lambda it: it.member.transport.statistics.dropped_count,
    ),
    Figure(
        "roost_peer_frames_malformed_total",
        "counter",
        "Links closed for breaking the protocol.",
        lambda it: it.member.transport.statistics.malformed_count,
    ),
    Figure(
        "roost_peer_frames_unknown_total",
        "counter",
        "Frames for rooms that this member does not have: another version's.",
        lambda it: it.member.links.unknown_count,
    ),
    Figure(
        "roost_failed_work_total",
        "counter",
        "Turns of a room's periodic work, or frames for it, that failed; the log says how.",
        lambda it: it.status.failed_work_count,
    ),
    Figure(
        "roost_peer_send_queue_bytes",
        "gauge",
        "Bytes that wait to be sent to other members.",
        lambda it: it.status.send_queue_bytes,
    ),
    Figure(
        "etcd_disk_wal_fsync_duration_seconds",
        "histogram",
        "One journal write and its sync.",
        lambda it: it.member.persistence.syncs,
    ),
    Figure(
        "etcd_disk_backend_commit_duration_seconds",
        "histogram",
        "What is in memory made durable in the store.",
        lambda it: it.member.store.flushes,
    ),
    Figure(
        "roost_journal_sync_milliseconds",
        "gauge",
        "Running mean of one journal write and sync.",
        lambda it: it.status.sync_ms_mean,
    ),
    Figure(
        "roost_journal_uses_thread",
        "gauge",
        "1 while the disk is so slow that a thread writes and syncs the journal.",
        lambda it: it.status.uses_thread,
    ),
    Figure(
        "roost_journal_queue",
        "gauge",
        "Writes that wait for a slow disk.",
        lambda it: it.status.persist_count,
    ),
    Figure(
        "roost_journal_damaged_entries",
        "gauge",
        "Journal entries that are damaged here and being brought back.",
        lambda it: it.status.damaged_entry_count,
    ),
    Figure(
        "roost_journal_mended_entries_total",
        "counter",
        "Damaged journal entries that peers brought back.",
        lambda it: it.member.custody.repair.repaired_count,
    ),
    Figure(
        "roost_store_durable_index",
        "gauge",
        "Log position up to which the store is durable by itself.",
        lambda it: it.status.durable_index,
    ),
    Figure(
        "roost_store_poison_entries",
        "gauge",
        "Committed entries that were no write sets and changed nothing.",
        lambda it: it.member.store.poison_count,
    ),
    Figure(
        "roost_store_held_states",
        "gauge",
        "States of the store that long reads hold.",
        lambda it: it.member.store.held_views.count,
    ),
    Figure(
        "roost_store_held_bytes",
        "gauge",
        "Memory that is kept for long reads alone.",
        lambda it: it.member.store.held_views.bytes,
    ),
    Figure(
        "roost_store_held_oldest_seconds",
        "gauge",
        "How long the oldest state has been held.",
        lambda it: it.member.store.held_views.age_s,
    ),
    Figure(
        "roost_store_held_lost_total",
        "counter",
        "States that long reads lost: too old, too large, or the file was replaced.",
        lambda it: it.member.store.held_views.lost_count,
    ),
    Figure(
        "roost_disk_free_bytes",
        "gauge",
        "What the disk has left, once all that is in memory is on it.",
        lambda it: it.member.space().disk_free_bytes,
    ),
    Figure(
        "roost_uncommitted_bytes",
        "gauge",
        "Bytes of proposals that no majority has yet.",
        lambda it: it.status.uncommitted_bytes,
    ),
    Figure(
        "roost_unapplied_bytes",
        "gauge",
        "Bytes that are committed and not applied yet.",
        lambda it: it.status.unapplied_bytes,
    ),
    Figure(
        "roost_snapshot_transfers",
        "gauge",
        "Snapshots being made, sent or fetched.",
        lambda it: it.status.snapshot_transfer_count,
    ),
    Figure(
        "roost_member_is_fenced",
        "gauge",
        "1 while this member must not vote, for its log has lost its end.",
        lambda it: it.status.is_fenced,
    ),
    Figure(
        "roost_members_lost_entries",
        "gauge",
        "Members that came back with less than they had acknowledged, as leader here.",
        lambda it: len(it.status.lost_entries),
    ),
    Figure(
        "roost_digests_compared_total",
        "counter",
        "State digests compared with other members'.",
        lambda it: it.member.custody.digests.compared_count,
    ),
    Figure(
        "roost_digests_differed_total",
        "counter",
        "Comparisons of state digests that differed.",
        lambda it: it.member.custody.digests.mismatch_count,
    ),
)
