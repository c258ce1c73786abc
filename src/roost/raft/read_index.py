"""The linearizable-read conversation, both ends: ReadIndex (thesis §6.4, checklist 111-117).

A read must see every write that was answered before it was asked.  A leader holds all of them,
but it may have been replaced without knowing, and then others are answered elsewhere.  So it asks
a quorum whether it still leads: whoever was elected meanwhile needed a voter of that quorum, and
that one does not answer us any more.

The leader notes its commit index, proves by a round of heartbeats sent *after* the read arrived
that it still leads, and only then gives the index out.  Rounds are known by tokens counted up by
the leader and never used again; an echo of a token confirms it and all before it.

That proof takes a quorum, not everybody.  So a round is asked of those alone who answered first
when all were asked (`Rounds.nearest`): the others are asked when these let it wait (`ask_all`, of
which the member's clock decides), and with each heartbeat of a tick, which goes to all and lets
the next round find out anew who is near.

With a lease (off by default) the leader may read for `lease_s` after the *sending* of a round
that a quorum answered, by one monotonic clock: no voter that answered grants another a vote
before its election timeout has passed (checklist 54).  That trusts clocks to run alike; ReadIndex
does not.
"""

from roost.raft import heartbeat
from roost.raft.leading import Leading
from roost.raft.messages import HeartbeatReply, ReadIndexReply, ReadIndexRequest
from roost.raft.quorum import has_quorum
from roost.raft.reads import Asked, Round
from roost.raft.ready import ReadReady
from roost.raft.state import State

# Reads of other members waiting for our first commit, or for a round; more are answered with
# "ask again".  Our own reads are bounded by our caller.
REMOTE_COUNT_MAX = 10_000


def start(state: State, token: int) -> None:
    """A read of our own starts."""
    reads = state.reads
    if state.leading is not None:
        _start_round(state, state.leading, Asked(state.id, token))
    elif state.leader_id:
        # One message a read, and no copy of it is kept: our member asks again when no answer comes.
        reads.asked.append(token)
        state.send(state.leader_id, ReadIndexRequest(state.id, token))
    else:
        reads.failed.append(token)


def forbid_lease(leading: Leading) -> None:
    """Somebody was told to campaign at once, and may obey at any time while this term lasts."""
    # It asks for votes that no lease refuses: so what a quorum answers from here on proves that
    # it follows us now, and nothing about the time to come.
    leading.rounds.end_lease()
    leading.rounds.may_lease = False


def by_lease(state: State, now_s: float) -> int | None:
    """The commit index, if our lease covers `now_s`."""
    # Until the lease ends no other can have been elected: each voter of the quorum that answered
    # refuses for an election timeout after it heard us, and it heard us after we sent.  So what
    # is committed is committed by us, and we know where that ends (§6.4.1).  The sum is done in
    # one clock, our own; the voters' may run faster than it by what lies between `lease_s` and
    # the election timeout, and not by more.
    leading = state.leading
    if leading is None or leading.transfer is not None:
        return None
    is_covered = now_s < leading.rounds.lease_end_s
    return state.log.commit_index if is_covered and state.is_leader_ready else None


def note_round_sent(state: State) -> None:
    """The heartbeat of the tick leaves: a quorum's answers will extend the lease from now."""
    leading, reads = state.leading, state.reads
    assert leading is not None, "only a leader has a heartbeat"
    if state.config.lease_s and leading.rounds.may_lease and leading.transfer is None:
        # A token of its own, though no read waits for it: the echo must tell this sending from
        # those before, whose time is older.
        reads.newest_token += 1
        leading.rounds.sent.append((reads.newest_token, reads.now_s))


def _is_confirmed(state: State, leading: Leading, token: int) -> bool:
    """Whether a quorum followed us after `token` was made."""
    peers, own = leading.peers, state.id
    # We follow ourselves.  A voter that echoed a later token follows us still, so it confirms this
    # one.
    return has_quorum(
        state.configuration, lambda node: node == own or peers[node].read_token >= token
    )


def on_request(state: State, message: ReadIndexRequest) -> None:
    """Another member asks; if we do not lead it will ask again."""
    leading = state.leading
    # No answer at all: the asker fails the read when its leader changes, and asks again after a
    # while when it does not.
    if leading is None or message.sender not in leading.peers:
        return
    # An answer, though a refusal: without one the asker would wait for its timeout, and come again
    # with all the others that did.
    if leading.rounds.count >= REMOTE_COUNT_MAX:
        state.send(message.sender, ReadIndexReply(state.term, state.id, message.token, 0))
        return
    _start_round(state, leading, Asked(message.sender, message.token))


def _start_round(state: State, leading: Leading, asked: Asked) -> None:
    # Our log holds all that is committed, but which of it is we learn with the first entry of our
    # own term; before that the commit index may lag behind what our predecessor answered.
    if not state.is_leader_ready:
        leading.rounds.deferred.append(asked)
        return
    # A voter that is alone is a quorum, and cannot have been replaced.
    if state.configuration.all_voters() == (state.id,):
        _answer(state, asked, state.log.commit_index)
        return
    # The index is noted now, before the round: what is committed while it lasts need not be seen,
    # and what was committed before it must.
    reads = state.reads
    reads.newest_token += 1
    rounds = leading.rounds
    rounds.on_way.append(Round(reads.newest_token, state.log.commit_index, asked))
    if rounds.nearest:
        rounds.near_token = reads.newest_token
        heartbeat.send(state, leading, rounds.nearest)
    else:
        heartbeat.broadcast(state)


def ask_all(state: State) -> None:
    """Those who were asked first are slow or gone: ask all the others what waits, too."""
    leading = state.leading
    if leading is not None and leading.rounds.oldest_near_token:
        leading.rounds.near_token, leading.rounds.nearest = 0, ()
        heartbeat.broadcast(state)


def release_deferred(state: State) -> None:
    """Reads that waited until an entry of our own term was committed start, if one is by now."""
    leading = state.leading
    if leading is not None and leading.rounds.deferred and state.is_leader_ready:
        deferred, leading.rounds.deferred = leading.rounds.deferred, []
        for asked in deferred:
            _start_round(state, leading, asked)


def on_echo(state: State, message: HeartbeatReply) -> None:
    """A peer answered the heartbeat with this token: it followed us after the read arrived."""
    leading, token = state.leading, message.token
    progress = leading.peers.get(message.sender) if leading is not None else None
    if leading is None or progress is None or token <= progress.read_token:
        return
    # An echo of a token stands for all before it: they were made earlier, and it follows us now.
    progress.read_token = token
    rounds = leading.rounds
    while rounds.sent and _is_confirmed(state, leading, rounds.sent[0][0]):
        # From the sending on, see `Rounds.lease_end_s`; later rounds end later, so this only grows.
        rounds.lease_end_s = rounds.sent.popleft()[1] + state.config.lease_s
    # A later round cannot be confirmed by it: most answers that a quorum did not need come when the
    # next one is on its way.
    on_way = rounds.on_way
    while on_way and on_way[0].token <= token and _is_confirmed(state, leading, on_way[0].token):
        confirmed = on_way.popleft()
        if not rounds.nearest:
            rounds.nearest = _who_confirmed(state, leading, confirmed.token)
        _answer(state, confirmed.asked, confirmed.index)


def _who_confirmed(state: State, leading: Leading, token: int) -> tuple[int, ...]:
    peers, own = leading.peers, state.id
    voters = state.configuration.all_voters()
    return tuple(it for it in voters if it != own and peers[it].read_token >= token)


def _answer(state: State, asked: Asked, index: int) -> None:
    if asked.node == state.id:
        state.reads.ready.append(ReadReady(asked.token, index))
    else:
        # Sent, and not put behind the disk: the index is one that a quorum holds durably, and that
        # we led when the read was asked is proven by others.  Nothing of it can be forgotten here.
        state.send(asked.node, ReadIndexReply(state.term, state.id, asked.token, index))


def on_reply(state: State, message: ReadIndexReply) -> None:
    """The leader confirmed a read of ours, or asks us to come again."""
    # From the leader that was asked, or from one that came after and never heard of it: then the
    # token is none that we wait for, since all were failed when the leader changed.
    reads = state.reads
    if message.sender != state.leader_id or message.token not in reads.asked:
        return
    reads.asked.remove(message.token)
    if message.index:
        reads.ready.append(ReadReady(message.token, message.index))
    else:
        reads.failed.append(message.token)
