"""Where a cluster is asked: endpoints as people write them, checked before anything is tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from roost.client.errors import BadEndpoint

_EXAMPLE = "say host:port, as in 127.0.0.1:2379"
_SCHEMES = ("http", "https", "unix", "unixs")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One member's client port: as it was written, as gRPC calls it, and whether by TLS."""

    name: str
    address: str
    is_secure: bool


def parse_endpoints(said: str | Sequence[str]) -> list[Endpoint]:
    """Read one or several endpoints; a text may hold several, comma-separated.

    Raises:
        BadEndpoint: there is none, or one that nobody can be reached by.

    """
    texts = [said] if isinstance(said, str) else list(said)
    names = [name.strip() for text in texts for name in text.split(",")]
    if not any(names):
        raise BadEndpoint(f"no endpoint is given: {_EXAMPLE}")
    return [parse_endpoint(it) for it in names]


def parse_endpoint(name: str) -> Endpoint:
    """Read one endpoint: host:port, or an http, https, unix or unixs URL.

    Raises:
        BadEndpoint: nobody can be reached by it.

    """
    if not name:
        raise BadEndpoint(f"an endpoint is empty: {_EXAMPLE}")
    try:
        parts = urlsplit(name if "://" in name else f"http://{name}")
        port = parts.port
    except ValueError as error:
        raise BadEndpoint(f"endpoint {name!r}: {error}; {_EXAMPLE}") from error
    if parts.scheme not in _SCHEMES:
        raise BadEndpoint(f"endpoint {name!r} has another scheme than http and https")
    is_secure = parts.scheme in ("https", "unixs")
    if parts.scheme in ("unix", "unixs"):
        return Endpoint(name, f"unix:{_path(name, parts)}", is_secure)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise BadEndpoint(f"endpoint {name!r} has more than a host and a port: {_EXAMPLE}")
    if not parts.hostname:
        raise BadEndpoint(f"endpoint {name!r} has no host: {_EXAMPLE}")
    if port is None:
        raise BadEndpoint(f"endpoint {name!r} has no port: {_EXAMPLE}")
    if any(it.isspace() for it in name):
        raise BadEndpoint(f"endpoint {name!r} has a space in it: {_EXAMPLE}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Endpoint(name, f"{host}:{port}", is_secure)


def _path(name: str, parts: SplitResult) -> str:
    """Of a socket's file; as in etcd, `unix://name:0` is a file beside us called `name:0`."""
    path = f"{parts.netloc}{parts.path}"
    if not path:
        raise BadEndpoint(f"endpoint {name!r} names no socket: say unix:///run/roost.sock")
    return path
