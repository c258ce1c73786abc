"""First members as SRV records of DNS name them (`--discovery-srv`).

A record is a member: `http://target:port`, or https for `_etcd-server-ssl`. Which of them this one
is, its peer URLs say, or where they are. Records say no names, so all members begin without; each
tells its own when it starts. What a record says is the member's peer URL, on all members alike,
because ids are made of URLs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from roost.cli.discovery.asking import CannotDiscover, Patience
from roost.cli.discovery.srv import Resolver, addresses_of, looked_up
from roost.settings import Settings


def found_by_domain(
    settings: Settings, resolver: Resolver, pause: Callable[[float], object]
) -> Settings:
    """The settings with all first members; one that joins need not be among them.

    Raises:
        CannotDiscover: there are no records, or none is this member.

    """
    look = partial(
        looked_up, resolver, "server", settings.discovery_srv_name, settings.discovery_srv
    )
    found = Patience(pause).surely(look)
    urls = [f"{scheme}://{it.place}" for scheme, it in found]
    cluster = ",".join(f"{it.place}={url}" for (_, it), url in zip(found, urls, strict=True))
    settings = replace(settings, initial_cluster=cluster)
    if settings.initial_cluster_state == "existing":
        return settings
    return replace(settings, initial_advertise_peer_urls=(_own_of(settings, urls),))


def _own_of(settings: Settings, urls: list[str]) -> str:
    """The URL that is this member's.

    Raises:
        CannotDiscover: none is, or several are.

    """
    said = settings.initial_advertise_peer_urls
    own = [it for it in urls if it in said]
    if not own:
        here = {place: url for url in said for place in _places_of(url)}
        by_place = [(it, here[place]) for it in urls for place in _places_of(it) if place in here]
        own = list(dict.fromkeys(url for url, _ in by_place))
        for url, ours in by_place:
            if urlsplit(url).scheme != urlsplit(ours).scheme:
                text = f"the records say {url}, --initial-advertise-peer-urls {ours}"
                raise CannotDiscover(f"--discovery-srv: {text}")
    told = f"the records of {settings.discovery_srv} name {', '.join(urls)}"
    if not own:
        text = f"{told}, and none is this member's: --initial-advertise-peer-urls={','.join(said)}"
        raise CannotDiscover(f"--discovery-srv: {text}")
    if len(own) > 1:
        raise CannotDiscover(f"--discovery-srv: {told}, of which several are this member's")
    return own[0]


def _places_of(url: str) -> set[str]:
    parts = urlsplit(url)
    return addresses_of(parts.hostname or "", parts.port or 0)
