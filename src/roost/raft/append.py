"""The replication conversation, both ends: appends, their answers, heartbeats (thesis §3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft import snapshot, transfer
from roost.raft.errors import LogLost
from roost.raft.fence import is_introduced
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    Restarted,
)
from roost.raft.progress import Progress, ProgressState
from roost.raft.read_index import note_round_sent, on_token_echoed
from roost.raft.types import Role

if TYPE_CHECKING:
    from roost.raft.core import Core


# --- the leader's end ---------------------------------------------------------------------------


def broadcast(core: Core) -> None:
    """Send what is new to every peer that may take it."""
    for node, progress in core.peers.items():
        send_append(core, node, progress)


def send_append(core: Core, node: int, progress: Progress, *, or_empty: bool = False) -> bool:
    """Send the next entries to one peer, as far as its state allows; say whether we did.

    `or_empty` sends even without entries or room: news of the commit index, or a nudge that
    makes a peer that lost messages say so.
    """
    state, config = progress.state, core.config
    if state is ProgressState.SNAPSHOT:
        return False
    is_paused = (
        progress.is_probe_sent
        if state is ProgressState.PROBE
        else progress.is_full(config.inflight_count_max, config.inflight_bytes_max)
    )
    if is_paused and not or_empty:
        return False
    log = core.log
    prev_index = progress.next_index - 1
    if prev_index < log.first_index - 1 or (prev_term := log.term_at(prev_index)) is None:
        # The entries this peer needs are gone (checklist 92).
        snapshot.want(core, node, progress)
        return False
    entries = () if is_paused else log.slice(progress.next_index, config.message_bytes_max)
    if not entries and not or_empty:
        return False
    commit_index, session = log.commit_index, progress.session
    message = core.last_append
    if (
        message is None
        or message.prev_index != prev_index
        or message.commit_index != commit_index
        or message.term != core.term
        or message.session != session
        or message.entries != entries
    ):
        message = AppendEntries(
            core.term, core.id, prev_index, prev_term, commit_index, entries, session
        )
        core.last_append = message
    core.send(node, message)
    progress.sent_commit = commit_index
    if state is ProgressState.PROBE:
        progress.is_probe_sent = True
    elif entries:
        size = (
            len(entries[0].payload)
            if len(entries) == 1
            else sum(len(entry.payload) for entry in entries)
        )
        progress.note_sent(entries[-1].index, size)
    return True


def announced_index(core: Core) -> int:
    """The commit index that every peer in step has been told."""
    told = [
        progress.sent_commit
        for progress in core.peers.values()
        if progress.state is ProgressState.REPLICATE
    ]
    return min(told, default=core.log.commit_index)


def announce_commit(core: Core) -> None:
    """Tell peers the commit index, with entries where there are some (checklist 78)."""
    commit_index = core.log.commit_index
    for node, progress in core.peers.items():
        if progress.sent_commit < commit_index and progress.state is ProgressState.REPLICATE:
            send_append(core, node, progress, or_empty=True)


def broadcast_heartbeat(core: Core, *, is_tick: bool) -> None:
    """Say that we lead, with the newest read token (checklist 114)."""
    if is_tick:
        note_round_sent(core)
    commit_index, token = core.log.commit_index, core.reads.newest_token
    for node, progress in core.peers.items():
        if is_tick:
            progress.is_nudge_due = True
        known = min(progress.match_index, commit_index)
        core.send(node, Heartbeat(core.term, core.id, known, token))


def on_accepted(core: Core, message: AppendAccepted) -> None:
    """A peer holds our log up to `match_index`, durably."""
    progress = core.peer_answering(message.sender, message.session)
    if progress is None:
        return
    assert message.match_index <= core.log.last_index, "a peer holds only what we sent"
    is_news = progress.on_accepted(message.match_index)
    state = progress.state
    if state is not ProgressState.REPLICATE:
        if state is ProgressState.PROBE or message.match_index + 1 >= core.log.first_index:
            progress.become_replicate()
        elif progress.offer is not None and progress.offer.index <= message.match_index:
            # It has what we offered, but our log has moved on: begin again.
            snapshot.want(core, message.sender, progress)
    elif not is_news:
        return
    if is_news and message.match_index > core.log.commit_index:
        core.maybe_commit()
    if core.config.eager_commit and progress.sent_commit < core.log.commit_index:
        send_append(core, message.sender, progress, or_empty=True)
    while progress.next_index <= core.log.last_index:
        if not send_append(core, message.sender, progress):
            break
    if core.transfer_target == message.sender:
        transfer.try_finish(core, message.sender)


def on_held(core: Core, message: AppendHeld) -> None:
    """A peer took what it had room for: nothing but heartbeats until it answers one (98)."""
    progress = core.peer_answering(message.sender, message.session)
    if progress is None:
        return
    is_news = progress.on_accepted(message.match_index)
    progress.pause_probe()
    if is_news and message.match_index > core.log.commit_index:
        core.maybe_commit()


def on_rejected(core: Core, message: AppendRejected) -> None:
    """A peer lacks what we assumed: step back to where the logs may agree (checklist 86-88)."""
    progress = core.peer_answering(message.sender, message.session)
    if progress is None:
        return
    agree_index = message.hint_index
    if message.hint_term:
        # Our own log may say more than the hint: nothing of a newer term can match there.
        agree_index, _ = core.log.conflict_hint(message.hint_index, message.hint_term)
    is_news = progress.on_rejected(message.prev_index, agree_index)
    if progress.has_stepped_back:
        core.losses[message.sender] = progress.acked_index
    if is_news:
        send_append(core, message.sender, progress, or_empty=True)


def on_heartbeat_reply(core: Core, message: HeartbeatReply) -> None:
    """A peer is alive: let a probe go on, and nudge a peer whose messages may be lost."""
    progress = core.peers.get(message.sender)
    if core.role is not Role.LEADER or progress is None:
        return
    core.note_heard(progress)
    if message.token:
        on_token_echoed(core, progress, message.token)
    if not progress.is_nudge_due:
        return
    progress.is_nudge_due = False
    progress.is_probe_sent = False
    if progress.state is ProgressState.SNAPSHOT:
        snapshot.remind(core, message.sender, progress)
        return
    if progress.match_index < core.log.last_index or progress.state is ProgressState.PROBE:
        send_append(core, message.sender, progress, or_empty=True)


def on_restarted(core: Core, message: Restarted) -> None:
    """A peer has lived once more since we lead: it may hold less than it said (J23)."""
    progress = core.peers.get(message.sender)
    if core.role is not Role.LEADER or progress is None or progress.session == message.session:
        return
    core.note_heard(progress)
    progress.begin_session(message.session)
    send_append(core, message.sender, progress, or_empty=True)


def on_unreachable(progress: Progress) -> None:
    """A message to the peer was lost: stop sending ahead."""
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()


# --- the follower's end -------------------------------------------------------------------------


def on_append_entries(core: Core, message: AppendEntries) -> None:
    """Take the leader's entries, or say where our logs may still agree."""
    core.follow(message.sender)
    log, sender, session = core.log, message.sender, message.session
    if not is_introduced(core, sender, session):
        return
    prev_index = message.prev_index
    if prev_index < log.commit_index:
        _accept(core, message, log.commit_index)
        return
    if log.term_at(prev_index) != message.prev_term:
        hint = log.conflict_hint(prev_index, message.prev_term)
        core.reply(sender, AppendRejected(core.term, core.id, prev_index, *hint, session))
        return
    entries = log.fitting(message.entries, core.config.tail_bytes_max)
    last_new = log.append_after(prev_index, entries)
    # Beyond last_new our log may still hold another leader's tail: never commit past it.
    log.commit_to(min(message.commit_index, last_new))
    if core.is_fenced:
        core.fence_commit = max(core.fence_commit or 0, message.commit_index)
    _accept(core, message, last_new, is_all=len(entries) == len(message.entries))


def _accept(core: Core, message: AppendEntries, index: int, *, is_all: bool = True) -> None:
    """Say up to where we hold what the leader holds; less than that while some of it is damaged.

    Then, as when there was no room for all, it may not send ahead.
    """
    match_index = core.log.vouched(index)
    kind = AppendAccepted if is_all and match_index == index else AppendHeld
    core.reply(message.sender, kind(core.term, core.id, match_index, message.session))


def on_heartbeat(core: Core, message: Heartbeat) -> None:
    """The leader lives; it knows that we hold everything up to its commit index.

    Raises:
        LogLost: we do not.

    """
    core.follow(message.sender)
    is_known = is_introduced(core, message.sender, 0)
    if core.config.life and message.commit_index > core.log.last_index:
        is_known = False  # sent before we restarted
    if not is_known:
        core.send(message.sender, HeartbeatReply(core.term, core.id, message.token))
        return
    if message.commit_index > core.log.last_index:
        text = f"the leader counts on entry {message.commit_index}, our log ends at"
        raise LogLost(f"{text} {core.log.last_index}")
    core.log.commit_to(message.commit_index)
    core.send(message.sender, HeartbeatReply(core.term, core.id, message.token))
