"""The settings of one member, checked at the border."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from roost.member.errors import BadMemberConfig
from roost.settings import DEFAULTS

Address = tuple[str, int]


LEASE_PART = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig:
    """Everything a member must be told; times in milliseconds, sizes in bytes.

    Raises:
        BadMemberConfig: on construction, with the setting named.

    """

    name: str
    data_dir: Path
    initial_cluster: Mapping[str, tuple[str, ...]]
    advertise_peer_urls: tuple[str, ...]
    listen_peer_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...] = ()
    initial_cluster_token: str = DEFAULTS.initial_cluster_token
    # Names in `initial_cluster` are none: first members begin without, and tell theirs later.
    names_are_unknown: bool = False
    heartbeat_ms: int = DEFAULTS.heartbeat_interval
    election_ms: int = DEFAULTS.election_timeout
    # Requests waiting to be executed; a client with too large a part of them, or more than there is
    # room for, is answered with Overloaded (`roost.fair_queue`).
    queue_count_max: int = 20_000
    queue_bytes_max: int = 64 << 20
    # Write sets proposed and not yet applied: more pipelining buys nothing past a few
    # (measured 2026-11, docs/performance.md), and each costs a layer in every look-up.
    batch_inflight_max: int = 8
    batch_bytes_max: int = 4 << 20
    # A turn of the loop runs one batch, so this bounds its step: about five milliseconds of puts.
    batch_count_max: int = 512
    # Entries kept in the journal below what the store has durably, for slightly slow members.
    trailing_entries: int = DEFAULTS.snapshot_count
    # How fast a snapshot is sent, so that it leaves room for everything else.
    snapshot_bytes_per_s: int = 100 << 20
    # A forwarded request without an answer is given up as unknown after this long.
    request_timeout_ms: int = 5_000
    # The leader answers reads without asking others for this part of the time that a voter which
    # heard it waits before it votes for another, so clocks may differ by the rest in rate.  All
    # members must have it set alike.
    lease_reads: bool = DEFAULTS.lease_reads
    # The journal's sync moves to a thread when it takes longer than this on average.
    inline_sync_ms_max: float = 5.0
    # A larger batch is the thread's on any disk: a MiB takes milliseconds.
    inline_sync_bytes_max: int = 256 << 10
    # How often all of the store is read and checked; 0 = never.
    scrub_interval_s: float = DEFAULTS.scrub_interval
    # Refuse a directory that others than its owner may use, instead of a warning.
    strict_permissions: bool = DEFAULTS.strict_permissions
    store_layer_bytes_max: int = field(default=32 << 20)

    @property
    def lease_s(self) -> float:
        """How long a leader may read after the sending of a round that was answered; 0 = never."""
        ticks = self.election_ms // self.heartbeat_ms
        return LEASE_PART * (ticks - 1) * self.heartbeat_ms / 1000 if self.lease_reads else 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work, naming the setting as etcd's flag does."""
        if not self.name:
            raise BadMemberConfig("name must not be empty")
        if self.heartbeat_ms <= 0:
            raise BadMemberConfig("heartbeat-interval must be > 0")
        if self.election_ms < 5 * self.heartbeat_ms:
            text = (
                f"election-timeout is {self.election_ms} ms: it must be at least "
                f"{5 * self.heartbeat_ms}, five times heartbeat-interval"
            )
            raise BadMemberConfig(text)
        for url in (*self.listen_peer_urls, *self.advertise_peer_urls):
            address_of(url)


def added_anew(config: MemberConfig) -> str:
    """How a machine whose member is gone gets one again, in words to paste."""
    urls = ",".join(config.advertise_peer_urls)
    if all("//localhost:" in it for it in config.advertise_peer_urls):
        urls = ",".join(config.listen_peer_urls)  # as when nothing was said to later starts
    add = f"`roost member add {config.name} --peer-urls {urls}`"
    return f"{add}, and start it as that prints, on an empty directory"


def address_of(url: str) -> Address:
    """Split `http://host:port`, or `https://`, into what a socket needs.

    Raises:
        BadMemberConfig: another scheme, or no host or port.

    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadMemberConfig(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or port is None:
        raise BadMemberConfig(f"{url!r} must be of the form http://host:port")
    return host, port
