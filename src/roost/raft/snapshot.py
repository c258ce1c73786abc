"""The snapshot conversation, both ends (thesis §5, checklist 99-110).

The leader that no longer has the entries a peer needs asks its driver for a snapshot
(`Ready.snapshots_wanted`) and offers what it is given.  The peer's driver fetches it
(`Ready.snapshot`), puts it in place, journal and all, and only then tells the core (`restore`).
Until then the peer is an ordinary follower with an old log, so that nothing has to be undone
when the fetch fails, the leader changes or the process dies.
"""

from roost.raft.fence import is_introduced
from roost.raft.messages import AppendAccepted, SnapshotFailed, SnapshotOffer
from roost.raft.progress import Progress, ProgressState
from roost.raft.state import State
from roost.raft.types import Role, Snapshot


def want(state: State, node: int, progress: Progress) -> None:
    """The entries `node` needs are gone: ask the driver for a snapshot, if the peer is alive."""
    # A peer that is silent is not worth the work yet: its first sign of life asks (`remind`).
    progress.become_snapshot()
    if progress.is_active:
        assert state.leading is not None, "only a leader offers snapshots"
        state.leading.snapshots_wanted.append(node)


def offer(state: State, node: int, snapshot: Snapshot) -> bool:
    """Offer a snapshot to a peer that waits for one; False when it does not any more."""
    progress = state.leading.peers.get(node) if state.leading is not None else None
    # A copy takes a while to make: meanwhile it may have been removed, have restarted, or have got
    # entries after all.
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return False
    # Applied is committed, so no leader that follows can miss any of it.
    assert snapshot.index <= state.log.applied_index, "a snapshot holds only what was applied"
    progress.offer = SnapshotOffer(
        state.term,
        state.id,
        snapshot.index,
        snapshot.term,
        progress.session,
        snapshot.configuration,
    )
    # Where its log will go on.  Not a match point: it has promised nothing by being offered this.
    progress.next_index = max(snapshot.index, progress.match_index) + 1
    state.send(node, progress.offer)
    return True


def remind(state: State, node: int, progress: Progress) -> None:
    """The peer is alive: the offer may have been lost, or was never asked for."""
    leading = state.leading
    assert leading is not None, "only a leader offers snapshots"
    if progress.offer is not None:
        state.send(node, progress.offer)
    # Once a Ready at most, but again in later ones: the driver knows what it is at already, and a
    # copy that failed would else be waited for as long as we lead.
    elif node not in leading.snapshots_wanted:
        leading.snapshots_wanted.append(node)


def on_offer(state: State, message: SnapshotOffer) -> None:
    """The leader offers a snapshot: fetch it, unless our log says as much (checklist 102)."""
    state.follow(message.sender)
    if not is_introduced(state, message.sender, message.session):
        return
    # With the same entry at that position our log says all that the snapshot does, and perhaps
    # more; to fetch it would be to throw the rest away (thesis §5.1 keeps the suffix as well).
    log = state.log
    if message.index <= log.commit_index or log.holds(message.index, message.index_term):
        # Only what was applied is ever copied, so the leader has said that this is committed.
        log.commit_to(message.index)
        reached = log.vouched(max(log.commit_index, message.index))
        state.reply(message.sender, AppendAccepted(state.term, state.id, reached, message.session))
        return
    # A leader that is behind may offer what was so before we were added; the next copy has us in
    # it.
    if state.id not in message.configuration.all_nodes():
        return  # it is not for us: we would not even be in it
    # The session of the newest offer, though it may be of the same snapshot: the answer counts
    # in the one that the leader has us in now.
    state.offer_session = message.session
    offered = Snapshot(
        index=message.index,
        term=message.index_term,
        sender=message.sender,
        configuration=message.configuration,
    )
    # The same offer again is a reminder, and must not have our driver begin anew.
    if offered != state.offered_snapshot:
        state.offered_snapshot = state.outbox.fresh_offer = offered


def on_failed(state: State, message: SnapshotFailed) -> None:
    """The peer could not get what we offered: pause, then begin again."""
    progress = state.peer_answering(message.sender, message.session)
    if progress is None:
        return
    offered = progress.offer
    if offered is not None and offered.index == message.index:
        # Cleared first: what was never installed is no match point (checklist 101).
        progress.pause_probe()


def fail(state: State, snapshot: Snapshot) -> None:
    """Our driver could not fetch it."""
    # Another one was offered since, or we came to lead: nobody waits for this one.
    if state.offered_snapshot != snapshot:
        return
    state.offered_snapshot = None
    # A report and no promise: without it the leader offers again at the next heartbeat's answer.
    if state.role is Role.FOLLOWER and state.leader_id:
        state.send(
            state.leader_id,
            SnapshotFailed(state.term, state.id, snapshot.index, state.offer_session),
        )


def may_restore(state: State, snapshot: Snapshot) -> bool:
    """Whether `restore` would take it now (checklist 102, 103).

    Not when appends have brought what it holds while it was fetched: the log may go on behind it
    with entries that the leader was told we hold, and to put it in place would drop them.
    """
    return _is_ahead(state, snapshot) and not state.log.holds(snapshot.index, snapshot.term)


def _is_ahead(state: State, snapshot: Snapshot) -> bool:
    # A follower's log is what its leader makes of it.  A leader's is what others copy, and a
    # candidate has told voters where its own ends: neither may change under them.
    return state.role is Role.FOLLOWER and snapshot.index > state.log.commit_index


def restore(state: State, snapshot: Snapshot) -> None:
    """The snapshot is in place, durably, and the storage begins behind it."""
    assert _is_ahead(state, snapshot), "the driver asked `may_restore` before it touched anything"
    # The log begins behind it, and so does everything that was counted from the log before.
    state.log.restore(snapshot.index, snapshot.term)
    state.outbox.forget_handed()
    # In force as of the snapshot: entries that changed it are among those that we never saw.
    state.configuration = snapshot.configuration
    state.offered_snapshot = None
    # As an append would be: the leader of now may be another than who offered it, and then this
    # is for the wrong session, and says nothing.
    if state.leader_id:
        accepted = AppendAccepted(state.term, state.id, snapshot.index, state.offer_session)
        state.reply(state.leader_id, accepted)
