"""The conversation that hands leadership over (thesis §3.10, checklist 118-123).

The leader takes no more proposals, brings the target's log up to its own, and tells it to
campaign at once.  Nothing of that is a promise: the target has to win like anybody else, and a
transfer that has not ended within an election timeout is given up (`timers`).
"""

from roost.raft import append, election, read_index
from roost.raft.errors import TransferRefused
from roost.raft.leading import Leading, Transfer
from roost.raft.messages import AppendAccepted, TimeoutNow, TransferRequest
from roost.raft.progress import ProgressState
from roost.raft.state import State
from roost.raft.types import Role


def start(state: State, target: int) -> None:
    """Hand leadership to `target`; on a follower, ask the leader to.

    Raises:
        TransferRefused: the target is no other voter, or there is no leader to ask.

    """
    leading = state.leading
    if target == state.id and leading is not None:
        raise TransferRefused("the target leads already")
    if not state.configuration.is_voter(target):
        raise TransferRefused(f"node {target:x} does not vote")
    if leading is not None:
        _begin(state, leading, target)
    elif state.leader_id:
        state.send(state.leader_id, TransferRequest(state.id, target))
    else:
        raise TransferRefused("there is no leader to hand over")


def on_request(state: State, message: TransferRequest) -> None:
    """A follower was asked to pass leadership on."""
    leading, target = state.leading, message.target
    if (
        leading is not None
        and message.sender in leading.peers
        and target != state.id
        and state.configuration.is_voter(target)
    ):
        _begin(state, leading, target)


def _begin(state: State, leading: Leading, target: int) -> None:
    if leading.transfer is not None and leading.transfer.target == target:
        return
    leading.transfer = Transfer(target)
    state.elapsed_ticks = 0
    leading.rounds.end_lease()
    if not _try_finish(state, leading, target):
        append.send_append(state, target, leading.peers[target], or_empty=True)


def _try_finish(state: State, leading: Leading, target: int) -> bool:
    """Tell the target to campaign if it holds all of our log, durably; say whether we did."""
    log = state.log
    if leading.peers[target].match_index != log.last_index:
        return False
    read_index.forbid_lease(leading)
    state.send(target, TimeoutNow(state.term, state.id, log.last_index, log.last_term))
    return True


def on_accepted(state: State, message: AppendAccepted) -> None:
    """A peer holds more of our log: if it is the target, and it is all, it may campaign."""
    leading = state.leading
    if (
        leading is not None
        and leading.transfer is not None
        and leading.transfer.target == message.sender
    ):
        _try_finish(state, leading, message.sender)


def abort(leading: Leading) -> None:
    """Proposals may come again; the target may still win if it was told to campaign."""
    leading.transfer = None


def on_timeout_now(state: State, message: TimeoutNow) -> None:
    """The leader wants us to lead.  We skip the pre-vote, never the vote (checklist 121)."""
    if state.role is not Role.FOLLOWER or not state.is_promotable:
        return
    state.follow(message.sender)
    log = state.log
    if (log.last_index, log.last_term) == (message.last_index, message.last_term):
        election.campaign(state, is_transfer=True)


def best_successor(state: State) -> int:
    """The other voter that is in step and furthest; 0 when none is or we do not lead."""
    peers = state.leading.peers.items() if state.leading is not None else ()
    in_step = [
        (progress.match_index, -node)
        for node, progress in peers
        if progress.state is ProgressState.REPLICATE and state.configuration.is_voter(node)
    ]
    return -max(in_step)[1] if in_step else 0


def hand_over(state: State) -> None:
    """We lead and do not vote any more: the voter that is furthest campaigns (checklist 132)."""
    node = best_successor(state)
    if node:
        log = state.log
        state.send(node, TimeoutNow(state.term, state.id, log.last_index, log.last_term))
