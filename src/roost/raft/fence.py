"""A node whose disk may have lost what it promised (journal.md J19, J23).

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
    if state.term != state.unfamiliar_term:
        return True
    if session == state.config.life:
        state.unfamiliar_term = 0
        return True
    state.reply(leader, Restarted(state.term, state.id, state.config.life))
    return False


def lost_entries(state: State) -> dict[int, int]:
    """See `Core.lost_entries`: it follows from what a leader knows of each peer."""
    peers = state.leading.peers.items() if state.leading is not None else ()
    return {node: progress.acked_index for node, progress in peers if progress.has_stepped_back}


def lift_if_due(state: State) -> None:
    """Take the fence away once we hold again everything that we may have promised to hold.

    An entry of the leader's own term is behind everything committed before it led.  What we
    promised in this very term lies below its commit index, or it will ask for it again: it
    counts only what we say since it knows that we restarted.
    """
    log = state.log
    is_own = state.leader_id and log.term_at(log.stable_index) == state.term
    has_all = state.fence_commit is not None and log.stable_index >= state.fence_commit
    if is_own and has_all and not log.first_faulty:
        state.is_fenced = False
