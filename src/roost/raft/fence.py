"""A node whose disk may have lost what it promised (journal.md J19, J23).

A node that restarts tells a leader that led before: only what it says from then on counts, since
its disk may hold less than it did.  A node that knows that the end of its log is gone is *fenced*:
it neither votes nor campaigns until it holds again everything that it may have promised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft.messages import Restarted

if TYPE_CHECKING:
    from roost.raft.core import Core


def is_introduced(core: Core, leader: int, session: int) -> bool:
    """Whether the leader knows of our restart; if not, tell it.

    Only a leader that led before we restarted can rely on what we said then.
    """
    if core.term != core.unfamiliar_term:
        return True
    if session == core.config.life:
        core.unfamiliar_term = 0
        return True
    core.reply(leader, Restarted(core.term, core.id, core.config.life))
    return False


def lost_entries(core: Core) -> dict[int, int]:
    """See `Core.lost_entries`: it follows from what a leader knows of each peer."""
    peers = core.peers.items()
    return {node: progress.acked_index for node, progress in peers if progress.has_stepped_back}


def lift_if_due(core: Core) -> None:
    """Take the fence away once we hold again everything that we may have promised to hold.

    An entry of the leader's own term is behind everything committed before it led.  What we
    promised in this very term lies below its commit index, or it will ask for it again: it
    counts only what we say since it knows that we restarted.
    """
    log = core.log
    is_own = core.leader_id and log.term_at(log.stable_index) == core.term
    has_all = core.fence_commit is not None and log.stable_index >= core.fence_commit
    if is_own and has_all and not log.first_faulty:
        core.is_fenced = False
