"""Changes of the configuration: proposed by the leader, in force when applied (checklist L).

At most one change is on its way.  A configuration takes effect on each node when it applies the
entry; no node campaigns while it knows of a committed change that it has not applied, which is
what makes that safe (checklist 25, etcd #7280).

We differ from the thesis here, as etcd does: there a server uses "the latest configuration in its
log, regardless of whether the entry is committed" (§4.1), and must fall back when the entry is cut
off.  Applied configurations never fall back.  What has to be shown instead is that no two of them
without a common node decide at the same time.  A leader counts in the old one until it applies
the change, and by then a quorum of the old one holds it.  Whoever wins after that in the old
configuration had a vote from that quorum, so it holds the entry; and it learns with the first
answers that it is committed, if anybody knows (`election`).  Two changes apart would break this,
so the next is refused until the one before is applied.
"""

from collections.abc import Sequence

from roost.raft import append, transfer
from roost.raft.confchange import (
    Change,
    ChangeKind,
    Transition,
    encode_change,
    left_configuration,
    next_configuration,
)
from roost.raft.errors import DropReason, ProposalDropped
from roost.raft.leading import Leading
from roost.raft.progress import Progress, ProgressState
from roost.raft.state import State
from roost.raft.types import Configuration, EntryKind


def propose(
    state: State,
    changes: Sequence[Change],
    *,
    context: bytes,
    transition: Transition,
    if_version: int | None,
) -> int:
    """Append the configuration after `changes`; see `Core.propose_change`."""
    leading = _check(state, if_version)
    # Worked out once, here: the entry carries the whole configuration, so that no two nodes can
    # come to different ones by applying steps to different pasts.
    index = state.log.last_index + 1
    following = next_configuration(state.configuration, changes, transition, index)
    # After that: a change that makes no sense makes none anywhere and is refused for good, while
    # whoever lags may be promoted a moment later.
    for change in changes:
        if change.kind is ChangeKind.ADD_VOTER and not _is_caught_up(state, leading, change.node):
            raise ProposalDropped(DropReason.NOT_CAUGHT_UP)
    return _append(state, leading, following, context)


def propose_leave(state: State, *, context: bytes, if_version: int | None) -> int:
    """Append the configuration after leaving a joint one."""
    leading = _check(state, if_version)
    # The half that stays was caught up when it came in: there is nobody to be asked about.
    following = left_configuration(state.configuration, state.log.last_index + 1)
    return _append(state, leading, following, context)


def _check(state: State, if_version: int | None) -> Leading:
    # Applied *here*: a change that is committed and not in force yet is still on its way.
    leading = state.check_may_propose()
    if leading.pending_change_index > state.log.applied_index:
        raise ProposalDropped(DropReason.CHANGE_PENDING)
    # Whoever worked out a change from what it saw must not have it made of something else.
    if if_version is not None and if_version != state.configuration.version:
        raise ProposalDropped(DropReason.VERSION_CHANGED)
    return leading


def _is_caught_up(state: State, leading: Leading, node: int) -> bool:
    """Whether a learner may become a voter: it has what is committed, but for one window.

    A node that is no learner yet may be added as a voter by whoever insists, as Raft allows.
    """
    # A voter that lags is no voter for as long as it lags: it raises the quorum, and cannot help
    # to reach it (thesis §4.2.1 has learners catch up first, for the same reason).
    progress = leading.peers.get(node)
    if progress is None or node not in state.configuration.learners:
        return True
    lag_entries = state.log.commit_index - progress.match_index
    return (
        progress.state is ProgressState.REPLICATE
        # By its numbers alone a peer that has just died would be in step still.
        and state.was_heard(node)
        and lag_entries <= state.config.promotion_lag_entries_max
    )


def _append(state: State, leading: Leading, following: Configuration, context: bytes) -> int:
    index = state.append_own(EntryKind.CONFIGURATION, encode_change(following, context))
    assert index == following.version, "a configuration is named by its own entry"
    # Until this one is applied *here* no other is taken: two that overlap could have majorities
    # that do not meet (thesis §4.1).
    leading.pending_change_index = index
    return index


def adopt(state: State, configuration: Configuration) -> None:
    """A committed configuration is applied: it decides from now on (checklist 131)."""
    # Version and entry are one number, so that this is the order of the log.
    assert configuration.version > state.configuration.version, "configurations follow each other"
    state.configuration = configuration
    leading = state.leading
    if leading is None:
        return
    _meet(state, leading)
    leading.rounds.nearest = ()
    # It could not win any more, and proposals would wait for it in vain.
    if leading.transfer is not None and not configuration.is_voter(leading.transfer.target):
        transfer.abort(leading)
    # Fewer may be needed now than before, so that what waited is committed (checklist 80).
    append.commit(state)
    if not configuration.is_voter(state.id):
        # A leader that has removed itself led until the entry was committed, without counting
        # itself (§4.2.2).  Now it says so, points at a successor, and goes: if it stayed its
        # heartbeats would keep those who are left from electing one (etcd #11038).
        append.announce_commit(state)
        transfer.hand_over(state)
        state.become_follower(state.term, 0)
        return
    # New peers are probed at once, and not a heartbeat later.
    for node, progress in leading.peers.items():
        append.send_append(state, node, progress, or_empty=progress.state is ProgressState.PROBE)


def _meet(state: State, leading: Leading) -> None:
    """Have for peers whoever is in the configuration now."""
    configuration, peers = state.configuration, leading.peers
    members = configuration.all_nodes()
    # From a list of its own, since the dictionary shrinks meanwhile.
    for node in [it for it in peers if it not in members]:
        # Its last message from us says that its removal is committed.
        if peers[node].state is ProgressState.REPLICATE:
            append.send_append(state, node, peers[node], or_empty=True)
        del peers[node]
    for node in members:
        # Those who stay keep what is known of them: to begin anew would send all of the log again.
        if node != state.id and node not in peers:
            # The version is its session: what a node of this name said before it was removed is
            # not what this one holds (checklist 96).
            peers[node] = Progress(state.log.last_index + 1, configuration.version)
    # In the order of ids again, whoever came when: see `Leading.peers`.
    leading.peers = dict(sorted(peers.items()))


def leave_if_due(state: State) -> None:
    """Leave a joint configuration that is left by itself, once nothing else is pending.

    Tried again whenever something is applied, so that neither a change of leader nor a transfer
    can leave a cluster joint (checklist 129, 130).
    """
    # Not while a transfer is under way: the target holds all of our log, and one more entry would
    # begin that again.
    configuration, leading = state.configuration, state.leading
    if (
        leading is not None
        and configuration.auto_leave
        and leading.transfer is None
        and leading.pending_change_index <= state.log.applied_index
        and state.is_leader_ready
    ):
        left = left_configuration(configuration, state.log.last_index + 1)
        _append(state, leading, left, b"")
