"""A member's configuration, and the machine under it, from what it was told."""

from pathlib import Path

from roost.member.config import MemberConfig
from roost.member.machine.world import SEGMENT_BYTES_MIN, World
from roost.memory import Memory
from roost.memory_limit import find_limits
from roost.peer import BadSecret, PeerTls, Secrets, UpgradedNetwork, read_secrets
from roost.settings import BadSetting, Settings
from roost.settings.certificates import peer_tls
from roost.settings.urls import check_peer_url, parse_initial_cluster, told_to_clients

# What a member takes that has nothing to do.
MEMORY_BYTES_MIN = 64 << 20


def member_config(settings: Settings) -> MemberConfig:
    """Turn settings into a member's configuration.

    Raises:
        RoostError: a setting cannot be used; the text names it.

    """
    if settings.initial_cluster_state not in ("new", "existing"):
        raise BadSetting("--initial-cluster-state must be new or existing")
    name, advertised = settings.name, settings.initial_advertise_peer_urls
    if not name:
        raise BadSetting("--name must not be empty")
    peer_urls = {
        "listen-peer-urls": settings.listen_peer_urls,
        "initial-advertise-peer-urls": advertised,
    }
    for flag, urls in {"listen-client-urls": settings.listen_client_urls, **peer_urls}.items():
        if not urls:
            raise BadSetting(f"--{flag} must not be empty")
    for flag, urls in peer_urls.items():
        for url in urls:
            check_peer_url(flag, url)
    cluster = settings.initial_cluster or ",".join(f"{name}={url}" for url in advertised)
    members = parse_initial_cluster(cluster)
    for url in (it for urls in members.values() for it in urls):
        check_peer_url("initial-cluster", url)
    return MemberConfig(
        name=name,
        data_dir=settings.directory,
        initial_cluster=members,
        advertise_peer_urls=advertised,
        listen_peer_urls=settings.listen_peer_urls,
        advertise_client_urls=told_to_clients(settings),
        initial_cluster_token=settings.initial_cluster_token,
        heartbeat_ms=settings.heartbeat_interval,
        election_ms=settings.election_timeout,
        trailing_entries=settings.snapshot_count,
        lease_reads=settings.lease_reads,
        strict_permissions=settings.strict_permissions,
        scrub_interval_s=settings.scrub_interval,
    )


def make_world(settings: Settings) -> World:
    """The machine under a member.

    Raises:
        BadSetting: a setting cannot be used.
        BadCertificate: members are to speak TLS, and a file cannot be used.

    """
    if settings.segment_bytes < SEGMENT_BYTES_MIN:
        raise BadSetting(f"--segment-bytes={settings.segment_bytes}: at least {SEGMENT_BYTES_MIN}")
    if settings.max_memory_bytes and settings.max_memory_bytes < MEMORY_BYTES_MIN:
        # A member that has less refuses all that is asked of it, and only its log says so.
        raise BadSetting(
            f"--max-memory-bytes={settings.max_memory_bytes}: at least {MEMORY_BYTES_MIN} bytes, "
            "which a member takes before anything is stored, or 0: what the machine allows"
        )
    files = peer_tls(settings)
    world = World(
        memory=Memory(find_limits(settings.max_memory_bytes)),
        segment_bytes=settings.segment_bytes,
        peer_tls=PeerTls(files) if files else None,
        peer_secrets=peer_secrets(settings),
    )
    if settings.peer_http_upgrade:
        world.network = UpgradedNetwork(world.network)
    return world


def peer_secrets(settings: Settings) -> Secrets:
    """What members prove to each other that they know; nothing when no file is named.

    Raises:
        BadSetting: the file cannot be used.

    """
    if not settings.peer_secret_file:
        return Secrets()
    try:
        return read_secrets(Path(settings.peer_secret_file))
    except BadSecret as error:
        raise BadSetting(f"--peer-secret-file: {error}") from error
