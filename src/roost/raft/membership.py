"""Changes of the configuration: proposed by the leader, in force when applied (checklist L).

At most one change is on its way.  A configuration takes effect on each node when it applies the
entry; no node campaigns while it knows of a committed change that it has not applied, which is
what makes that safe (checklist 25, etcd #7280).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from roost.raft.progress import Progress, ProgressState
from roost.raft.types import Configuration, Entry, EntryKind, Role

if TYPE_CHECKING:
    from roost.raft.core import Core


def propose(
    core: Core,
    changes: Sequence[Change],
    *,
    context: bytes,
    transition: Transition,
    if_version: int | None,
) -> int:
    """Append the configuration after `changes`; see `Core.propose_change`."""
    _check(core, if_version)
    index = core.log.last_index + 1
    following = next_configuration(core.configuration, changes, transition, index)
    for change in changes:
        if change.kind is ChangeKind.ADD_VOTER and not _is_caught_up(core, change.node):
            raise ProposalDropped(DropReason.NOT_CAUGHT_UP)
    return _append(core, following, context)


def propose_leave(core: Core, *, context: bytes, if_version: int | None) -> int:
    """Append the configuration after leaving a joint one."""
    _check(core, if_version)
    following = left_configuration(core.configuration, core.log.last_index + 1)
    return _append(core, following, context)


def _check(core: Core, if_version: int | None) -> None:
    core.check_may_propose()
    if core.pending_change_index > core.log.applied_index:
        raise ProposalDropped(DropReason.CHANGE_PENDING)
    if if_version is not None and if_version != core.configuration.version:
        raise ProposalDropped(DropReason.VERSION_CHANGED)


def _is_caught_up(core: Core, node: int) -> bool:
    """Whether a learner may become a voter: it has what is committed, but for one window.

    A node that is no learner yet may be added as a voter by whoever insists, as Raft allows.
    """
    progress = core.peers.get(node)
    if progress is None or node not in core.configuration.learners:
        return True
    lag_entries = core.log.commit_index - progress.match_index
    return (
        progress.state is ProgressState.REPLICATE
        and core.was_heard(node)
        and lag_entries <= core.config.promotion_lag_entries_max
    )


def _append(core: Core, following: Configuration, context: bytes) -> int:
    payload = encode_change(following, context)
    entry = Entry(following.version, core.term, EntryKind.CONFIGURATION, payload)
    core.pending_change_index = entry.index
    core.append_own(entry)
    return entry.index


def adopt(core: Core, configuration: Configuration) -> None:
    """A committed configuration is applied: it decides from now on (checklist 131)."""
    assert configuration.version > core.configuration.version, "configurations follow each other"
    core.configuration = configuration
    if core.role is not Role.LEADER:
        return
    members = configuration.all_nodes()
    for node in [node for node in core.peers if node not in members]:
        # Its last message from us says that its removal is committed.
        progress = core.peers[node]
        if progress.state is ProgressState.REPLICATE:
            append.send_append(core, node, progress, or_empty=True)
        del core.peers[node]
    for node in members:
        if node != core.id and node not in core.peers:
            core.peers[node] = Progress(core.log.last_index + 1, configuration.version)
    core.peers = dict(sorted(core.peers.items()))  # visited in sorted order (checklist 95)
    if core.transfer_target and not configuration.is_voter(core.transfer_target):
        transfer.abort(core)
    core.maybe_commit()
    if not configuration.is_voter(core.id):
        append.announce_commit(core)
        transfer.hand_over(core)
        core.become_follower(core.term, 0)
        return
    for node, progress in core.peers.items():
        append.send_append(core, node, progress, or_empty=progress.state is ProgressState.PROBE)


def leave_if_due(core: Core) -> None:
    """Leave a joint configuration that is left by itself, once nothing else is pending.

    Tried again whenever something is applied, so that neither a change of leader nor a transfer
    can leave a cluster joint (checklist 129, 130).
    """
    configuration = core.configuration
    if (
        core.role is Role.LEADER
        and configuration.auto_leave
        and not core.transfer_target
        and core.pending_change_index <= core.log.applied_index
        and core.is_leader_ready
    ):
        _append(core, left_configuration(configuration, core.log.last_index + 1), b"")
