"""The heartbeat conversation, both ends: "I lead", and "I hear you" (thesis §3.4, §6.2).

A heartbeat promises nothing and asks for nothing, so that neither end waits for its disk: it is
what keeps a follower from campaigning while everything else is slow.  Three things ride on it,
since it goes to everybody all the time: the commit index, as far as the peer is known to hold it;
the newest read token (`read_index`); and, with the answer, the chance to send again what was lost.
"""

from collections.abc import Iterable

from roost.raft import snapshot
from roost.raft.append import send_append
from roost.raft.errors import LogLost
from roost.raft.fence import is_introduced
from roost.raft.leading import Leading
from roost.raft.messages import Heartbeat, HeartbeatReply
from roost.raft.progress import ProgressState
from roost.raft.state import State


def beat(state: State) -> None:
    """The heartbeat of the tick: whoever answers it may be sent again what it seems to lack."""
    leading = state.leading
    assert leading is not None, "only a leader has a heartbeat"
    # Once a tick, and not for every answer: reads send heartbeats of their own, as many as there
    # are reads, and each echo would send again what is merely on its way.
    for progress in leading.peers.values():
        progress.is_nudge_due = True
    leading.rounds.nearest = ()
    broadcast(state)


def broadcast(state: State) -> None:
    """Say that we lead, with the newest read token (checklist 114)."""
    leading = state.leading
    assert leading is not None, "only a leader has a heartbeat"
    send(state, leading, leading.peers)


def send(state: State, leading: Leading, nodes: Iterable[int]) -> None:
    """Say it to some of our peers."""
    commit_index, token = state.log.commit_index, state.reads.newest_token
    # Peers that are told the same are sent the same object, which is encoded once.
    message: Heartbeat | None = None
    for node in nodes:
        # Not the commit index as such: a peer may hold something else at that position still.
        known = min(leading.peers[node].match_index, commit_index)
        if message is None or message.commit_index != known:
            message = Heartbeat(state.term, state.id, known, token)
        state.send(node, message)


def on_heartbeat(state: State, message: Heartbeat) -> None:
    """The leader lives; it knows that we hold everything up to its commit index.

    Raises:
        LogLost: we do not.

    """
    state.follow(message.sender)
    # A heartbeat has no session, so that nothing can follow from the commit index in one that
    # the leader sent before it knew of our restart: it speaks of a log that we may not have.
    # The answer goes out all the same.  That we live and follow is true of any life of ours.
    is_known = is_introduced(state, message.sender, 0)
    if state.config.life and message.commit_index > state.log.last_index:
        is_known = False  # sent before we restarted
    if not is_known:
        state.send(message.sender, HeartbeatReply(state.term, state.id, message.token))
        return
    # Whoever says this knows that we held that entry, for it took our word that it was durable,
    # and we do not say so before.  There is no honest way on from here (etcd #16220).
    if message.commit_index > state.log.last_index:
        text = f"the leader counts on entry {message.commit_index}, our log ends at"
        raise LogLost(f"{text} {state.log.last_index}")
    state.log.commit_to(message.commit_index)
    # Sent at once, not after the disk: it says that we follow, and nothing about what we hold.
    # So a follower with a slow disk is slow, and not silent.
    state.send(message.sender, HeartbeatReply(state.term, state.id, message.token))


def on_reply(state: State, message: HeartbeatReply) -> None:
    """A peer is alive: let a probe go on, and nudge a peer whose messages may be lost."""
    leading = state.leading
    progress = leading.peers.get(message.sender) if leading is not None else None
    if progress is None:
        return
    # Never a word on the match point: to answer a heartbeat takes no log (checklist 82).
    progress.note_heard(state.tick_count)
    if not progress.is_nudge_due:
        return
    # The peer is there.  A probe that it has not answered by now is lost or slow; another costs
    # one message a heartbeat, and without it a single loss would be for ever.
    progress.is_nudge_due = False
    progress.is_probe_sent = False
    # What it lacks is not in our log, so that no append of ours would fit it.
    if progress.state is ProgressState.SNAPSHOT:
        snapshot.remind(state, message.sender, progress)
        return
    # With the window full this is an empty append behind everything on its way (checklist 91): if
    # something was lost the peer refuses it, and says so where silence would say nothing.
    if progress.match_index < state.log.last_index or progress.state is ProgressState.PROBE:
        send_append(state, message.sender, progress, or_empty=True)
