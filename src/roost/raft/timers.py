"""What time does: elections and, at the leader, heartbeats and three reasons to stop leading.

Counted in ticks, each from its own beginning:

    election        nobody has been heard for as long as was drawn: campaign
    heartbeat       say that we lead
    check quorum    once an election timeout: a leader that no quorum answers is none (§6.2)
    stall           our own disk does not answer: somebody whose disk does should lead
    transfer        the target has not won within an election timeout: go on as before
"""

from roost.raft import election, heartbeat, membership, read_index, transfer
from roost.raft.leading import Leading
from roost.raft.quorum import has_quorum
from roost.raft.state import State


def tick(state: State, now_s: float) -> None:
    """One unit of time has passed."""
    # The first never goes back and dates what peers said; the second begins anew with everything
    # that is heard.
    state.tick_count += 1
    state.elapsed_ticks += 1
    # A promise that we cannot remember is kept until it must have ended (`State.quiet_ticks`).
    state.quiet_ticks = max(0, state.quiet_ticks - 1)
    state.reads.now_s = now_s
    if state.leading is not None:
        _tick_leader(state, state.leading)
    # Who may not campaign goes on counting: it hears nobody, and will be due when it may.
    elif state.elapsed_ticks >= state.election_timeout_ticks and state.is_promotable:
        state.elapsed_ticks = 0
        election.campaign(state)


def _tick_leader(state: State, leading: Leading) -> None:
    config = state.config
    if _is_stalled(state, leading):
        # Heartbeats would only keep a working leader from being elected (checklist 53).
        state.become_follower(state.term, 0)
        return
    # A leader that is cut off must find out by itself: those on the other side elect another,
    # and clients on ours would wait for nothing (thesis §6.2).  It says so within two timeouts.
    if state.elapsed_ticks >= config.election_ticks:
        state.elapsed_ticks = 0
        # Without the check a leader that nobody hears goes on for ever, harmlessly for safety: what
        # it appends cannot be committed, and reads ask a quorum of their own.
        if config.check_quorum and not _has_active_quorum(state, leading):
            state.become_follower(state.term, 0)
            return
        # From here on each must be heard again: an answer counts for one timeout, or a peer that
        # died long ago would be a quorum for ever.
        for progress in leading.peers.values():
            progress.is_active = False
    if leading.transfer is not None:
        leading.transfer.ticks += 1
        # Nobody was elected in that time: the target is too far behind, dead, or was refused.
        if leading.transfer.ticks >= config.election_ticks:
            transfer.abort(leading)  # checklist 120
            membership.leave_if_due(state)
    # Last, so that whoever has just stopped leading says no more that it does (checklist 52).
    leading.heartbeat_elapsed_ticks += 1
    if leading.heartbeat_elapsed_ticks >= config.heartbeat_ticks:
        leading.heartbeat_elapsed_ticks = 0
        read_index.note_round_sent(state)
        heartbeat.beat(state)


def _is_stalled(state: State, leading: Leading) -> bool:
    """Whether the disk has had something to write, and finished nothing, for too long."""
    # Stuck is: it was given entries, and has not finished any since the last tick.  An idle disk
    # has nothing to finish, and a slow one moves.
    durable_index = state.log.durable_index
    is_stuck = durable_index < state.log.handed_index and durable_index == leading.stalled_index
    leading.stalled_ticks = leading.stalled_ticks + 1 if is_stuck else 0
    leading.stalled_index = durable_index
    # In election timeouts, because that is what a change of leader costs.
    return leading.stalled_ticks > state.config.stalled_elections_max * state.config.election_ticks


def _has_active_quorum(state: State, leading: Leading) -> bool:
    # Learners are not asked: they decide nothing (checklist 48).
    peers, own = leading.peers, state.id
    return has_quorum(state.configuration, lambda node: node == own or peers[node].is_active)
