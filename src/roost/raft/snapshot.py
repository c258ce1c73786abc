"""The snapshot conversation, both ends (thesis §7, checklist 99-110).

The leader that no longer has the entries a peer needs asks its driver for a snapshot
(`Ready.snapshots_wanted`) and offers what it is given.  The peer's driver fetches it
(`Ready.snapshot`), puts it in place, journal and all, and only then tells the core (`restore`).
Until then the peer is an ordinary follower with an old log, so that nothing has to be undone
when the fetch fails, the leader changes or the process dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft.fence import is_introduced
from roost.raft.messages import AppendAccepted, SnapshotFailed, SnapshotOffer
from roost.raft.progress import ProgressState
from roost.raft.types import Role, Snapshot

if TYPE_CHECKING:
    from roost.raft.core import Core
    from roost.raft.progress import Progress


def want(core: Core, node: int, progress: Progress) -> None:
    """The entries `node` needs are gone: ask the driver for a snapshot, if the peer is alive."""
    progress.become_snapshot()
    if progress.is_active:
        core.snapshots_wanted.append(node)


def offer(core: Core, node: int, snapshot: Snapshot) -> bool:
    """Offer a snapshot to a peer that waits for one; False when it does not any more."""
    progress = core.peers.get(node)
    if (
        core.role is not Role.LEADER
        or progress is None
        or progress.state is not ProgressState.SNAPSHOT
    ):
        return False
    assert snapshot.index <= core.log.applied_index, "a snapshot holds only what was applied"
    progress.offer = SnapshotOffer(
        core.term,
        core.id,
        snapshot.index,
        snapshot.term,
        progress.session,
        snapshot.configuration,
    )
    progress.next_index = max(snapshot.index, progress.match_index) + 1
    core.send(node, progress.offer)
    return True


def remind(core: Core, node: int, progress: Progress) -> None:
    """The peer is alive: the offer may have been lost, or was never asked for."""
    if progress.offer is not None:
        core.send(node, progress.offer)
    elif node not in core.snapshots_wanted:
        core.snapshots_wanted.append(node)


def on_offer(core: Core, message: SnapshotOffer) -> None:
    """The leader offers a snapshot: fetch it, unless our log says as much (checklist 102)."""
    core.follow(message.sender)
    if not is_introduced(core, message.sender, message.session):
        return
    log = core.log
    if message.index <= log.commit_index or log.holds(message.index, message.index_term):
        log.commit_to(message.index)
        reached = log.vouched(max(log.commit_index, message.index))
        core.reply(message.sender, AppendAccepted(core.term, core.id, reached, message.session))
        return
    if core.id not in message.configuration.all_nodes():
        return  # it is not for us: we would not even be in it
    core.offer_session = message.session
    offered = Snapshot(
        index=message.index,
        term=message.index_term,
        sender=message.sender,
        configuration=message.configuration,
    )
    if offered != core.offered_snapshot:
        core.offered_snapshot = core.fresh_offer = offered


def on_failed(core: Core, message: SnapshotFailed) -> None:
    """The peer could not get what we offered: pause, then begin again."""
    progress = core.peer_answering(message.sender, message.session)
    if progress is None:
        return
    offered = progress.offer
    if offered is not None and offered.index == message.index:
        # Cleared first: what was never installed is no match point (checklist 101).
        progress.pause_probe()


def fail(core: Core, snapshot: Snapshot) -> None:
    """Our driver could not fetch it."""
    if core.offered_snapshot != snapshot:
        return
    core.offered_snapshot = None
    if core.role is Role.FOLLOWER and core.leader_id:
        core.send(
            core.leader_id,
            SnapshotFailed(core.term, core.id, snapshot.index, core.offer_session),
        )


def may_restore(core: Core, snapshot: Snapshot) -> bool:
    """Whether `restore` would take it now (checklist 102, 103).

    Not when appends have brought what it holds while it was fetched: the log may go on behind it
    with entries that the leader was told we hold, and to put it in place would drop them.
    """
    return _is_ahead(core, snapshot) and not core.log.holds(snapshot.index, snapshot.term)


def _is_ahead(core: Core, snapshot: Snapshot) -> bool:
    return core.role is Role.FOLLOWER and snapshot.index > core.log.commit_index


def restore(core: Core, snapshot: Snapshot) -> None:
    """The snapshot is in place, durably, and the storage begins behind it."""
    assert _is_ahead(core, snapshot), "the driver asked `may_restore` before it touched anything"
    core.log.restore(snapshot.index, snapshot.term)
    core.forget_handed_out()
    core.configuration = snapshot.configuration
    core.offered_snapshot = None
    if core.leader_id:
        accepted = AppendAccepted(core.term, core.id, snapshot.index, core.offer_session)
        core.reply(core.leader_id, accepted)
