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
    # A peer that fetches a snapshot gets nothing besides: what we sent would follow entries that
    # it does not have, and only be refused.
    peer_state, config = progress.state, state.config
    if peer_state is ProgressState.SNAPSHOT:
        return False
    # Looking for the match point, one append on its way is enough: all others would be refused
    # for the same reason.  In step, the window bounds what a peer that has gone may cost us.
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
        # The entries this peer needs are gone (checklist 92).  Asked before an empty append, too:
        # one that follows an entry whose term we do not know any more proves nothing.
        snapshot.want(state, node, progress)
        return False
    try:
        entries = () if is_paused else log.slice(progress.next_index, config.message_bytes_max)
    except MemoryError:
        # For what has to be read again, on behalf of a peer that is behind: it is less urgent than
        # a leader.  The answer to a heartbeat asks again.
        entries = ()
    if not entries and not or_empty:
        return False
    commit_index, session, leading = log.commit_index, progress.session, state.leading
    assert leading is not None, "only a leader sends entries"
    # Peers in step are sent the same object: it is encoded once, however many they are.  A term
    # is not compared, for `leading` and all that is in it are of one term.
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
        # Taken for arrived from here on (pipelining, thesis §10.2.2): the next append
        # follows it without waiting.  If it is lost, the one behind it is refused, and the peer
        # is probed again from its match point.
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
    # Others learn it with what they lack: a probe or a snapshot carries a commit index, too.
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
    # With `eager_commit` off nobody is told for its own sake: the next append or heartbeat says it,
    # which saves a message to each peer for every commit while there is traffic.
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
    # An answer that is no news counts all the same for a probe: a peer that held everything when
    # we came to lead answers with the match point that we assumed, and is in step (checklist 85).
    if progress.state is not ProgressState.REPLICATE:
        # In SNAPSHOT it has put one in place, or an append of before was late.  Which of them does
        # not matter: what it holds by now decides whether our log goes on from there.
        if progress.state is ProgressState.PROBE or message.match_index + 1 >= log.first_index:
            progress.become_replicate()
        elif progress.offer is not None and progress.offer.index <= message.match_index:
            # It has what we offered, but our log has moved on: begin again.
            snapshot.want(state, message.sender, progress)
    elif not is_news:
        return
    # Below the commit index a match decides nothing: it was decided without it.
    if is_news and message.match_index > log.commit_index:
        commit(state)
    # The peer whose answer was the last that a commit needed has been told with the others; one
    # that answers after that has not, and would hear a heartbeat later (checklist 79).
    if state.config.eager_commit and progress.sent_commit < log.commit_index:
        send_append(state, message.sender, progress, or_empty=True)
    # One message of `message_bytes_max` may not be all: fill the window again (checklist 93).
    while progress.next_index <= log.last_index:
        if not send_append(state, message.sender, progress):
            break


def on_held(state: State, message: AppendHeld) -> None:
    """A peer took what it had room for: nothing but heartbeats until it answers one (98)."""
    progress = state.peer_answering(message.sender, message.session)
    if progress is None:
        return
    # What it holds it holds, and that counts for commits like anybody's.
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
        # Our own log may say more than the hint: nothing of a newer term can match there.  The
        # peer skips whole terms of its own that we cannot have, we skip those of ours: a few
        # probes reach over thousands of entries, where §3.5 would step back one by one.
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
    # The same word again is a repetition: to begin the search anew would forget its answers.
    if progress is None or progress.session == message.session:
        return
    # The next append carries the new session, by which the peer knows that we know.  Until it
    # has that, it answers nothing that could count (`fence.is_introduced`).
    progress.note_heard(state.tick_count)
    progress.begin_session(message.session)
    send_append(state, message.sender, progress, or_empty=True)


def on_unreachable(progress: Progress) -> None:
    """A message to the peer was lost: stop sending ahead."""
    # Everything behind the lost one will be refused.  To know that now saves the wait for it.
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def on_append_entries(state: State, message: AppendEntries) -> None:
    """Take the leader's entries, or say where our logs may still agree."""
    state.follow(message.sender)
    log, sender, session = state.log, message.sender, message.session
    if not is_introduced(state, sender, session):
        return
    # An append from before what we have committed is old, or answers nothing new: we hold all up
    # to there, and may not even look at the rest, which could be the same or be overtaken.
    prev_index = message.prev_index
    if prev_index < log.commit_index:
        _accept(state, message, log.commit_index)
        return
    # The consistency check: "if the follower does not find an entry in its log with the same
    # index and term, then it refuses the new entries" (§3.5).  It is the step of the induction
    # that makes logs which agree at one position agree at all before it.
    # Not below the commit index, and so not compacted: no term there means that our log is shorter.
    if log.term_at(prev_index) != message.prev_term:
        hint = log.conflict_hint(prev_index, message.prev_term)
        state.reply(sender, AppendRejected(state.term, state.id, prev_index, *hint, session))
        return
    # A prefix keeps the induction whole; to drop the rest is as if it had been lost.
    entries = log.fitting(message.entries, state.config.tail_bytes_max)
    last_new = log.append_after(prev_index, entries)
    # Beyond last_new our log may still hold another leader's tail: never commit past it.
    log.commit_to(min(message.commit_index, last_new))
    # It knows of our restart (asked above), so its commit index counts for the fence; the index
    # as it says it, not as far as we hold it: what we lack of it is what keeps the fence up.
    if state.is_fenced:
        state.fence_commit = max(state.fence_commit or 0, message.commit_index)
    _accept(state, message, last_new, is_all=len(entries) == len(message.entries))


def _accept(state: State, message: AppendEntries, index: int, *, is_all: bool = True) -> None:
    """Say up to where we hold what the leader holds; less than that while some of it is damaged.

    Then, as when there was no room for all, it may not send ahead.
    """
    # Waits for the disk: the leader commits with it.  Nor is it the log's end that we tell, even
    # if our log is longer: what is behind `index` may be another leader's (checklist 69).
    match_index = state.log.vouched(index)
    kind = AppendAccepted if is_all and match_index == index else AppendHeld
    state.reply(message.sender, kind(state.term, state.id, match_index, message.session))
