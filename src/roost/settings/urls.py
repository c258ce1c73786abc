"""URLs of the settings: where is listened, and what others are told of it.

Forms are etcd's: http or https with a host and a port, and nothing behind them but a slash; for
clients also unix:// and unixs://, whose host and path are together a path of the file system.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from roost.places import Place, describe
from roost.settings.settings import BadSetting, Settings

_UNIX = ("unix", "unixs")
_ONLY_HERE = (
    "other machines are told of client URLs that only this one reaches: say which they can dial "
    "with --advertise-client-urls"
)
_NOT_HERE = (
    "--advertise-client-urls tells other machines of this one, and --listen-client-urls hears "
    "only itself"
)


@dataclass(frozen=True, slots=True)
class Url:
    """Where something is served, and whether by TLS."""

    place: Place
    is_secure: bool

    @property
    def host(self) -> str:
        """The host; empty for a path."""
        return "" if isinstance(self.place, Path) else self.place[0]

    def __str__(self) -> str:
        """As people write it."""
        scheme = "unix" if isinstance(self.place, Path) else "http"
        return f"{scheme}{'s' if self.is_secure else ''}://{describe(self.place)}"


def parse_url(flag: str, text: str) -> Url:
    """Read one URL.

    Raises:
        BadSetting: it has another form; the text says which flag.

    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadSetting(f"--{flag}: {text!r} is not a URL: {error}") from error
    if parts.scheme in _UNIX and parts.netloc + parts.path:
        return Url(Path(parts.netloc + parts.path), parts.scheme == "unixs")
    if parts.scheme not in ("http", "https"):
        raise BadSetting(
            f"--{flag}: {text!r} must begin with http://, https://, unix:// or unixs://"
        )
    if not host or port is None or parts.username is not None:
        raise BadSetting(f"--{flag}: {text!r} must be of the form {parts.scheme}://host:port")
    if parts.path or parts.query or parts.fragment:
        raise BadSetting(f"--{flag}: {text!r} must not have a path")
    return Url((host, port), parts.scheme == "https")


def check_peer_url(flag: str, text: str) -> None:
    """Look at the form of a URL of members.

    Raises:
        BadSetting: it has another form, or is a path: members are reached from other machines.

    """
    if isinstance(parse_url(flag, text).place, Path):
        raise BadSetting(f"--{flag}: {text!r} must be of the form http://host:port; only clients "
                         "can be served at a path")  # fmt: skip


def parse_urls(flag: str, texts: Iterable[str]) -> list[Url]:
    """The places of a setting, each once.

    Raises:
        BadSetting: one of its URLs has another form.

    """
    return list(dict.fromkeys(parse_url(flag, it) for it in texts))


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """Read name=url,name=url; a name may stand several times, once for each of its URLs.

    Raises:
        BadSetting: an item is not name=url.

    """
    cluster: dict[str, tuple[str, ...]] = {}
    for item in text.split(","):
        name, equals, url = item.strip().partition("=")
        if not equals or not name or not url:
            raise BadSetting(f"--initial-cluster: {item.strip()!r} is not name=url")
        cluster[name] = (*cluster.get(name, ()), url.rstrip("/"))
    return cluster


def told_to_clients(settings: Settings) -> tuple[str, ...]:
    """The client URLs that others are told: those given, or else those listened on.

    Where all addresses of the machine are listened on, the host is that of the peer URLs.

    Raises:
        BadSetting: one of them has another form.

    """
    given = settings.advertise_client_urls
    for url in given:
        parse_url("advertise-client-urls", url)
    heard = settings.listen_client_urls
    told = (_reachable(it, parse_url("listen-client-urls", it), settings) for it in heard)
    return given or tuple(dict.fromkeys(told))


def _reachable(text: str, url: Url, settings: Settings) -> str:
    """A URL with a host that others can dial, in place of one that means all addresses."""
    if isinstance(url.place, Path) or not _is_wildcard(url.host):
        return text
    peers = [urlsplit(it).hostname or "" for it in settings.initial_advertise_peer_urls]
    host = next((it for it in peers if it and not _is_wildcard(it)), "localhost")
    scheme = "https" if url.is_secure else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{url.place[1]}"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether only the same machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def doubts(settings: Settings) -> list[str]:
    """What clients that ask for the members' URLs would find out, said at the start."""
    heard = parse_urls("listen-client-urls", settings.listen_client_urls)
    told = [parse_url("advertise-client-urls", it) for it in told_to_clients(settings)]
    found = [
        f"--advertise-client-urls: {it.host} means every machine to itself; name one"
        for it in told
        if it.host and _is_wildcard(it.host)
    ]
    for is_secure, word in ((True, "https"), (False, "http")):
        if any(it.is_secure is is_secure for it in told) and not any(
            it.is_secure is is_secure for it in heard
        ):
            found.append(
                f"--advertise-client-urls says {word}, and no such URL is in --listen-client-urls"
            )
    found += _distance(heard, told)
    return found


def _distance(heard: Sequence[Url], told: Sequence[Url]) -> list[str]:
    """Whether others are told of a place that only this machine has, or the other way round."""
    is_heard_afar = any(it.host and not is_local(it.host) for it in heard)
    is_told_afar = any(it.host and not is_local(it.host) for it in told)
    if is_heard_afar and not is_told_afar:
        return [_ONLY_HERE]
    if is_told_afar and not is_heard_afar:
        return [_NOT_HERE]
    return []
