"""Reads on their way: at whoever asks, and at the leader that answers (thesis §6.4).

`Reads` is every node's: what it asked and what it was told.  `Rounds` is a leader's, made and
dropped with its leadership: what others and itself want to know, the proofs on their way that it
still leads, and how far such proofs carry its lease.
"""

from collections import deque
from dataclasses import dataclass, field

from roost.raft.ready import ReadReady


class Reads:
    """Reads of this node, from the question to the answer."""

    def __init__(self) -> None:
        """Nothing is on its way."""
        # Counted up by this node whenever it leads, and never used again, not even in a later
        # term: an echo can only ever mean the one heartbeat that carried it.
        self.newest_token = 0
        # Our own tokens that the leader was asked for.  Each ends in `ready` or in `failed`:
        # nobody who asked waits for ever, and nobody is answered twice.
        self.asked: list[int] = []
        self.ready: list[ReadReady] = []
        self.failed: list[int] = []
        # The time of the last tick, for leases: one monotonic clock, and no other.
        self.now_s = 0.0

    def take_ready(self) -> list[ReadReady]:
        """Hand over the reads that were answered."""
        ready, self.ready = self.ready, []
        return ready

    def take_failed(self) -> list[int]:
        """Hand over the reads that must be asked again."""
        failed, self.failed = self.failed, []
        return failed

    def fail_remote(self) -> None:
        """The leader we asked is gone."""
        # Whether it answered, and the answer is on its way, does not matter: to ask a leader again
        # changes nothing, and to wait for one that is gone would be for ever.
        self.failed += self.asked
        self.asked = []


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants to read, and by which token of its own it knows the read."""

    node: int
    token: int


@dataclass(frozen=True, slots=True)
class Round:
    """A read that waits for a quorum to echo `token`; then it sees `index`."""

    token: int
    index: int
    asked: Asked


@dataclass(slots=True)
class Rounds:
    """A leader's reads, and its lease."""

    # Oldest first, tokens ascending: an echo confirms a round and all before it.
    on_way: deque[Round] = field(default_factory=deque)
    # Reads that came before an entry of our own term was committed: until then this leader does
    # not know where the commit index stands that its predecessors may have told (thesis §6.4).
    deferred: list[Asked] = field(default_factory=list)
    # (token, time sent) of the heartbeats that may extend the lease, oldest first.
    sent: deque[tuple[int, float]] = field(default_factory=deque)
    # 0 = there is none.  Always a time of *sending* plus `lease_s`, never one of hearing: the
    # voter's promise began when it took the heartbeat, which was later, so it ends later too.
    lease_end_s: float = 0.0
    # Voters that are a quorum with us, and were the first to answer when all were asked; empty: the
    # next round asks all, and finds out who is.
    nearest: tuple[int, ...] = ()
    # The newest round that was asked of `nearest` alone.
    near_token: int = 0
    # False once somebody was told to campaign at once: it asks for votes that no lease refuses,
    # and may do so at any time while this term lasts.
    may_lease: bool = True

    @property
    def count(self) -> int:
        """How many reads wait."""
        return len(self.on_way) + len(self.deferred)

    @property
    def oldest_near_token(self) -> int:
        """The oldest round that waits for `nearest` alone; 0: there is none."""
        on_way = self.on_way
        return on_way[0].token if on_way and on_way[0].token <= self.near_token else 0

    def tokens_of(self, node: int) -> list[int]:
        """The tokens of the reads of `node` that wait, in the order they will not be answered."""
        waiting = [it.asked for it in self.on_way] + self.deferred
        return [it.token for it in waiting if it.node == node]

    def end_lease(self) -> None:
        """Nothing answered so far may extend it again (openraft 1ef3e574)."""
        self.sent.clear()
        self.lease_end_s = 0.0
