"""What wins at a start: who the members of a cluster are is said once, and asked for once.

In this order; what stands further up is all that counts:

    1  --force-new-cluster      the survivor alone
    2  data in the directory    it knows its cluster: nobody is asked, and flags change nothing
    3  one of --initial-cluster, --discovery, --discovery-token and --discovery-srv; more than one
       is refused
    4  nothing                  a cluster of one

`--initial-cluster-state existing` has a member join what `--initial-cluster` or `--discovery-srv`
name; the other two are for first members, and whoever comes late there is refused, or joins as a
learner (`--discovery-fallback`).
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from roost.cli.discovery.asking import CannotDiscover, Members, Patience, Server, server_of
from roost.cli.discovery.domain import found_by_domain
from roost.cli.discovery.first import ClusterFull, Discovery, Own, Place
from roost.cli.discovery.keys import Keys
from roost.cli.discovery.late import added_late
from roost.cli.discovery.srv import DnsResolver, Resolver
from roost.cli.discovery.tree import Tree
from roost.member import has_begun, member_id_of
from roost.settings import DEFAULTS, Settings
from roost.settings.urls import told_to_clients
from roost.tls import TlsFiles, client_context

logger = logging.getLogger(__name__)
FALLBACKS = ("exit", "learner", "proxy")
_FIRST_ONLY = "is for the first members of a new cluster"


@dataclass(frozen=True, slots=True)
class Found:
    """The settings with all members; first members that DNS has named have no names yet."""

    settings: Settings
    is_nameless: bool = False


def found(
    settings: Settings,
    pause: Callable[[float], object],
    resolver_of: Callable[[str], Resolver] = DnsResolver,
) -> Found:
    """The settings with all first members, however these are to be found; else as they are.

    `pause(seconds)` waits.

    Raises:
        CannotDiscover: they cannot be found, or there is no room for this one.

    """
    _check(settings)
    said = _said(settings)
    if not said or said == ["initial-cluster"] or settings.force_new_cluster:
        return Found(settings)
    if len(said) > 1:
        raise CannotDiscover(f"--{' and --'.join(said)}: give one of them")
    if settings.directory.exists() and has_begun(settings.directory):
        logger.info("the directory is a member's: --%s is not asked", said[0])
        return Found(settings)
    if said == ["discovery-srv"]:
        resolver = resolver_of(settings.discovery_dns)
        is_new = settings.initial_cluster_state == DEFAULTS.initial_cluster_state
        return Found(found_by_domain(settings, resolver, pause), is_nameless=is_new)
    if settings.initial_cluster_state != DEFAULTS.initial_cluster_state:
        raise CannotDiscover(f"--{said[0]} {_FIRST_ONLY}")
    return Found(_met(settings, pause))


def _check(settings: Settings) -> None:
    if settings.discovery_fallback not in FALLBACKS:
        text = f"{settings.discovery_fallback}: one of {', '.join(FALLBACKS)}"
        raise CannotDiscover(f"--discovery-fallback={text}")
    if bool(settings.discovery_token) != bool(settings.discovery_endpoints):
        raise CannotDiscover("--discovery-token and --discovery-endpoints go together")


def _said(settings: Settings) -> list[str]:
    """What says who the members are, by the names of the flags."""
    flags = {
        "initial-cluster": settings.initial_cluster,
        "discovery": settings.discovery,
        "discovery-token": settings.discovery_token,
        "discovery-srv": settings.discovery_srv,
    }
    return [name for name, value in flags.items() if value]


def _met(settings: Settings, pause: Callable[[float], object]) -> Settings:
    """As those who came first have written down.

    Raises:
        CannotDiscover: there is no room for this one, or no such place.

    """
    place, token = _place_of(settings)
    urls = settings.initial_advertise_peer_urls
    own = Own(
        f"{member_id_of(urls, token):x}",
        ",".join(f"{settings.name}={it}" for it in urls),
        told_to_clients(settings),
    )
    try:
        members = Discovery(place, own, pause).run()
    except ClusterFull:
        if settings.discovery_fallback != "learner":
            raise
        return _late(settings, place, pause)
    # As with etcd the token tells this cluster from others.
    return replace(settings, initial_cluster=",".join(members), initial_cluster_token=token)


def _place_of(settings: Settings) -> tuple[Place, str]:
    """Where first members meet, and what their cluster is told from others by."""
    tls = partial(_tls_to_service, settings)
    if settings.discovery:
        return Tree(settings.discovery, tls), settings.discovery
    servers = [server_of("discovery-endpoints", it, tls)[0] for it in settings.discovery_endpoints]
    members = Members(servers, within_s=settings.discovery_request_timeout)
    token, user = settings.discovery_token, settings.discovery_user
    return Keys(members, token, user, settings.discovery_password), token


def _tls_to_service(settings: Settings) -> ssl.SSLContext:
    context = client_context(
        TlsFiles(
            cert_file=settings.discovery_cert,
            key_file=settings.discovery_key,
            ca_file=settings.discovery_cacert,
        )
    )
    if settings.discovery_insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _late(settings: Settings, place: Place, pause: Callable[[float], object]) -> Settings:
    """As a learner of the cluster that has begun there."""
    urls = Patience(pause).surely(place.client_urls)
    if not urls:
        text = "its members have not written down where they serve clients, as etcd's do not"
        raise CannotDiscover(f"--{place.flag}: the cluster is full, and {text}: roost member add")
    tls = partial(_tls_to_members, settings)
    servers: list[Server] = [
        server_of(place.flag, it, tls)[0] for it in dict.fromkeys(urls) if it.startswith("http")
    ]
    if not servers:
        text = f"its members serve clients at {', '.join(urls)} alone, which nobody else reaches"
        raise CannotDiscover(f"--{place.flag}: the cluster is full, and {text}: roost member add")
    within_s = settings.discovery_request_timeout
    return added_late(settings, Members(servers, within_s=within_s), pause)


def _tls_to_members(settings: Settings) -> ssl.SSLContext:
    files = TlsFiles(
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        ca_file=settings.trusted_ca_file,
        is_self_signed=settings.auto_tls and not settings.trusted_ca_file,
    )
    return client_context(files)
