"""Settings of a core, checked once, and the only chance there is."""

from dataclasses import dataclass
from typing import Protocol

from roost.raft.errors import BadCoreConfig
from roost.raft.types import NODE_ID_MAX


class Dice(Protocol):
    """The only chance there is; a simulator rolls it from its seed."""

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreConfig:
    """Settings of a core; times in ticks, sizes in bytes.

    Raises:
        BadCoreConfig: on construction, when the settings contradict each other.

    """

    id: int
    # The least that a follower waits; what it waits is drawn from here to twice as long, so that
    # several heartbeats in a row may be lost before anybody doubts the leader.
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    # What may be on its way to one peer, unanswered: messages, and bytes of entries.
    inflight_count_max: int = 512
    inflight_bytes_max: int = 64 << 20
    message_bytes_max: int = 1 << 20
    # Proposals that are not committed; one that is larger by itself is let through alone.
    uncommitted_bytes_max: int = 256 << 20
    # What is handed out to be applied and is not yet.
    apply_bytes_max: int = 64 << 20
    apply_count_max: int = 512
    # Durable and applied entries that stay in memory for peers a little behind.
    cache_bytes_max: int = 32 << 20
    # What a follower keeps in memory; a leader bounds itself by `uncommitted_bytes_max`.
    tail_bytes_max: int = 320 << 20
    # How far a learner may be behind the commit index when it is made a voter.
    promotion_lag_entries_max: int = 1000
    # Ask whether an election could be won before moving anybody's term; with `check_quorum`, who
    # hears a leader gives no vote, and a leader that no quorum answers stops (checklist 44).
    pre_vote: bool = True
    check_quorum: bool = True
    # Tell followers of a commit at once; False leaves it to `announce_commit`, the next append
    # or the next heartbeat, whichever comes first.
    eager_commit: bool = True
    # A leader whose own disk has not answered for this many election timeouts steps down.
    # Two, and not one: an election costs a timeout by itself, so that a hiccup shorter than that is
    # cheaper to wait for.
    stalled_elections_max: int = 2
    # A number that no other life of this node has; 0 for a node whose disk cannot lose anything.
    life: int = 0
    # How long after a quorum answered a heartbeat its leader may read without asking again, in
    # seconds of one monotonic clock; 0 = always ask.  Must be below election_ticks in seconds by
    # more than clocks drift in that time.
    lease_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work (checklist 1, 2)."""
        if not 0 < self.id <= NODE_ID_MAX:
            raise BadCoreConfig(f"node id {self.id} is not in 1 … 2^64-1")
        if self.heartbeat_ticks <= 0:
            raise BadCoreConfig("heartbeat_ticks must be positive")
        # A follower must hear several heartbeats in a timeout, or each lost one is an election:
        # "broadcastTime << electionTimeout << MTBF" (thesis §3.9).
        if self.election_ticks <= self.heartbeat_ticks:
            raise BadCoreConfig("election_ticks must be larger than heartbeat_ticks")
        if self.inflight_count_max <= 0 or self.message_bytes_max <= 0:
            raise BadCoreConfig("in-flight and message limits must be positive")
        if self.inflight_bytes_max < self.message_bytes_max:
            raise BadCoreConfig("inflight_bytes_max must hold one message")
        if self.tail_bytes_max < self.cache_bytes_max + self.message_bytes_max:
            raise BadCoreConfig("tail_bytes_max must hold the cache and one message")
        # Without `check_quorum` voters that hear the leader would vote for another all the same.
        if self.lease_s < 0 or (self.lease_s and not self.check_quorum):
            raise BadCoreConfig("a lease needs check_quorum, and lasts no negative time")
