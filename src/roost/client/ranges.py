"""Ranges of keys, as etcd's interface writes them."""


def prefix_end(prefix: bytes) -> bytes:
    """The range_end that makes a range of all keys with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"
