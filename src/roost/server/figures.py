"""The figures of one member: what `/metrics` and `/debug/vars` show (etcd: metrics of 3.5).

FIGURES is the table of all of them.  What etcd counts on every member, because every member runs
every request, is counted here where it runs: writes by the member that leads, reads by the one
that answers.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roost import descriptors, etcd
from roost.call import Code
from roost.errors import NoLeader, RoostError
from roost.etcd.model.alarms import CORRUPT, NOSPACE
from roost.etcd.services import EtcdFigures
from roost.member import Member, MemberStatus
from roost.proto import election_pb2, lock_pb2, rpc_pb2
from roost.raft import Role
from roost.server.exposition import Family, Figure, Sample, read_all
from roost.server.methods import MethodFigures
from roost.server.port import ClientPort

_ALARM_NAMES = {NOSPACE: "NOSPACE", CORRUPT: "CORRUPT"}
_SCHEMAS = (rpc_pb2, lock_pb2, election_pb2)


def _method_types() -> dict[str, str]:
    """Path of every method of the schemas -> what Go's gRPC metrics call its type."""
    found: dict[str, str] = {}
    for schema in _SCHEMAS:
        for service in schema.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                kind = ("unary", "server_stream", "client_stream", "bidi_stream")[
                    method.server_streaming + 2 * method.client_streaming
                ]
                found[f"/{service.full_name}/{method.name}"] = kind
    return found


_TYPES = _method_types()


@dataclass(slots=True)
class HealthCounts:
    """How often somebody asked whether this member serves, and what was said."""

    successes: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What the table is read from: one member at one moment."""

    member: Member
    status: MemberStatus
    services: etcd.Services
    etcd: EtcdFigures
    port: ClientPort
    quota_bytes: int
    health: HealthCounts


class Figures:
    """Reads them where they are; keeps none but of health."""

    def __init__(self, member: Member, services: etcd.Services, *, quota_bytes: int) -> None:
        """The port comes by `show_port`."""
        self._quota_bytes = quota_bytes
        self._member = member
        self._services = services
        self._health = HealthCounts()
        self._port: ClientPort

    def show_port(self, port: ClientPort) -> None:
        """Show the figures of the client port too."""
        self._port = port

    def collect(self) -> list[Family]:
        """All figures as of now."""
        now = Now(
            member=self._member,
            status=self._member.status(),
            services=self._services,
            etcd=self._services.figures(),
            port=self._port,
            quota_bytes=self._quota_bytes,
            health=self._health,
        )
        return read_all(FIGURES, now)

    def alarms(self) -> Sequence[str]:
        """Names of the alarms that stop something."""
        raised = {kind for _, kind in self._services.alarms.raised}
        return [name for kind, name in _ALARM_NAMES.items() if kind in raised]

    def note_health(self, *, is_good: bool) -> None:
        """Somebody was told whether this member serves."""
        self._health.successes += is_good
        self._health.failures += not is_good

    async def check_health(self, *, is_serializable: bool) -> None:
        """A member is healthy when it can confirm a read; by itself it only has to run.

        Without a leader nobody is kept waiting; the words are etcd's (etcdhttp/health.go).
        """
        if is_serializable:
            return
        if not self._member.leader_id:
            raise NoLeader("RAFT NO LEADER")
        try:
            await self._member.read_barrier()
        except RoostError as error:
            raise NoLeader(f"RANGE ERROR:{error}") from error


def _method_samples(now: Now) -> Iterator[tuple[tuple[tuple[str, str], ...], MethodFigures]]:
    """The labels and the figures of every gRPC method."""
    for path, figures in sorted(now.port.grpc.methods.figures.items()):
        name = path.decode()
        service, _, method = name[1:].partition("/")
        kind = _TYPES.get(name, "bidi_stream")
        labels = (("grpc_type", kind), ("grpc_service", service), ("grpc_method", method))
        yield labels, figures


def _started(now: Now) -> Iterator[Sample]:
    return (Sample(figures.started_count, labels) for labels, figures in _method_samples(now))


def _handled(now: Now) -> Iterator[Sample]:
    for labels, figures in _method_samples(now):
        for code, count in sorted(figures.ended.items()):
            yield Sample(count, (*labels, ("grpc_code", Code(code).go_name)))


def _handling(now: Now) -> Iterator[Sample]:
    """Of methods that were called: there are many, and buckets of each."""
    for labels, figures in _method_samples(now):
        if figures.started_count:
            yield Sample(figures.handling, labels)


def _active_peers(now: Now) -> Iterator[Sample]:
    local, transport = f"{now.member.member_id:x}", now.member.transport
    for peer in transport.peers():
        labels = (("Local", local), ("Remote", f"{peer:x}"))
        yield Sample(int(transport.is_open_to(peer)), labels)


def _round_trips(now: Now) -> Iterator[Sample]:
    times = now.member.links.round_trips.times
    for peer in now.member.transport.peers():
        if peer in times:
            yield Sample(times[peer], (("To", f"{peer:x}"),))


def _sent_failures(now: Now) -> Iterator[Sample]:
    transport = now.member.transport
    for peer in transport.peers():
        yield Sample(transport.dropped_counts.get(peer, 0), (("To", f"{peer:x}"),))


def _used_descriptors(_now: Now) -> int:
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return 0


_SERVER: tuple[Figure[Now], ...] = (
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
        "etcd_server_version",
        "gauge",
        "1, with the version of etcd whose interface this is.",
        lambda _: [Sample(1, (("server_version", etcd.SERVER_VERSION),))],
    ),
    Figure(
        "etcd_cluster_version",
        "gauge",
        "1, with the version of etcd that all members speak.",
        lambda _: [Sample(1, (("cluster_version", etcd.SERVER_VERSION.rpartition(".")[0]),))],
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
        "etcd_server_proposals_failed_total",
        "counter",
        "Writes asked of this member that failed, other than by a refusal.",
        lambda it: it.etcd.failed_write_count,
    ),
    Figure(
        "etcd_server_read_indexes_failed_total",
        "counter",
        "Reads asked of this member that nobody could confirm.",
        lambda it: it.etcd.failed_read_count,
    ),
    Figure(
        "etcd_server_health_success",
        "counter",
        "Checks of health that found this member well.",
        lambda it: it.health.successes,
    ),
    Figure(
        "etcd_server_health_failures",
        "counter",
        "Checks of health that did not.",
        lambda it: it.health.failures,
    ),
    Figure(
        "etcd_server_quota_backend_bytes",
        "gauge",
        "Size of the store at which writes stop; 0 = never.",
        lambda it: it.quota_bytes,
    ),
)
_KEYS: tuple[Figure[Now], ...] = (
    Figure(
        "etcd_mvcc_put_total",
        "counter",
        "Keys put, by the member that led.",
        lambda it: it.etcd.keys.puts,
    ),
    Figure(
        "etcd_mvcc_delete_total",
        "counter",
        "Deletions of keys or ranges, by the member that led.",
        lambda it: it.etcd.keys.deletes,
    ),
    Figure(
        "etcd_mvcc_range_total",
        "counter",
        "Ranges read, by the member that answered.",
        lambda it: it.etcd.keys.ranges,
    ),
    Figure(
        "etcd_mvcc_txn_total",
        "counter",
        "Transactions run: those that write by the member that led.",
        lambda it: it.etcd.keys.transactions,
    ),
    Figure("etcd_debugging_mvcc_keys_total", "gauge", "Living keys.", lambda it: it.etcd.key_count),
    Figure(
        "etcd_debugging_mvcc_current_revision",
        "gauge",
        "Current revision.",
        lambda it: it.services.revision(),
    ),
    Figure(
        "etcd_debugging_mvcc_compact_revision",
        "gauge",
        "Revision up to which history was compacted.",
        lambda it: it.etcd.compacted_revision,
    ),
    Figure(
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "counter",
        "Revisions of keys removed since they were compacted, by the member that led.",
        lambda it: it.etcd.keys.compacted,
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
        "etcd_debugging_mvcc_watcher_total",
        "gauge",
        "Watchers on this member.",
        lambda it: it.services.watches.count,
    ),
    Figure(
        "etcd_debugging_mvcc_watch_stream_total",
        "gauge",
        "Watch streams on this member.",
        lambda it: it.etcd.watch_stream_count,
    ),
    Figure(
        "etcd_debugging_mvcc_slow_watcher_total",
        "gauge",
        "Watchers that have not been sent everything yet.",
        lambda it: it.etcd.slow_watcher_count,
    ),
    Figure(
        "etcd_debugging_mvcc_events_total",
        "counter",
        "Events sent to watchers.",
        lambda it: it.services.watches.event_count,
    ),
    Figure(
        "etcd_debugging_lease_granted_total",
        "counter",
        "Leases granted.",
        lambda it: it.services.lessor.counts.granted,
    ),
    Figure(
        "etcd_debugging_lease_revoked_total",
        "counter",
        "Leases revoked.",
        lambda it: it.services.lessor.counts.revoked,
    ),
    Figure(
        "etcd_debugging_lease_renewed_total",
        "counter",
        "Leases renewed.",
        lambda it: it.services.lessor.counts.renewed,
    ),
    Figure(
        "etcd_debugging_server_lease_expired_total",
        "counter",
        "Leases expired.",
        lambda it: it.services.lessor.counts.expired,
    ),
    Figure(
        "roost_leases",
        "gauge",
        "Leases whose time this member keeps, as leader.",
        lambda it: it.etcd.lease_count,
    ),
    Figure(
        "roost_waiting_turns",
        "gauge",
        "Calls that wait for a lock or an election.",
        lambda it: it.etcd.waiting_count,
    ),
)
_NETWORK: tuple[Figure[Now], ...] = (
    Figure("grpc_server_started_total", "counter", "gRPC calls begun, by method.", _started),
    Figure(
        "grpc_server_handled_total",
        "counter",
        "gRPC calls ended, by method and status.",
        _handled,
    ),
    Figure(
        "grpc_server_handling_seconds",
        "histogram",
        "How long gRPC calls took, by method.",
        _handling,
    ),
    Figure(
        "etcd_network_client_grpc_received_bytes_total",
        "counter",
        "Bytes received from gRPC clients.",
        lambda it: it.port.grpc.received_bytes,
    ),
    Figure(
        "etcd_network_client_grpc_sent_bytes_total",
        "counter",
        "Bytes sent to gRPC clients.",
        lambda it: it.port.grpc.sent_bytes,
    ),
    Figure(
        "roost_client_connections",
        "gauge",
        "Open client connections.",
        lambda it: it.port.connection_count,
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
)
_FILES: tuple[Figure[Now], ...] = (
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
    Figure("os_fd_used", "gauge", "File descriptors in use.", _used_descriptors),
    Figure(
        "os_fd_limit",
        "gauge",
        "File descriptors there may be.",
        lambda _: descriptors.limit(),
    ),
    Figure(
        "roost_journal_sync_milliseconds",
        "gauge",
        "Running mean of one journal write and sync.",
        lambda it: it.status.sync_ms_mean,
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
        lambda it: it.member.custody.repair.mended_count,
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
FIGURES = (*_SERVER, *_KEYS, *_NETWORK, *_FILES)
