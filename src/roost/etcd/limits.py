"""How much of everything clients may ask for (etcd: embed.Config)."""

from dataclasses import dataclass

from roost.settings import DEFAULTS

# What of one thing can be said at once; a message has room for tens of thousands.
WATCH_FILTERS_MAX = 16
# What is held against each request of a user, and written anew with each grant.
ROLES_OF_USER_MAX, PERMISSIONS_OF_ROLE_MAX = 1024, 4096
# Of a user with its roles, or of a role with its permissions: no request has more bytes by default.
ROW_BYTES_MAX = 2 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """On by default; more than that is answered with an error, never queued without end."""

    request_bytes_max: int = DEFAULTS.max_request_bytes
    # Comparisons, and operations in either branch, of one transaction.
    operations_max: int = DEFAULTS.max_txn_ops
    watchers_per_stream_max: int = 10_000
    watchers_max: int = DEFAULTS.max_watchers
    # A watcher that asked for it hears this often how far it has come, if nothing else.
    progress_interval_s: float = DEFAULTS.experimental_watch_progress_notify_interval
    leases_max: int = DEFAULTS.max_leases
    # A lease lives at least this long: one and a half election timeouts, in whole seconds.
    lease_ttl_min_s: int = 2
    # A new leader gives every lease so much more, for a renewal that was on its way.
    lease_grace_s: float = 1.0
    # A request of v2 is given up after so long (etcd: 5 s and two election timeouts).
    v2_request_s: float = 7.0
    # Whoever waits for v2's events hears a newline this often; 0 = never.
    v2_heartbeat_s: float = DEFAULTS.v2_heartbeat_interval
    # Whoever writes to v2 at a member that does not lead is told where that is, and asks there.
    v2_redirects: bool = DEFAULTS.v2_redirect
