"""How a member serves its clients, and what it does besides: made of the settings, and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from roost import etcd
from roost.counters.requests import Limits as CounterLimits
from roost.errors import PackageMissing
from roost.member import BadPlace, check_place
from roost.server.counter_way import Showing
from roost.server.port import AROUND_BYTES, ServerConfig
from roost.settings import DEFAULTS, BadSetting, Settings
from roost.settings.durations import parse_duration
from roost.store.base import MAP_BYTES_FIRST

BCRYPT_COST_MIN, BCRYPT_COST_MAX = 4, 31
# Streams that need a leader end after so many election timeouts (etcd: v3rpc.monitorLeader).
_LEADERLESS_ELECTIONS = 3
_HOUR_S = 3600.0
# Who has set something: whoever has opened the database in a program.
PROGRAM = "roost.open"
# What a process maps besides the store's file.
AROUND_MAP_BYTES = 384 << 20
_V2_REQUEST_S = 5.0
# Of counters: changes go over turns, bodies and answers are in memory, keys are in the store.
_CHANGES_MAX = 100_000
_BODY_BYTES_MIN, _BODY_BYTES_MAX = 1 << 10, 64 << 20
_REQUESTS_KEPT_MAX = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """Where backups are saved, how often, how often one is full, and how many of those stay."""

    # A directory, or `s3://BUCKET/PREFIX`.
    place: str
    interval_s: float
    # 0: each is full.
    full_interval_s: float
    keep_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a member is served with; sizes in bytes, times in seconds."""

    # What it is made of, and who has set what of that, for those who want to see it.
    settings: Settings
    origins: Mapping[str, str]
    port: ServerConfig
    limits: etcd.Limits
    auth: etcd.AuthOptions
    # None: nothing is compacted but what somebody asks for.
    keeping: etcd.Keeping | None
    # Where writes stop; 0 is nowhere.
    quota_bytes: int
    # None: none are saved.
    backups: Backups | None
    has_gateway: bool
    # Whoever waits for a stream of it hears a newline this often; 0 = never.
    gateway_heartbeat_s: float
    # Whether etcd's v2 is answered.
    has_v2: bool
    # Under which name this member counts; empty = its own.
    counters_name: str
    # Who feeds it when it is new, empty = anybody; whether it serves nobody then, before somebody
    # says so; and for how long another member may be behind, 0 = for ever.
    counters_seed: str
    counters_silent: bool
    counters_behind_s_max: float
    # How it shows who it is to members of other clusters.
    counters_showing: Showing
    # What a request may be at most, and for how long it is known again.
    counters_limits: CounterLimits
    counters_body_bytes_max: int
    # Origins and hosts whose requests are answered; see `app`.
    cors: Sequence[str]
    hosts: Sequence[str]
    # How long open calls may go on when the member stops.
    grace_s: float


def serving_of(settings: Settings, origins: Mapping[str, str] | None = None) -> Serving:
    """What the settings say.

    `origins` are who has said them, by the names of flags; without any it was a program.

    Raises:
        BadSetting: one cannot be used; the text names it.

    """
    limits = _limits(settings)
    return Serving(
        settings=settings,
        origins=given_by_program(settings) if origins is None else origins,
        port=_port(settings, limits),
        limits=limits,
        auth=_auth(settings),
        keeping=_keeping(settings),
        quota_bytes=quota_of(settings),
        backups=_backups(settings),
        has_gateway=settings.enable_grpc_gateway,
        gateway_heartbeat_s=settings.gateway_heartbeat_interval,
        has_v2=settings.enable_v2,
        counters_name=settings.counters_name,
        counters_seed=settings.counters_seed,
        counters_silent=settings.counters_silent,
        counters_behind_s_max=settings.counters_behind_alarm,
        counters_showing=_showing(settings),
        counters_limits=_counter_limits(settings),
        counters_body_bytes_max=_within(
            settings, "counters_max_body_bytes", _BODY_BYTES_MIN, _BODY_BYTES_MAX
        ),
        cors=settings.cors,
        hosts=settings.host_whitelist,
        grace_s=settings.shutdown_grace,
    )


def given_by_program(settings: Settings) -> dict[str, str]:
    """Who has set what is not as it is by default, where a program has opened the database."""
    names = (it.name for it in fields(Settings))
    changed = (it for it in names if getattr(settings, it) != getattr(DEFAULTS, it))
    return {name.replace("_", "-"): PROGRAM for name in changed}


def _showing(settings: Settings) -> Showing:
    if settings.counters_link_key_file and not settings.counters_link_cert_file:
        raise BadSetting("--counters-link-key-file: of which --counters-link-cert-file?")
    return Showing(
        ca_file=settings.counters_link_ca_file,
        cert_file=settings.counters_link_cert_file,
        key_file=settings.counters_link_key_file,
        user_file=settings.counters_link_user_file,
    )


def _counter_limits(settings: Settings) -> CounterLimits:
    kept_s = settings.counters_keep_requests_for
    if kept_s <= 0:
        raise BadSetting("--counters-keep-requests-for must be positive")
    return CounterLimits(
        count_max=_within(settings, "counters_keep_requests", 1, _REQUESTS_KEPT_MAX),
        age_s=kept_s,
        changes_max=_within(settings, "counters_max_changes", 1, _CHANGES_MAX),
    )


def _within(settings: Settings, name: str, least: int, most: int) -> int:
    value: int = getattr(settings, name)
    if not least <= value <= most:
        raise BadSetting(f"--{name.replace('_', '-')}={value}: {least:,} to {most:,}")
    return value


def quota_of(settings: Settings) -> int:
    """The size of the store at which writes stop; 0 is never.

    As with etcd: 0 in the settings is the default, less than that is no quota.
    """
    quota = settings.quota_backend_bytes
    return max(0, quota) if quota else etcd.QUOTA_BYTES


def _limits(settings: Settings) -> etcd.Limits:
    progress_s = settings.experimental_watch_progress_notify_interval
    if progress_s <= 0:
        raise BadSetting("--experimental-watch-progress-notify-interval must be positive")
    if settings.v2_heartbeat_interval < 0:
        raise BadSetting("--v2-heartbeat-interval must not be negative")
    if settings.gateway_heartbeat_interval < 0:
        raise BadSetting("--gateway-heartbeat-interval must not be negative")
    return etcd.Limits(
        request_bytes_max=settings.max_request_bytes,
        operations_max=settings.max_txn_ops,
        watchers_max=settings.max_watchers,
        leases_max=settings.max_leases,
        progress_interval_s=progress_s,
        # As etcd: three halves of an election timeout, in whole seconds.
        lease_ttl_min_s=max(1, -(-3 * settings.election_timeout // 2000)),
        lease_grace_s=settings.election_timeout / 1000,
        v2_request_s=_V2_REQUEST_S + 2 * settings.election_timeout / 1000,
        v2_heartbeat_s=settings.v2_heartbeat_interval,
        v2_redirects=settings.v2_redirect,
    )


def _port(settings: Settings, limits: etcd.Limits) -> ServerConfig:
    return ServerConfig(
        leaderless_s=_LEADERLESS_ELECTIONS * settings.election_timeout / 1000,
        message_bytes_max=limits.request_bytes_max + AROUND_BYTES,
        connections_max=settings.max_connections,
        streams_max=settings.max_concurrent_streams,
        trusts_certificates=settings.client_cert_auth,
        keepalive_s=settings.grpc_keepalive_interval,
        keepalive_timeout_s=settings.grpc_keepalive_timeout,
        shares_port=settings.socket_reuse_port,
        no_leader=etcd.NO_LEADER,
        stopped=etcd.STOPPED,
    )


def _auth(settings: Settings) -> etcd.AuthOptions:
    """How users say who they are."""
    cost, text = settings.bcrypt_cost, settings.auth_token
    if not BCRYPT_COST_MIN <= cost <= BCRYPT_COST_MAX:
        raise BadSetting(f"--bcrypt-cost={cost}: {BCRYPT_COST_MIN} to {BCRYPT_COST_MAX}")
    kind, *parts = text.split(",")
    if kind not in ("simple", "jwt"):
        raise BadSetting(f"--auth-token={text}: simple or jwt")
    options = dict(part.partition("=")[::2] for part in parts)
    return etcd.AuthOptions(
        jwt=_jwt(options) if kind == "jwt" else None,
        token_ttl_s=float(settings.auth_token_ttl),
        bcrypt_cost=cost,
        password_chars_min=settings.password_length_min,
    )


def _jwt(options: Mapping[str, str]) -> etcd.JwtOptions:
    # What it needs is slow to import.
    from roost.etcd.access.jwt_tokens import BadTokenOptions, jwt_options

    try:
        return jwt_options(options, lambda ttl: parse_duration("auth-token", ttl))
    except BadTokenOptions as error:
        raise BadSetting(f"--auth-token: {error}") from error


def _keeping(settings: Settings) -> etcd.Keeping | None:
    """What automatic compaction keeps."""
    mode, text = settings.auto_compaction_mode, settings.auto_compaction_retention
    if mode not in ("periodic", "revision"):
        raise BadSetting(f"--auto-compaction-mode={mode}: periodic or revision")
    if text == "0":
        return None
    if mode == "revision":
        if not text.isdigit():
            raise BadSetting(f"--auto-compaction-retention={text} is no number of revisions")
        return etcd.KeepRevisions(int(text))
    # As with etcd: a bare number is hours.
    if text.isdigit():
        return etcd.KeepTime(int(text) * _HOUR_S)
    kept_s = parse_duration("auto-compaction-retention", text)
    if kept_s <= 0:
        raise BadSetting("--auto-compaction-retention must be positive")
    return etcd.KeepTime(kept_s)


def _backups(settings: Settings) -> Backups | None:
    if not settings.backup_dir:
        return None
    if settings.backup_interval <= 0 or settings.backup_keep <= 0:
        raise BadSetting("--backup-interval and --backup-keep must be positive")
    if settings.backup_full_interval and settings.backup_full_interval < settings.backup_interval:
        raise BadSetting(
            "--backup-full-interval is how often one of the backups is a full one: it must be"
            " --backup-interval or longer, or 0 when each is to be full"
        )
    try:
        check_place(settings.backup_dir)
    except (BadPlace, PackageMissing) as error:
        raise BadSetting(f"--backup-dir: {error}") from error
    return Backups(
        place=settings.backup_dir,
        interval_s=settings.backup_interval,
        full_interval_s=settings.backup_full_interval,
        keep_count=settings.backup_keep,
    )


def quota_within(quota_bytes: int, address_bytes: int | None) -> int:
    """The quota of a store whose file, which is mapped as a whole, must fit what may be mapped.

    The map doubles when it is full; where it cannot, the member would end, so writes stop before.
    """
    if address_bytes is None:
        return quota_bytes
    size = MAP_BYTES_FIRST
    while 2 * size + AROUND_MAP_BYTES <= address_bytes:
        size *= 2
    most = size * 9 // 10
    return min(quota_bytes, most) if quota_bytes else most
