"""The replication conversation, both ends: appends and their answers (thesis §3.5).

The leader sends entries with the position and term of the one before them.  A follower takes them
if it has that one, and so, by induction, all before it: "if two entries in different logs have
the same index and term, then the logs are identical in all preceding entries" (§3.5, the Log
Matching Property).  If not, it says where the logs may still agree, and the leader steps back.
"""

from roost.raft import snapshot
from roost.raft.fence import is_introduced
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Restarted,
)
from roost.raft.progress import Progress, ProgressState
from roost.raft.state import State


def broadcast(state: State) -> None:
    """Send what is new to every peer that may take it."""
    leading = state.leading
    assert leading is not None, "only a leader has peers"
    for node, progress in leading.peers.items():
        send_append(state, node, progress)


def send_append(state: State, node: int, progress: Progress, *, or_empty: bool = False) -> bool:
    """Send the next entries to one peer, as far as its state allows; say whether we did.

    `or_empty` sends even without entries or room: news of the commit index, or a nudge that
    makes a peer that lost messages say so.
    """
    peer_state, config = progress.state, state.config
    if peer_state is ProgressState.SNAPSHOT:
        return False
    is_paused = (
        progress.is_probe_sent
        if peer_state is ProgressState.PROBE
        else progress.is_full(config.inflight_count_max, config.inflight_bytes_max)
    )
    if is_paused and not or_empty:
        return False
    log = state.log
    prev_index = progress.next_index - 1
    if prev_index < log.first_index - 1 or (prev_term := log.term_at(prev_index)) is None:
        # The entries this peer needs are gone (checklist 92).
        snapshot.want(state, node, progress)
        return False
    entries = () if is_paused else log.slice(progress.next_index, config.message_bytes_max)
    if not entries and not or_empty:
        return False
    commit_index, session, leading = log.commit_index, progress.session, state.leading
    assert leading is not None, "only a leader sends entries"
    message = leading.last_append
    if (
        message is None
        or message.prev_index != prev_index
        or message.commit_index != commit_index
        or message.session != session
        or message.entries != entries
    ):
        message = AppendEntries(
            state.term, state.id, prev_index, prev_term, commit_index, entries, session
        )
        leading.last_append = message
    state.send(node, message)
    progress.sent_commit = commit_index
    if peer_state is ProgressState.PROBE:
        progress.is_probe_sent = True
    elif entries:
        size = (
            len(entries[0].payload)
            if len(entries) == 1
            else sum(len(entry.payload) for entry in entries)
        )
        progress.note_sent(entries[-1].index, size)
    return True


def announced_index(state: State) -> int:
    """The commit index that every peer in step has been told; our own where we do not lead."""
    peers = state.leading.peers.values() if state.leading is not None else ()
    told = [it.sent_commit for it in peers if it.state is ProgressState.REPLICATE]
    return min(told, default=state.log.commit_index)


def announce_commit(state: State) -> None:
    """Tell peers the commit index, with entries where there are some (checklist 78)."""
    leading, commit_index = state.leading, state.log.commit_index
    if leading is None:
        return
    for node, progress in leading.peers.items():
        if progress.sent_commit < commit_index and progress.state is ProgressState.REPLICATE:
            send_append(state, node, progress, or_empty=True)


def commit(state: State) -> None:
    """Commit what a quorum holds by now, and say so if followers are told at once."""
    if state.commit_by_quorum() and state.config.eager_commit:
        announce_commit(state)


def on_accepted(state: State, message: AppendAccepted) -> None:
    """A peer holds our log up to `match_index`, durably."""
    progress = state.peer_answering(message.sender, message.session)
    if progress is None:
        return
    log = state.log
    assert message.match_index <= log.last_index, "a peer holds only what we sent"
    is_news = progress.on_accepted(message.match_index)
    if progress.state is not ProgressState.REPLICATE:
        if progress.state is ProgressState.PROBE or message.match_index + 1 >= log.first_index:
            progress.become_replicate()
        elif progress.offer is not None and progress.offer.index <= message.match_index:
            # It has what we offered, but our log has moved on: begin again.
            snapshot.want(state, message.sender, progress)
    elif not is_news:
        return
    if is_news and message.match_index > log.commit_index:
        commit(state)
    if state.config.eager_commit and progress.sent_commit < log.commit_index:
        send_append(state, message.sender, progress, or_empty=True)
    while progress.next_index <= log.last_index:
        if not send_append(state, message.sender, progress):
            break


def on_held(state: State, message: AppendHeld) -> None:
    """A peer took what it had room for: nothing but heartbeats until it answers one (98)."""
    progress = state.peer_answering(message.sender, message.session)
    if progress is None:
        return
    is_news = progress.on_accepted(message.match_index)
    progress.pause_probe()
    if is_news and message.match_index > state.log.commit_index:
        commit(state)


def on_rejected(state: State, message: AppendRejected) -> None:
    """A peer lacks what we assumed: step back to where the logs may agree (checklist 86-88)."""
    progress = state.peer_answering(message.sender, message.session)
    if progress is None:
        return
    agree_index = message.hint_index
    if message.hint_term:
        # Our own log may say more than the hint: nothing of a newer term can match there.
        agree_index, _ = state.log.conflict_hint(message.hint_index, message.hint_term)
    is_news = progress.on_rejected(message.prev_index, agree_index)
    if progress.has_stepped_back:
        state.losses[message.sender] = progress.acked_index
    if is_news:
        send_append(state, message.sender, progress, or_empty=True)


def on_restarted(state: State, message: Restarted) -> None:
    """A peer has lived once more since we lead: it may hold less than it said (J23)."""
    leading = state.leading
    progress = leading.peers.get(message.sender) if leading is not None else None
    if progress is None or progress.session == message.session:
        return
    progress.note_heard(state.tick_count)
    progress.begin_session(message.session)
    send_append(state, message.sender, progress, or_empty=True)


def on_unreachable(progress: Progress) -> None:
    """A message to the peer was lost: stop sending ahead."""
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def on_append_entries(state: State, message: AppendEntries) -> None:
    """Take the leader's entries, or say where our logs may still agree."""
    state.follow(message.sender)
    log, sender, session = state.log, message.sender, message.session
    if not is_introduced(state, sender, session):
        return
    prev_index = message.prev_index
    if prev_index < log.commit_index:
        _accept(state, message, log.commit_index)
        return
    if log.term_at(prev_index) != message.prev_term:
        hint = log.conflict_hint(prev_index, message.prev_term)
        state.reply(sender, AppendRejected(state.term, state.id, prev_index, *hint, session))
        return
    entries = log.fitting(message.entries, state.config.tail_bytes_max)
    last_new = log.append_after(prev_index, entries)
    # Beyond last_new our log may still hold another leader's tail: never commit past it.
    log.commit_to(min(message.commit_index, last_new))
    if state.is_fenced:
        state.fence_commit = max(state.fence_commit or 0, message.commit_index)
    _accept(state, message, last_new, is_all=len(entries) == len(message.entries))


def _accept(state: State, message: AppendEntries, index: int, *, is_all: bool = True) -> None:
    """Say up to where we hold what the leader holds; less than that while some of it is damaged.

    Then, as when there was no room for all, it may not send ahead.
    """
    match_index = state.log.vouched(index)
    kind = AppendAccepted if is_all and match_index == index else AppendHeld
    state.reply(message.sender, kind(state.term, state.id, match_index, message.session))
