"""How much each row asks for: the numbers of issue 14's table, or a part of them."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of the table; `keys` and `value_bytes` are of the tree that ranges read."""

    keys: int = 100_000
    value_bytes: int = 100
    ranges: int = 8
    page_keys: int = 500
    deleted: int = 120_000
    leased: int = 150_000
    watches: int = 1_000
    events: int = 20_000
    locks: int = 2_000
    data_frames: int = 100_000
    message_bytes: int = (2 << 20) - 4096
    streams: int = 4_000
    settings: int = 2_700
    window_updates: int = 5_000
    huffman_bytes: int = 13_000_000
    getters: int = 10_000
    getter_events: int = 8
    unfinished: int = 400
    header_connections: int = 20
    header_blocks: int = 600
    crowd: int = 1_000
    crowd_keys: int = 450
    unread: int = 100
    users: int = 3_000
    bodies: int = 20
    body_operations: int = 8_000
    pipelined: int = 3_000
    pipelined_puts: int = 15_000

    def scaled(self, factor: float) -> Self:
        """Fewer of all but what a key is; at least one of each."""
        numbers = asdict(self)
        kept = {"keys", "value_bytes", "page_keys", "getter_events", "crowd_keys"}
        smaller = {it: max(1, int(numbers[it] * factor)) for it in numbers if it not in kept}
        return replace(self, **smaller)


# What issue 14 asks to be shown at: a million keys and a gibibyte of values, a lease with a million
# keys, 250,000 that are deleted at once, and 5,000 who want a lock.
FULL = Sizes(keys=1_000_000, value_bytes=1024, deleted=250_000, leased=1_000_000, locks=5_000)
NAMES = tuple(it.name for it in fields(Sizes))
