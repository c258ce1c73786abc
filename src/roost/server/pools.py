"""What is held in memory for work under way, pool by pool; each is zero when a member is idle.

Each pool has its bound where it is kept, and what happens when it is full stands there; what waits
for other members has a metric of its own, as before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from roost.figures import Figure, Sample
from roost.member import Member
from roost.memory import Memory
from roost.server.port import ClientPort


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools of one member and its client port."""

    member: Member
    port: ClientPort

    @property
    def memory(self) -> Memory:
        """What the process has left."""
        return self.member.memory

    def sizes(self) -> dict[str, int]:
        """Bytes by pool."""
        grpc, member = self.port.grpc, self.member
        store = member.store.statistics()
        return {
            "request_bodies": grpc.bodies.bytes,
            "requests_in_line": sum(it.h2.unread_bytes for it in grpc.connections),
            "unread_answers": grpc.unread.bytes,
            "header_blocks": grpc.unfinished.taken_bytes,
            "operations": member.waiting_bytes,
            "proposed": store.speculative_bytes,
            "applied": store.applied_bytes + store.flushing_bytes,
        }

    def held(self) -> int:
        """What goes with the work that filled it: not what waits to be flushed."""
        sizes = self.sizes()
        return sum(sizes.values()) - sizes["applied"]


def _sizes(pools: Pools) -> Iterator[Sample]:
    return (Sample(size, (("pool", name),)) for name, size in pools.sizes().items())


FIGURES: tuple[Figure[Pools], ...] = (
    Figure(
        "roost_memory_pool_bytes",
        "gauge",
        "What is held for work under way, by pool; zero when idle.",
        _sizes,
    ),
    Figure(
        "roost_header_cache_bytes",
        "gauge",
        "Header blocks that connections keep, since clients send them again.",
        lambda it: it.port.grpc.unfinished.cached_bytes,
    ),
    Figure(
        "roost_log_cache_bytes",
        "gauge",
        "Entries of the log that are in memory; some stay, for members a little behind.",
        lambda it: it.member.core.log.cached_bytes,
    ),
    Figure(
        "roost_memory_limit_bytes",
        "gauge",
        "The limit of memory that leaves the least; 0 = none is known.",
        lambda it: it.memory.limit_bytes,
    ),
    Figure(
        "roost_memory_used_bytes",
        "gauge",
        "What is used of that limit, as it counts.",
        lambda it: it.memory.used_bytes,
    ),
    Figure(
        "roost_memory_is_short",
        "gauge",
        "1 while new work is refused, since the reserve of memory is touched.",
        lambda it: it.memory.is_short,
    ),
    Figure(
        "roost_memory_refused_total",
        "counter",
        "Requests refused since memory was short.",
        lambda it: it.memory.refused_count,
    ),
    Figure(
        "roost_memory_errors_total",
        "counter",
        "Allocations that failed; each ended a request.",
        lambda it: it.memory.error_count,
    ),
    Figure(
        "roost_request_bodies_refused_total",
        "counter",
        "Requests refused before they were whole: too many at once, or one that did not come on.",
        lambda it: it.port.grpc.bodies.refused_count,
    ),
    Figure(
        "roost_unread_given_up_total",
        "counter",
        "Streams and connections given up, since nobody read what was sent there.",
        lambda it: it.port.grpc.stalled_count + it.port.grpc.unread.given_up_count,
    ),
)
