"""A node whose disk may have lost what it promised (J19, J23).

Raft takes it for granted that what was durable stays so.  Disks break that: a sector rots, a
cache lies about a flush, somebody restores an old image.  A node that comes back with less than
it acknowledged is worse than one that is gone, for it goes on voting: with its help a candidate
can win that lacks what it once helped to commit.  So two things hold here beyond the thesis.

A node that restarts tells a leader that led before: only what it says from then on counts, since
its disk may hold less than it did.  A node that knows that the end of its log is gone is *fenced*:
it neither votes nor campaigns until it holds again everything that it may have promised.
"""

from roost.raft.messages import Restarted
from roost.raft.state import State


def is_introduced(state: State, leader: int, session: int) -> bool:
    """Whether the leader knows of our restart; if not, tell it.

    Only a leader that led before we restarted can rely on what we said then.
    """
    # A leader of a later term began with no match point for us, and has learnt since only what
    # this life of ours said.  A leader of the term that we restarted in may count on our last.
    if state.term != state.unfamiliar_term:
        return True
    # It names this life of ours, so it has heard of it; every word of it from here on counts again,
    # heartbeats without a session among them.
    if session == state.config.life:
        state.unfamiliar_term = 0
        return True
    state.reply(leader, Restarted(state.term, state.id, state.config.life))
    return False


def lost_entries(state: State) -> dict[int, int]:
    """See `Core.lost_entries`: it follows from what a leader knows of each peer."""
    # Not kept beside it: a list of its own would have to be mended whenever a peer is whole again,
    # goes, or a leadership ends (it once was not).
    peers = state.leading.peers.items() if state.leading is not None else ()
    return {node: progress.acked_index for node, progress in peers if progress.has_stepped_back}


def lift_if_due(state: State) -> None:
    """Take the fence away once we hold again everything that we may have promised to hold.

    An entry of the leader's own term is behind everything committed before it led.  What we
    promised in this very term lies below its commit index, or it will ask for it again: it
    counts only what we say since it knows that we restarted.
    """
    # What did we promise?  Two kinds of things, and we cannot remember which.
    #
    # Entries that a *former* leader committed with our help.  Whoever leads now was elected by a
    # quorum without us (a fenced node gives no vote), so it holds all that was committed before
    # (leader completeness, thesis §3.6.3), below the first entry of its own term.  When we hold
    # an entry of its term durably, log matching says that we hold all of that, too.
    #
    # Entries that *this* leader committed with our help, before we lost them.  They lie at or
    # below the commit index that it tells us once it knows of the restart; its older messages
    # do not count, since they may have been sent when it still believed us.  When our disk has
    # reached that index, these are back as well.  What it took from us and has not committed, it
    # will not commit with our old word: a new session begins with match point 0.
    #
    # The vote needs no more than that: terms and votes are kept apart from the log, and are not
    # what was lost.
    log = state.log
    is_own = state.leader_id and log.term_at(log.durable_index) == state.term
    has_all = state.fence_commit is not None and log.durable_index >= state.fence_commit
    if is_own and has_all and not log.first_damaged:
        state.is_fenced = False
