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
        # Said, and not done in silence: whoever asks expects somebody else to lead afterwards.
        raise TransferRefused("the target leads already")
    if not state.configuration.is_voter(target):
        raise TransferRefused(f"node {target:x} does not vote")
    if leading is not None:
        _begin(state, leading, target)
    elif state.leader_id:
        # Lost, it is asked again by whoever wants it: a request changes nothing at its sender.
        state.send(state.leader_id, TransferRequest(state.id, target))
    else:
        raise TransferRefused("there is no leader to hand over")


def on_request(state: State, message: TransferRequest) -> None:
    """A follower was asked to pass leadership on."""
    # Who asks is one of ours, but need not know better than we what the target may do.
    leading, target = state.leading, message.target
    if (
        leading is not None
        and message.sender in leading.peers
        and target != state.id
        and state.configuration.is_voter(target)
    ):
        _begin(state, leading, target)


def _begin(state: State, leading: Leading, target: int) -> None:
    # Asked twice is asked once; asked for somebody else, the newer wish holds, and the timer
    # begins again with it.  The first target may have been told already: then both may campaign,
    # and an election decides, as always.
    if leading.transfer is not None and leading.transfer.target == target:
        return
    # From here on no proposal is taken: the end of our log is where the target must come to.
    leading.transfer = Transfer(target)
    state.elapsed_ticks = 0
    # From here on others may be elected while they still hear us, so that nothing heard before
    # keeps them from it: the lease ends before anybody is told (checklist 54).
    leading.rounds.end_lease()
    if not _try_finish(state, leading, target):
        append.send_append(state, target, leading.peers[target], or_empty=True)


def _try_finish(state: State, leading: Leading, target: int) -> bool:
    """Tell the target to campaign if it holds all of our log, durably; say whether we did."""
    # All of it, and durably: whoever lacks an entry would lose the election that it is told to
    # start, or win it and cut off what was proposed (thesis §3.10, steps 2 and 3).
    log = state.log
    if leading.peers[target].match_index != log.last_index:
        return False
    read_index.forbid_lease(leading)
    state.send(target, TimeoutNow(state.term, state.id, log.last_index, log.last_term))
    return True


def on_accepted(state: State, message: AppendAccepted) -> None:
    """A peer holds more of our log: if it is the target, and it is all, it may campaign."""
    # Said again at every answer while the target has not won: the first word may be lost, and a
    # target that campaigns already pays no heed to another.
    leading = state.leading
    if (
        leading is not None
        and leading.transfer is not None
        and leading.transfer.target == message.sender
    ):
        _try_finish(state, leading, message.sender)


def abort(leading: Leading) -> None:
    """Proposals may come again; the target may still win if it was told to campaign."""
    # The lease stays forbidden for the rest of the term: whoever was told may obey at any time.
    leading.transfer = None


def on_timeout_now(state: State, message: TimeoutNow) -> None:
    """The leader wants us to lead.  We skip the pre-vote, never the vote (checklist 121)."""
    # A candidate tries already, and a fenced or damaged node must not win.
    if state.role is not Role.FOLLOWER or not state.is_promotable:
        return
    # The pre-vote would fail, for everybody hears the leader; that it wishes to be replaced is
    # what `is_transfer` tells them.  The log is compared since the message may be old: to end a
    # leadership that was not given away in vain would be rude, though not unsafe.
    state.follow(message.sender)
    log = state.log
    if (log.last_index, log.last_term) == (message.last_index, message.last_term):
        election.campaign(state, is_transfer=True)


def best_successor(state: State) -> int:
    """The other voter that is in step and furthest; 0 when none is or we do not lead."""
    peers = state.leading.peers.items() if state.leading is not None else ()
    # The lowest id of those that are equally far, so that every run picks the same.
    in_step = [
        (progress.match_index, -node)
        # A peer that is probed or fetches a snapshot would need time that the transfer does not
        # have.
        for node, progress in peers
        if progress.state is ProgressState.REPLICATE and state.configuration.is_voter(node)
    ]
    return -max(in_step)[1] if in_step else 0


def hand_over(state: State) -> None:
    """We lead and do not vote any more: the voter that is furthest campaigns (checklist 132)."""
    # Nothing hangs on it: without the word an election timeout passes first.
    node = best_successor(state)
    if node:
        log = state.log
        state.send(node, TimeoutNow(state.term, state.id, log.last_index, log.last_term))
