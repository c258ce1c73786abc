"""Writes the dashboard of Grafana from a table: `python -m deploy.grafana.panels`; a test compares.

Its panels ask Prometheus for the job `roost`, as `deploy/prometheus/prometheus.yml` calls it; the
members shown are chosen on top.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "dashboards" / "roost.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
# Of 24 columns.
_WIDTH, _HEIGHT, _SMALL_WIDTH, _SMALL_HEIGHT = 8, 7, 4, 4
_OF = '{job="roost", instance=~"$instance"}'


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: each line is an expression, in which METRIC{} stands for the chosen members'."""

    title: str
    unit: str
    lines: dict[str, str]


def quantile(part: str, metric: str, by: str = "instance") -> str:
    """A quantile of a histogram, over five minutes."""
    return f"histogram_quantile({part}, sum by ({by}, le) (rate({metric}_bucket{{}}[5m])))"


SMALL = (
    Panel("Members that answer", "none", {"": "sum(up{})"}),
    Panel("Members that know a leader", "none", {"": "sum(etcd_server_has_leader{})"}),
    Panel(
        "Leader changes, 1 h",
        "none",
        {"": "max(increase(etcd_server_leader_changes_seen_total{}[1h]))"},
    ),
    Panel("Keys", "short", {"": "max(etcd_debugging_mvcc_keys_total{})"}),
    Panel("Largest store", "bytes", {"": "max(etcd_mvcc_db_total_size_in_bytes{})"}),
    Panel("Least room on a disk", "bytes", {"": "min(roost_disk_free_bytes{})"}),
)
ROUND_TRIP = "etcd_network_peer_round_trip_time_seconds"
ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel(
            "gRPC calls",
            "reqps",
            {"{{grpc_method}}": "sum by (grpc_method) (rate(grpc_server_handled_total{}[1m]))"},
        ),
        Panel(
            "How long they take, 99 of 100",
            "s",
            {"{{grpc_method}}": quantile("0.99", "grpc_server_handling_seconds", "grpc_method")},
        ),
        Panel(
            "Writes that fail, reads that nobody confirms",
            "reqps",
            {
                "writes, {{instance}}": "rate(etcd_server_proposals_failed_total{}[5m])",
                "reads, {{instance}}": "rate(etcd_server_read_indexes_failed_total{}[5m])",
            },
        ),
        Panel(
            "Keys put, deleted, ranges, transactions",
            "ops",
            {
                "put": "sum(rate(etcd_mvcc_put_total{}[1m]))",
                "delete": "sum(rate(etcd_mvcc_delete_total{}[1m]))",
                "range": "sum(rate(etcd_mvcc_range_total{}[1m]))",
                "txn": "sum(rate(etcd_mvcc_txn_total{}[1m]))",
            },
        ),
        Panel(
            "Watchers, and those that are behind",
            "short",
            {
                "{{instance}}": "etcd_debugging_mvcc_watcher_total{}",
                "behind, {{instance}}": "etcd_debugging_mvcc_slow_watcher_total{}",
            },
        ),
        Panel("Client connections", "short", {"{{instance}}": "roost_client_connections{}"}),
    ),
    "Consensus": (
        Panel(
            "Entries committed",
            "ops",
            {"{{instance}}": "rate(etcd_server_proposals_committed_total{}[1m])"},
        ),
        Panel(
            "Committed, not applied",
            "short",
            {
                "{{instance}}": "etcd_server_proposals_committed_total{} - "
                "etcd_server_proposals_applied_total{}"
            },
        ),
        Panel("Requests that wait", "short", {"{{instance}}": "etcd_server_proposals_pending{}"}),
        Panel("Who leads", "none", {"{{instance}}": "etcd_server_is_leader{}"}),
        Panel(
            "To a member and back, 99 of 100",
            "s",
            {"{{instance}} to {{To}}": quantile("0.99", ROUND_TRIP, "instance, To")},
        ),
        Panel(
            "Bytes between members",
            "Bps",
            {
                "sent, {{instance}}": "rate(etcd_network_peer_sent_bytes_total{}[1m])",
                "received, {{instance}}": "rate(etcd_network_peer_received_bytes_total{}[1m])",
            },
        ),
    ),
    "Disk and memory": (
        Panel(
            "Journal syncs, 99 of 100",
            "s",
            {"{{instance}}": quantile("0.99", "etcd_disk_wal_fsync_duration_seconds")},
        ),
        Panel(
            "The store made durable, 99 of 100",
            "s",
            {"{{instance}}": quantile("0.99", "etcd_disk_backend_commit_duration_seconds")},
        ),
        Panel(
            "Size of the store, in use, and the quota",
            "bytes",
            {
                "{{instance}}": "etcd_mvcc_db_total_size_in_bytes{}",
                "in use, {{instance}}": "etcd_mvcc_db_total_size_in_use_in_bytes{}",
                "quota": "max(etcd_server_quota_backend_bytes{})",
            },
        ),
        Panel(
            "Memory, and its limit",
            "bytes",
            {
                "{{instance}}": "roost_memory_used_bytes{}",
                "limit, {{instance}}": "roost_memory_limit_bytes{}",
            },
        ),
        Panel(
            "Requests refused for want of memory",
            "reqps",
            {"{{instance}}": "rate(roost_memory_refused_total{}[5m])"},
        ),
        Panel(
            "How late the loop comes, 99 of 100",
            "s",
            {"{{instance}}": quantile("0.99", "roost_loop_turn_seconds")},
        ),
    ),
    "Series and counters": (
        Panel(
            "Points that came in", "ops", {"{{instance}}": "rate(roost_series_points_total{}[1m])"}
        ),
        Panel(
            "Queries of PromQL, and those that fail",
            "reqps",
            {
                "{{instance}}": "rate(roost_prometheus_queries_total{}[1m])",
                "failed, {{instance}}": "rate(roost_prometheus_queries_failed_total{}[1m])",
            },
        ),
        Panel(
            "Changes of counters",
            "ops",
            {"{{instance}}": "rate(roost_counters_changes_total{}[1m])"},
        ),
        Panel(
            "Counters that others lack",
            "short",
            {"{{instance}} to {{To}}": "roost_counters_backlog_rows{}"},
        ),
        Panel(
            "How long they have lacked them",
            "s",
            {"{{instance}} to {{To}}": "roost_counters_behind_seconds{}"},
        ),
        Panel("Leases", "short", {"{{instance}}": "max by (instance) (roost_leases{})"}),
    ),
}


def drawn(panel: Panel, number: int, place: dict[str, int], kind: str) -> dict[str, Any]:
    """A panel as Grafana has it."""
    letters = "ABCDEFGH"
    targets = [
        {"refId": letters[position], "expr": line.replace("{}", _OF), "legendFormat": legend}
        for position, (legend, line) in enumerate(panel.lines.items())
    ]
    return {
        "id": number,
        "type": kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def dashboard() -> dict[str, Any]:
    """All of it: a line of numbers, then the rows."""
    panels: list[dict[str, Any]] = []
    for position, panel in enumerate(SMALL):
        place = {"x": position * _SMALL_WIDTH, "y": 0, "w": _SMALL_WIDTH, "h": _SMALL_HEIGHT}
        panels.append(drawn(panel, len(panels) + 1, place, "stat"))
    top = _SMALL_HEIGHT
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place})
        top += 1
        for position, panel in enumerate(row):
            line, column = divmod(position, 24 // _WIDTH)
            place = {"x": column * _WIDTH, "y": top + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(drawn(panel, len(panels) + 1, place, "timeseries"))
        top += -(-len(row) * _WIDTH // 24) * _HEIGHT
    chosen = {
        "name": "instance",
        "label": "member",
        "type": "query",
        "datasource": SOURCE,
        "query": 'label_values(etcd_server_has_leader{job="roost"}, instance)',
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
    return {
        "uid": "roost",
        "title": "Roost",
        "tags": ["roost"],
        "schemaVersion": 39,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [chosen]},
        "panels": panels,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
