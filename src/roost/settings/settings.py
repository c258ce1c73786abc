"""What a member can be told, as one typed value: the names and the defaults of the command line.

A field is a flag of `roost serve`, with `_` for `-`; its text is the flag's help.  Whole numbers
have their unit in the text; a `float` is a duration in seconds, which a flag writes as 1h30m;
`Texts` are comma-separated in a flag.  Defaults are here and nowhere else.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from roost.errors import CallerFault

Texts = tuple[str, ...]
# Beside the text of a setting: whoever is shown settings does not see what it is.
SECRET = object()
_HOUR_S = 3600.0


class BadSetting(CallerFault):
    """A setting has a value that cannot be used; the text names the setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one member and its port."""

    name: Annotated[str, "Human-readable name of this member."] = "default"
    data_dir: Annotated[str, "Where the data lies; default <name>.roost."] = ""
    listen_client_urls: Annotated[Texts, "Where clients are served."] = ("http://localhost:2379",)
    advertise_client_urls: Annotated[
        Texts,
        "Client URLs told to others; default: those listened on.",
    ] = ()
    listen_peer_urls: Annotated[
        Texts,
        "Where other members are heard.",
    ] = ("http://localhost:2380",)
    initial_advertise_peer_urls: Annotated[
        Texts,
        "Peer URLs told to others.",
    ] = ("http://localhost:2380",)
    initial_cluster: Annotated[str, "All first members: name=url,name=url."] = ""
    initial_cluster_state: Annotated[
        str, "`new`: the cluster begins; `existing`: this member joins."
    ] = "new"
    initial_cluster_token: Annotated[str, "Tells clusters with equal URLs apart."] = "etcd-cluster"  # noqa: S105 - a name
    discovery: Annotated[
        str,
        "Where the first members of a cluster find each other: a URL that GET /new of v2 gave out.",
    ] = ""
    discovery_token: Annotated[
        str,
        "The same among keys of v3 (etcd 3.6): the name of their cluster at --discovery-endpoints.",
    ] = ""
    discovery_endpoints: Annotated[
        Texts,
        "Client URLs of the cluster that keeps --discovery-token.",
    ] = ()
    discovery_srv: Annotated[
        str,
        "The domain whose SRV records name the first members: _etcd-server-ssl._tcp.DOMAIN and"
        " _etcd-server._tcp.DOMAIN; wants the extra `dns`.",
    ] = ""
    discovery_srv_name: Annotated[
        str,
        "Looks for _etcd-server-NAME instead.",
    ] = ""
    discovery_dns: Annotated[
        str,
        "The name server that --discovery-srv asks: address:port; default: the system's.",
    ] = ""
    discovery_fallback: Annotated[
        str,
        "What comes too late to be a first member does: `exit`, or `learner`: have itself added."
        " `proxy` is exit, as there is none.",
    ] = "exit"
    discovery_request_timeout: Annotated[
        float,
        "How long --discovery-endpoints, and the members that a learner asks, may take to answer.",
    ] = 5.0
    discovery_cacert: Annotated[str, "Whose certificates a discovery service must have."] = ""
    discovery_cert: Annotated[str, "Our certificate for it."] = ""
    discovery_key: Annotated[str, "Key of --discovery-cert."] = ""
    discovery_insecure_skip_tls_verify: Annotated[
        bool,
        "Take any certificate of a discovery service: whoever is between sees and says all.",
    ] = False
    discovery_user: Annotated[str, "Who we are to --discovery-endpoints."] = ""
    discovery_password: Annotated[str, "The password of --discovery-user.", SECRET] = ""
    force_new_cluster: Annotated[
        bool,
        "A majority is lost for good: go on alone, as a new cluster, with what is here.",
    ] = False
    lease_reads: Annotated[
        bool,
        "The leader reads without asking, as long as clocks run alike; on all members or on none.",
    ] = False
    heartbeat_interval: Annotated[int, "Milliseconds between a leader's heartbeats."] = 100
    election_timeout: Annotated[int, "Milliseconds without a leader until an election."] = 1000
    snapshot_count: Annotated[int, "Entries kept in the journal for members that lag."] = 10_000
    max_request_bytes: Annotated[int, "Largest request a client may send, in bytes."] = 1536 << 10
    quota_backend_bytes: Annotated[int, "Size of the store at which writes stop; 0 = 2 GiB."] = 0
    segment_bytes: Annotated[int, "Size of a journal file, in bytes."] = 16 << 20
    strict_permissions: Annotated[
        bool,
        "Refuse a data directory that others than its owner may use, instead of a warning.",
    ] = False
    scrub_interval: Annotated[
        float,
        "How often the whole store is read and checked; 0 = never.",
    ] = 24 * _HOUR_S
    backup_dir: Annotated[
        str,
        "Where backups are saved, a directory or `s3://BUCKET/PREFIX`; none are when it is empty.",
    ] = ""
    backup_interval: Annotated[float, "How often a backup is saved."] = 24 * _HOUR_S
    backup_full_interval: Annotated[
        float,
        "How often a backup is a full one; those between are increments, of what was written since"
        " the one before. 0 = each is full.",
    ] = 0.0
    backup_keep: Annotated[
        int, "How many full backups are kept, each with the increments that follow it."
    ] = 7
    max_memory_bytes: Annotated[
        int,
        "Memory this member may take, in bytes, 64 MiB or more; 0 = what the machine, cgroups and"
        " ulimits allow.",
    ] = 0
    max_txn_ops: Annotated[int, "Most operations in a transaction."] = 128
    max_concurrent_streams: Annotated[int, "Most open calls of one client connection."] = 4096
    max_connections: Annotated[int, "Most open client connections."] = 10_000
    max_watchers: Annotated[int, "Most watchers on this member."] = 100_000
    max_leases: Annotated[int, "Most leases in the cluster."] = 1_000_000
    auto_compaction_mode: Annotated[
        str,
        "`periodic` keeps hours, `revision` revisions.",
    ] = "periodic"
    auto_compaction_retention: Annotated[
        str,
        "What compaction keeps: 1h, 30m, 1000; 0 = all.",
    ] = "0"
    cert_file: Annotated[str, "Certificate for clients; with it https URLs are served."] = ""
    key_file: Annotated[str, "Key of --cert-file."] = ""
    trusted_ca_file: Annotated[str, "Whose certificates clients must have."] = ""
    client_cert_auth: Annotated[
        bool,
        "Clients need certificates, whose name is their user.",
    ] = False
    client_crl_file: Annotated[str, "Certificates of clients that were revoked."] = ""
    client_cert_allowed_hostname: Annotated[
        str,
        "The host a client's certificate must be for.",
    ] = ""
    auto_tls: Annotated[bool, "Serve clients with a certificate made here."] = False
    peer_cert_file: Annotated[str, "Certificate for other members."] = ""
    peer_key_file: Annotated[str, "Key of --peer-cert-file."] = ""
    peer_trusted_ca_file: Annotated[str, "Whose certificates other members must have."] = ""
    peer_client_cert_auth: Annotated[bool, "Other members must show certificates."] = False
    peer_crl_file: Annotated[str, "Certificates of members that were revoked."] = ""
    peer_cert_allowed_cn: Annotated[str, "The common name a member's certificate must have."] = ""
    peer_cert_allowed_hostname: Annotated[str, "The host a member's certificate must be for."] = ""
    peer_auto_tls: Annotated[bool, "Talk to members with a certificate made here."] = False
    peer_http_upgrade: Annotated[
        bool,
        "Begin links to members with an HTTP/1.1 upgrade; on all members, or on none.",
    ] = False
    peer_secret_file: Annotated[
        str,
        "Secrets, one a line; who knows none of them is no member.",
    ] = ""
    self_signed_cert_validity: Annotated[
        int,
        "Years for which certificates made here are good.",
    ] = 1
    cipher_suites: Annotated[
        str,
        "TLS 1.2 ciphers: Go's names, comma-separated, or OpenSSL's, colon-separated.",
    ] = ""
    tls_min_version: Annotated[str, "Oldest TLS spoken: TLS1.2 (the default) or TLS1.3."] = ""
    tls_max_version: Annotated[
        str,
        "Newest TLS spoken: TLS1.2 or TLS1.3; default: the newest.",
    ] = ""
    auth_token: Annotated[
        str,
        "`simple`, or jwt,sign-method=..,pub-key=..,priv-key=..,ttl=..",
    ] = "simple"  # noqa: S105 - a kind
    auth_token_ttl: Annotated[
        int,
        "Seconds after which a simple token that nobody uses ends.",
    ] = 300
    bcrypt_cost: Annotated[int, "Work for one password: 4 to 31, each step doubles it."] = 10
    password_length_min: Annotated[int, "Fewest characters of a new password."] = 1
    cors: Annotated[
        Texts,
        "Origins whose pages may use the JSON gateway, comma-separated.",
    ] = ("*",)
    host_whitelist: Annotated[
        Texts,
        "Hosts that plain HTTP requests may be for, comma-separated.",
    ] = ("*",)
    enable_grpc_gateway: Annotated[bool, "Serve the JSON gateway under /v3/."] = True
    gateway_heartbeat_interval: Annotated[
        float,
        "How often a stream of the JSON gateway that says nothing sends a newline; 0 = never.",
    ] = 0.0
    enable_v2: Annotated[bool, "Answer etcd's v2 API under /v2/."] = False
    v2_heartbeat_interval: Annotated[
        float,
        "How often whoever waits for an event of v2 hears a newline; 0 = never.",
    ] = 10.0
    v2_redirect: Annotated[
        bool,
        "Send writes of v2 to the leader by a redirect (307), as etcd 0.3, instead of for clients.",
    ] = False
    counters_name: Annotated[
        str,
        "Under which name this member counts, never another member's; empty = its own name.",
    ] = ""
    counters_seed: Annotated[
        str,
        "The name under which the member counts that feeds this one when it is new; empty = any.",
    ] = ""
    counters_silent: Annotated[
        bool,
        "When it is new, serve no counters before somebody says so: roost counter ready.",
    ] = False
    counters_behind_alarm: Annotated[
        float,
        "How long another member may lack what this one has counted before that is an alarm;"
        " 0 = for ever.",
    ] = 300.0
    counters_max_changes: Annotated[
        int, "Most counters that a request changes, or reads by name."
    ] = 10_000
    counters_max_body_bytes: Annotated[int, "Largest request to counters over HTTP, in bytes."] = (
        1 << 20
    )
    counters_keep_requests: Annotated[
        int, "Most idempotency keys of requests to counters that a member knows again."
    ] = 1_000_000
    counters_keep_requests_for: Annotated[float, "For how long it knows one."] = 24 * _HOUR_S
    counters_link_ca_file: Annotated[
        str,
        "Whose certificates members of other clusters have to which counters are told; empty ="
        " those that the system believes.",
    ] = ""
    counters_link_cert_file: Annotated[
        str,
        "The certificate that this member shows there.",
    ] = ""
    counters_link_key_file: Annotated[str, "Its key."] = ""
    counters_link_user_file: Annotated[
        str,
        "A file with one line, name:password, by which this member logs in there.",
    ] = ""
    listen_metrics_urls: Annotated[Texts, "Where /metrics and /health are served besides."] = ()
    grpc_keepalive_interval: Annotated[
        float,
        "Silence after which a client is asked for life.",
    ] = 2 * _HOUR_S
    grpc_keepalive_timeout: Annotated[float, "How long a client may take to answer that."] = 20.0
    socket_reuse_port: Annotated[bool, "Share the client port with other processes."] = False
    shutdown_grace: Annotated[float, "How long open calls may go on when the member stops."] = 2.0
    experimental_watch_progress_notify_interval: Annotated[
        float,
        "How often a quiet watcher that asked for it hears how far it has come.",
    ] = 10 * 60.0
    experimental_enable_distributed_tracing: Annotated[
        bool,
        "Export the ways of requests that have a traceparent or an X-Request-Id, as spans of"
        " OpenTelemetry; wants the extra `otel`.",
    ] = False
    experimental_distributed_tracing_address: Annotated[
        str,
        "The collector that spans are sent to, by OTLP over gRPC.",
    ] = "localhost:4317"
    experimental_distributed_tracing_service_name: Annotated[
        str,
        "The service's name in spans; the same on all members.",
    ] = "roost"
    experimental_distributed_tracing_instance_id: Annotated[
        str,
        "What tells this member from others in spans; default: its --name.",
    ] = ""
    logger: Annotated[str, "The one logger, whose lines look like zap's."] = "zap"
    log_outputs: Annotated[Texts, "`stderr`, `stdout` or paths, comma-separated."] = ("default",)
    log_level: Annotated[str, "debug, info, warn, error, panic or fatal."] = "info"
    log_format: Annotated[str, "json or console."] = "json"
    config_file: Annotated[str, "YAML file with settings; replaces flags and environment."] = ""

    @property
    def directory(self) -> Path:
        """Where the data really lies."""
        return Path(self.data_dir or f"{self.name}.roost")


DEFAULTS = Settings()
