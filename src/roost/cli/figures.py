"""The figures of one member: what `/metrics` and `/debug/vars` show (etcd: metrics of 3.5)."""

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from roost import etcd
from roost.errors import NoLeader, RoostError
from roost.etcd.alarms import CORRUPT, NOSPACE
from roost.histogram import Histogram
from roost.member import Member, MemberStatus
from roost.proto import election_pb2, lock_pb2, rpc_pb2
from roost.raft import Role
from roost.server import ClientPort

# Metrics with labels or buckets: name, kind, help.
FAMILIES = (
    ("grpc_server_started_total", "counter", "gRPC calls begun, by method."),
    ("grpc_server_handled_total", "counter", "gRPC calls ended, by method and status."),
    ("etcd_disk_wal_fsync_duration_seconds", "histogram", "One journal write and its sync."),
    (
        "etcd_disk_backend_commit_duration_seconds",
        "histogram",
        "What is in memory made durable in the store.",
    ),
)
_HELP = {name: text for name, _, text in FAMILIES}
_SCHEMAS = (rpc_pb2, lock_pb2, election_pb2)
_CODES = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"),
    *("AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"),
    *("OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)


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
_ALARM_NAMES = {NOSPACE: "NOSPACE", CORRUPT: "CORRUPT"}


class Figures:
    """Reads them where they are; keeps none."""

    def __init__(self, member: Member, services: etcd.Services, *, quota_bytes: int) -> None:
        """The port comes by `show_port`."""
        self._quota_bytes = quota_bytes
        self._member = member
        self._services = services
        self._port: ClientPort

    def show_port(self, port: ClientPort) -> None:
        """Show the figures of the client port too."""
        self._port = port

    def alarms(self) -> Sequence[str]:
        """Names of the alarms that stop something."""
        raised = {kind for _, kind in self._services.alarms.raised}
        return [name for kind, name in _ALARM_NAMES.items() if kind in raised]

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

    def families(self) -> list[Metric]:
        """Metrics with labels or buckets; see `FAMILIES`."""
        labels = ["grpc_type", "grpc_service", "grpc_method"]
        started = CounterMetricFamily(
            "grpc_server_started", _HELP["grpc_server_started_total"], labels=labels
        )
        handled = CounterMetricFamily(
            "grpc_server_handled",
            _HELP["grpc_server_handled_total"],
            labels=[*labels, "grpc_code"],
        )
        for path, figures in sorted(self._port.grpc.figures.items()):
            name = path.decode()
            service, _, method = name[1:].partition("/")
            row = [_TYPES.get(name, "bidi_stream"), service, method]
            started.add_metric(row, figures.started_count)
            for code, count in sorted(figures.ended.items()):
                handled.add_metric([*row, _CODES[code]], count)
        return [
            started,
            handled,
            _histogram("etcd_disk_wal_fsync_duration_seconds", self._member.persistence.syncs),
            _histogram("etcd_disk_backend_commit_duration_seconds", self._member.store.flushes),
        ]

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Figures that go up and down."""
        status = self._member.status()
        return {
            "etcd_server_has_leader": ("Whether a leader is known.", float(status.leader_id != 0)),
            "etcd_server_is_leader": (
                "Whether this member leads.",
                float(status.role is Role.LEADER),
            ),
            "etcd_server_proposals_committed_total": (
                "Highest log position committed.",
                float(status.commit_index),
            ),
            "etcd_server_proposals_applied_total": (
                "Highest log position applied.",
                float(status.applied_index),
            ),
            "etcd_server_proposals_pending": (
                "Requests waiting to be executed or committed.",
                float(status.queue_count + status.inflight_count),
            ),
            "etcd_mvcc_db_total_size_in_bytes": ("Size of the store.", float(status.db_bytes)),
            "etcd_mvcc_db_total_size_in_use_in_bytes": (
                "Part of the store that is in use.",
                float(status.db_in_use_bytes),
            ),
            "etcd_debugging_mvcc_current_revision": (
                "Current revision.",
                float(self._services.revision()),
            ),
            "etcd_debugging_mvcc_watcher_total": (
                "Watchers on this member.",
                float(self._services.watches.count),
            ),
            "roost_journal_sync_milliseconds": (
                "Running mean of one journal write and sync.",
                status.sync_ms_mean,
            ),
            "roost_store_durable_index": (
                "Log position up to which the store is durable by itself.",
                float(status.durable_index),
            ),
            "roost_uncommitted_bytes": (
                "Bytes of proposals that no majority has yet.",
                float(status.uncommitted_bytes),
            ),
            "roost_unapplied_bytes": (
                "Bytes that are committed and not applied yet.",
                float(status.unapplied_bytes),
            ),
            "roost_journal_queue": (
                "Writes that wait for a slow disk.",
                float(status.persist_count),
            ),
            "roost_snapshot_transfers": (
                "Snapshots being made, sent or fetched.",
                float(status.snapshot_transfer_count),
            ),
            "roost_peer_send_queue_bytes": (
                "Bytes that wait to be sent to other members.",
                float(status.send_queue_bytes),
            ),
            "roost_client_connections": (
                "Open client connections.",
                float(self._port.connection_count),
            ),
            **self._file_gauges(status),
            **self._etcd_gauges(),
        }

    def _file_gauges(self, status: MemberStatus) -> dict[str, tuple[str, float]]:
        """What the member's files are like."""
        return {
            "roost_journal_damaged_entries": (
                "Journal entries that are damaged here and being brought back.",
                float(status.damaged_entry_count),
            ),
            "roost_member_is_fenced": (
                "1 while this member must not vote, for its log has lost its end.",
                float(status.is_fenced),
            ),
            "roost_members_lost_entries": (
                "Members that do not yet hold again what they had acknowledged, as leader here.",
                float(len(status.lost_entries)),
            ),
            "roost_disk_free_bytes": (
                "What the disk has left, once all that is in memory is on it.",
                float(self._member.space().disk_free_bytes),
            ),
            "roost_store_poison_entries": (
                "Committed entries that were no write sets and changed nothing.",
                float(self._member.store.poison_count),
            ),
        }

    def _etcd_gauges(self) -> dict[str, tuple[str, float]]:
        """What dashboards made for etcd look at."""
        figures = self._services.figures()
        return {
            "etcd_server_is_learner": (
                "Whether this member is a learner.",
                float(self._member.is_learner),
            ),
            "etcd_server_quota_backend_bytes": (
                "Size of the store at which writes stop; 0 = never.",
                float(self._quota_bytes),
            ),
            "etcd_debugging_mvcc_watch_stream_total": (
                "Watch streams on this member.",
                float(figures.watch_stream_count),
            ),
            "etcd_debugging_mvcc_slow_watcher_total": (
                "Watchers that have not been sent everything yet.",
                float(figures.slow_watcher_count),
            ),
            "etcd_debugging_mvcc_compact_revision": (
                "Revision up to which history was compacted.",
                float(figures.compacted_revision),
            ),
            "roost_leases": (
                "Leases whose time this member keeps, as leader.",
                float(figures.lease_count),
            ),
            "roost_waiting_turns": (
                "Calls that wait for a lock or an election.",
                float(figures.waiting_count),
            ),
        }

    def counters(self) -> dict[str, tuple[str, float]]:
        """Figures that only grow."""
        peers = self._member.transport.statistics
        leases = self._services.lessor.counts
        return {
            "etcd_network_client_grpc_received_bytes": (
                "Bytes received from gRPC clients.",
                float(self._port.grpc.received_bytes),
            ),
            "etcd_network_client_grpc_sent_bytes": (
                "Bytes sent to gRPC clients.",
                float(self._port.grpc.sent_bytes),
            ),
            "etcd_server_leader_changes_seen": (
                "Leaders that this member has seen come.",
                float(self._member.leader_change_count),
            ),
            "etcd_debugging_lease_granted": ("Leases granted.", float(leases.granted)),
            "etcd_debugging_lease_revoked": ("Leases revoked.", float(leases.revoked)),
            "etcd_debugging_lease_renewed": ("Leases renewed.", float(leases.renewed)),
            "etcd_debugging_server_lease_expired": ("Leases expired.", float(leases.expired)),
            "etcd_debugging_mvcc_events": (
                "Events sent to watchers.",
                float(self._services.watches.event_count),
            ),
            "etcd_network_peer_sent_bytes": (
                "Bytes sent to members.",
                float(peers.sent_bytes),
            ),
            "etcd_network_peer_received_bytes": (
                "Bytes received from members.",
                float(peers.received_bytes),
            ),
            "roost_peer_frames_sent": ("Frames sent to members.", float(peers.sent_count)),
            "roost_peer_frames_received": (
                "Frames received from members.",
                float(peers.received_count),
            ),
            "roost_peer_frames_dropped": (
                "Frames dropped: no link, or its queue was full.",
                float(peers.dropped_count),
            ),
            "roost_journal_mended_entries": (
                "Damaged journal entries that peers brought back.",
                float(self._member.custody.repair.mended_count),
            ),
            "roost_digests_compared": (
                "State digests compared with other members'.",
                float(self._member.custody.digests.compared_count),
            ),
            "roost_digests_differed": (
                "Comparisons of state digests that differed.",
                float(self._member.custody.digests.mismatch_count),
            ),
            "roost_peer_frames_malformed": (
                "Links closed for breaking the protocol.",
                float(peers.malformed_count),
            ),
        }


def _histogram(name: str, held: Histogram) -> Metric:
    made = HistogramMetricFamily(name, _HELP[name])
    made.add_metric([], list(held.buckets()), sum_value=held.sum_s)
    return made
