"""What a node has only while it leads: made in `become_leader`, dropped whole with the term.

That it is one object is the point.  A field of a leader that outlives its leadership is a belief
about peers that nobody holds true any more; each had to be reset by hand, and one that is
forgotten is a bug that only the second election of a node shows.
"""

from dataclasses import dataclass, field

from roost.raft.messages import AppendEntries
from roost.raft.progress import Progress
from roost.raft.reads import Rounds
from roost.raft.types import Configuration


@dataclass(slots=True)
class Transfer:
    """Leadership is on its way to `target`; for `ticks` by now (thesis §3.10)."""

    target: int
    ticks: int = 0


@dataclass(slots=True)
class Leading:
    """One leadership: peers, and what is on its way to or for them."""

    # Everybody in the configuration but ourselves, ascending: messages leave in this order, so
    # that the same calls give the same bytes (checklist 95).
    peers: dict[int, Progress]
    # Where our first entry stands.  Nothing is known of the commit index of the terms before
    # until it is committed, so neither reads nor configurations are decided before.
    own_term_first_index: int
    # No change may be proposed while this one is not applied; never moves back.
    pending_change_index: int
    # Bytes of our own proposals that are not committed yet; bounded by `uncommitted_bytes_max`,
    # but that one larger proposal is let through when there is nothing else.
    uncommitted_bytes: int = 0
    # Entries were appended since the peers were sent any: the next `take_ready` sends them.
    has_unsent: bool = False
    # The newest append: peers in step are sent the same object, so that it is encoded once.
    last_append: AppendEntries | None = None
    # From the election on: the empty entry that begins a term says all that a heartbeat would.
    heartbeat_elapsed_ticks: int = 0
    # Where our own disk stood at the last tick, and for how many it has not moved though asked.
    stalled_index: int = 0
    stalled_ticks: int = 0
    # While there is one, proposals are refused: the target could never reach the end of a log that
    # grows (§3.10).  An election timeout at most, see `timers`.
    transfer: Transfer | None = None
    # Peers in SNAPSHOT for whom our driver has not been asked yet, in the order they came to it.
    snapshots_wanted: list[int] = field(default_factory=list)
    # Reads that others and we ourselves wait for; dropped unanswered with the leadership, which
    # fails ours and lets those of others ask again.
    rounds: Rounds = field(default_factory=Rounds)

    def invariants(self, configuration: Configuration, own: int, last_index: int) -> None:
        """What holds between any two calls of the core."""
        others = [it for it in configuration.all_nodes() if it != own]
        # A peer too many would get entries and be counted by nobody; one too few could never be
        # heard, and a quorum that needs it would wait for ever.
        assert list(self.peers) == others, "its peers are the others, in sorted order"
        for progress in self.peers.values():
            progress.invariants(last_index)
        # Without one it could commit nothing and answer no read (§3.6.2, §6.4).
        assert 0 < self.own_term_first_index <= last_index, "a leader has an entry of its own term"
        assert self.pending_change_index <= last_index, "a change on its way stands in the log"
        # Below zero it would let in more than the bound, and nobody would see why.
        assert self.uncommitted_bytes >= 0, "only what was proposed is committed"
