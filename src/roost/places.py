"""Where a port is: an address of the network, or a socket in the file system."""

from pathlib import Path

Address = tuple[str, int]
# A path is that of a Unix socket.
Place = Address | Path


def describe(place: Place) -> str:
    """A place as people write it."""
    if isinstance(place, Path):
        return str(place)
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
