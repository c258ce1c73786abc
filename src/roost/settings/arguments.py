"""The settings of a member as keyword arguments, for those who open one in a program.

Names, units and meanings are those of `Settings`, but for what a program says otherwise: its name
and directory, its log, and who else there is; texts may be any sequence.  A test compares the two.
"""

from collections.abc import Sequence
from typing import TypedDict


class SettingsArguments(TypedDict, total=False):
    """Any of them may be left out: the defaults are those of `Settings`."""

    listen_client_urls: Sequence[str]
    advertise_client_urls: Sequence[str]
    listen_peer_urls: Sequence[str]
    initial_advertise_peer_urls: Sequence[str]
    initial_cluster: str
    initial_cluster_state: str
    initial_cluster_token: str
    force_new_cluster: bool
    lease_reads: bool
    heartbeat_interval: int
    election_timeout: int
    snapshot_count: int
    max_request_bytes: int
    quota_backend_bytes: int
    max_memory_bytes: int
    segment_bytes: int
    strict_permissions: bool
    scrub_interval: float
    backup_dir: str
    backup_interval: float
    backup_full_interval: float
    backup_keep: int
    max_txn_ops: int
    max_concurrent_streams: int
    max_connections: int
    max_watchers: int
    max_leases: int
    auto_compaction_mode: str
    auto_compaction_retention: str
    cert_file: str
    key_file: str
    trusted_ca_file: str
    client_cert_auth: bool
    client_crl_file: str
    client_cert_allowed_hostname: str
    auto_tls: bool
    peer_cert_file: str
    peer_key_file: str
    peer_trusted_ca_file: str
    peer_client_cert_auth: bool
    peer_crl_file: str
    peer_cert_allowed_cn: str
    peer_cert_allowed_hostname: str
    peer_auto_tls: bool
    peer_http_upgrade: bool
    peer_secret_file: str
    self_signed_cert_validity: int
    cipher_suites: str
    tls_min_version: str
    tls_max_version: str
    auth_token: str
    auth_token_ttl: int
    bcrypt_cost: int
    password_length_min: int
    cors: Sequence[str]
    host_whitelist: Sequence[str]
    enable_grpc_gateway: bool
    gateway_heartbeat_interval: float
    enable_v2: bool
    v2_heartbeat_interval: float
    v2_redirect: bool
    counters_name: str
    counters_seed: str
    counters_silent: bool
    counters_behind_alarm: float
    counters_max_changes: int
    counters_max_body_bytes: int
    counters_keep_requests: int
    counters_keep_requests_for: float
    counters_link_ca_file: str
    counters_link_cert_file: str
    counters_link_key_file: str
    counters_link_user_file: str
    listen_metrics_urls: Sequence[str]
    grpc_keepalive_interval: float
    grpc_keepalive_timeout: float
    socket_reuse_port: bool
    shutdown_grace: float
    experimental_watch_progress_notify_interval: float
