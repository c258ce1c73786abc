"""What the ends of a range mean (etcd api: rpc.proto RangeRequest.range_end)."""


def prefix_end(prefix: bytes) -> bytes:
    """The range_end of all keys with a prefix."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"
