"""The conversation that hands leadership over (thesis §3.10, checklist 118-123)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft import append, election, read_index
from roost.raft.errors import TransferRefused
from roost.raft.messages import TimeoutNow, TransferRequest
from roost.raft.progress import ProgressState
from roost.raft.types import Role

if TYPE_CHECKING:
    from roost.raft.core import Core


def start(core: Core, target: int) -> None:
    """Hand leadership to `target`; on a follower, ask the leader to.

    Raises:
        TransferRefused: the target is no other voter, or there is no leader to ask.

    """
    if target == core.id and core.role is Role.LEADER:
        raise TransferRefused("the target leads already")
    if not core.configuration.is_voter(target):
        raise TransferRefused(f"node {target:x} does not vote")
    if core.role is Role.LEADER:
        _begin(core, target)
    elif core.leader_id:
        core.send(core.leader_id, TransferRequest(core.id, target))
    else:
        raise TransferRefused("there is no leader to hand over")


def on_request(core: Core, message: TransferRequest) -> None:
    """A follower was asked to pass leadership on."""
    target = message.target
    known = message.sender in core.peers
    if (
        known
        and core.role is Role.LEADER
        and target != core.id
        and core.configuration.is_voter(target)
    ):
        _begin(core, target)


def _begin(core: Core, target: int) -> None:
    if core.transfer_target == target:
        return
    core.transfer_target = target
    core.elapsed_ticks = 0
    core.transfer_ticks = 0
    core.reads.end_lease()
    progress = core.peers[target]
    if not try_finish(core, target):
        append.send_append(core, target, progress, or_empty=True)


def try_finish(core: Core, node: int) -> bool:
    """Tell `node` to campaign if it is the target and holds all of our log, durably."""
    progress = core.peers[node]
    log = core.log
    if node != core.transfer_target or progress.match_index != log.last_index:
        return False
    read_index.forbid_lease(core)
    core.send(node, TimeoutNow(core.term, core.id, log.last_index, log.last_term))
    return True


def abort(core: Core) -> None:
    """Proposals may come again; the target may still win if it was told to campaign."""
    core.transfer_target = 0


def on_timeout_now(core: Core, message: TimeoutNow) -> None:
    """The leader wants us to lead.  We skip the pre-vote, never the vote (checklist 121)."""
    if core.role is not Role.FOLLOWER or not core.is_promotable:
        return
    core.follow(message.sender)
    log = core.log
    if (log.last_index, log.last_term) == (message.last_index, message.last_term):
        election.campaign(core, is_transfer=True)


def best_successor(core: Core) -> int:
    """The other voter that is in step and furthest; 0 when none is or we do not lead."""
    in_step = [
        (progress.match_index, -node)
        for node, progress in core.peers.items()
        if progress.state is ProgressState.REPLICATE and core.configuration.is_voter(node)
    ]
    return -max(in_step)[1] if in_step else 0


def hand_over(core: Core) -> None:
    """We lead and do not vote any more: the voter that is furthest campaigns (checklist 132)."""
    node = best_successor(core)
    if node:
        log = core.log
        core.send(node, TimeoutNow(core.term, core.id, log.last_index, log.last_term))
