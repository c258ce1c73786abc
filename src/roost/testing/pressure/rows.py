"""The rows of issue 14's table: what somebody does, and what must hold meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from roost.testing.pressure import frames, ranges, watches, writes
from roost.testing.pressure.target import Target

# What another client may see at most, or what it sees beside etcd if that is more.
P99_MS_MAX, LONGEST_MS_MAX = 50.0, 250.0
Act = Callable[[Target, Callable[[], None]], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    `act(target, begin)` prepares, calls `begin`, does what the row is about, and returns facts.  Of
    those, `missing` must be 0, and `failed` no more than etcd's; `most` are no more than the bound
    given, or than etcd's; `least` are as much as etcd's at least.
    """

    name: str
    says: str
    act: Act
    needs_keys: bool = False
    most: tuple[tuple[str, float], ...] = ()
    least: tuple[str, ...] = ()


_ALL = (
    Row("limit", "ranges of one key over all keys", ranges.limited, needs_keys=True),
    Row("count", "counts of all keys", ranges.counted, needs_keys=True),
    Row("sorted", "the last of all keys by value", ranges.ordered, needs_keys=True),
    Row("all", "all keys in one answer", ranges.whole, needs_keys=True),
    Row(
        "pages",
        "all keys by pages of 500",
        ranges.paged,
        needs_keys=True,
        most=(("took_s", 0.0),),
    ),
    Row(
        "gateway",
        "all keys by pages of 500, as JSON",
        ranges.paged_as_json,
        needs_keys=True,
        most=(("took_s", 0.0),),
    ),
    Row("crowd", "a thousand ranges of some hundred keys at once", ranges.crowded, needs_keys=True),
    Row("hash", "hashes of all keys", ranges.hashed, needs_keys=True),
    Row("copies", "copies of the whole store", ranges.copied, needs_keys=True),
    Row(
        "unread",
        "ranges over all keys that nobody reads",
        ranges.unread,
        needs_keys=True,
        most=(("grown_mib", 320.0),),
    ),
    Row("bodies", "requests of a megabyte as JSON", ranges.posted),
    Row("users", "lists of many users, and a role of all of them deleted", writes.administered),
    Row("delete", "many keys deleted by one request", writes.deleted, most=(("took_s", 0.0),)),
    Row("lease", "a lease with many keys runs out", writes.leased, most=(("late_s", 10.0),)),
    Row("locks", "many want one lock at once", writes.locked, most=(("took_s", 0.0),)),
    Row("pipeline", "one client with thousands of puts on their way", writes.pipelined),
    Row("watches", "watches from an old revision that match nothing", watches.behind),
    Row(
        "watch-get",
        "gets beside watchers that catch up",
        watches.getters,
        least=("gets_per_s",),
    ),
    Row("crumbs", "a message that ends in frames of one byte", frames.crumbs),
    Row("settings", "SETTINGS of many entries over many streams", frames.many_settings),
    Row("windows", "a window opened byte by byte over many answers", frames.many_windows),
    Row("huffman", "Huffman-coded header blocks, 1.3 MB/s", frames.huffman),
    Row(
        "unfinished",
        "requests of 2 MiB that do not end",
        frames.unfinished,
        most=(("grown_mib", 278.0),),
    ),
    Row(
        "headers",
        "connections with many header blocks",
        frames.header_blocks,
        most=(("grown_mib", 15.0),),
    ),
)
ROWS = {it.name: it for it in _ALL}
