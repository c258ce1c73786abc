"""The figures of etcd's services: keys, watches, leases, turns.

What etcd counts on every member, because every member runs every request, is counted here where
it runs: writes by the member that leads, reads by the one that answers.
"""

from dataclasses import dataclass

from roost.etcd.services import EtcdFigures, Services
from roost.figures import Figure


@dataclass(frozen=True, slots=True)
class EtcdNow:
    """The services of one member at one moment."""

    services: Services
    figures: EtcdFigures


FIGURES: tuple[Figure[EtcdNow], ...] = (
    Figure(
        "etcd_debugging_store_watchers",
        "gauge",
        "Watches of v2 that are open.",
        lambda it: it.figures.v2_watcher_count,
    ),
    Figure(
        "roost_v2_watchers_behind",
        "gauge",
        "Watches of v2 that are told from history, or take nothing.",
        lambda it: it.figures.v2_behind_count,
    ),
    Figure(
        "etcd_server_proposals_failed_total",
        "counter",
        "Writes asked of this member that failed, other than by a refusal.",
        lambda it: it.figures.failed_write_count,
    ),
    Figure(
        "etcd_server_read_indexes_failed_total",
        "counter",
        "Reads asked of this member that nobody could confirm.",
        lambda it: it.figures.failed_read_count,
    ),
    Figure(
        "etcd_mvcc_put_total",
        "counter",
        "Keys put, by the member that led.",
        lambda it: it.figures.keys.puts,
    ),
    Figure(
        "etcd_mvcc_delete_total",
        "counter",
        "Deletions of keys or ranges, by the member that led.",
        lambda it: it.figures.keys.deletes,
    ),
    Figure(
        "etcd_mvcc_range_total",
        "counter",
        "Ranges read, by the member that answered.",
        lambda it: it.figures.keys.ranges,
    ),
    Figure(
        "etcd_mvcc_txn_total",
        "counter",
        "Transactions run: those that write by the member that led.",
        lambda it: it.figures.keys.transactions,
    ),
    Figure(
        "etcd_debugging_mvcc_keys_total", "gauge", "Living keys.", lambda it: it.figures.key_count
    ),
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
        lambda it: it.figures.compacted_revision,
    ),
    Figure(
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "counter",
        "Revisions of keys that were compacted, and are removed on this member.",
        lambda it: it.figures.keys.compacted,
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
        lambda it: it.figures.watch_stream_count,
    ),
    Figure(
        "etcd_debugging_mvcc_slow_watcher_total",
        "gauge",
        "Watchers that have not been sent everything yet.",
        lambda it: it.figures.slow_watcher_count,
    ),
    Figure(
        "etcd_debugging_mvcc_events_total",
        "counter",
        "Events sent to watchers.",
        lambda it: it.services.watches.event_count,
    ),
    Figure(
        "roost_watchers_fanned_out_total",
        "counter",
        "Watchers that were told in turns to come, because too many wanted an event.",
        lambda it: it.services.watches.fanned_out_count,
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
        "Leases revoked, also those that have expired.",
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
        lambda it: it.figures.lease_count,
    ),
    Figure(
        "roost_copies_sent",
        "gauge",
        "Copies of the store on their way to clients.",
        lambda it: it.services.copies.running_count,
    ),
    Figure(
        "roost_copies_waiting",
        "gauge",
        "Requests for a copy of the store that wait for their turn.",
        lambda it: it.services.copies.waiting_count,
    ),
    Figure(
        "roost_copies_refused_total",
        "counter",
        "Requests for a copy of the store refused because too many waited.",
        lambda it: it.services.copies.refused_count,
    ),
    Figure(
        "roost_passwords_waiting",
        "gauge",
        "Passwords that wait to be checked or hashed.",
        lambda it: it.services.hashers.waiting_count,
    ),
    Figure(
        "roost_waiting_turns",
        "gauge",
        "Calls that wait for a lock or an election.",
        lambda it: it.figures.waiting_count,
    ),
    Figure(
        "roost_long_reads",
        "gauge",
        "Reads that take more than a turn of the loop.",
        lambda it: it.figures.long_read_count,
    ),
    Figure(
        "roost_long_reads_waiting",
        "gauge",
        "Those of them that wait until a state of the store can be held.",
        lambda it: it.figures.long_read_waiting_count,
    ),
    Figure(
        "roost_right_checks_waiting",
        "gauge",
        "Requests that wait until it is known whether their users may, as it takes turns to know.",
        lambda it: it.figures.question_count,
    ),
    Figure(
        "roost_long_read_bytes",
        "gauge",
        "What their answers in the making keep in memory.",
        lambda it: it.figures.long_read_bytes,
    ),
)
