"""The election conversation, both ends: pre-vote and vote (thesis §3.4, §9.6).

    timeout -> would you vote for me?  (pre-vote: nothing is promised, nothing becomes durable)
       quorum -> vote for me!          (one vote a voter and term, durable before it is said)
          quorum, our own durable among them -> lead

Two rules make it safe.  A voter gives one vote a term, so that a term has one leader at most; and
it gives none to a log that is older than its own, so that whoever wins holds what is committed:
"the voter denies its vote if its own log is more up-to-date than that of the candidate" (§3.6.1).

Each message also tells of an entry that its sender knows to be committed.  That is no more than
a rumour of what the log may hold already, and it closes a hole: only a dead leader may have known
that a change of the configuration was committed, and those who are left could elect nobody
without it (etcd #12359).
"""

from roost.raft.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from roost.raft.quorum import Verdict, tally
from roost.raft.state import State
from roost.raft.types import HardState, Role


def campaign(state: State, *, is_transfer: bool = False) -> None:
    """The election timer fired, somebody asked for a campaign, or the leader for a transfer."""
    if has_unapplied_change(state):
        # Who may vote is not known here yet (checklist 25).  A quorum of a configuration that
        # has been left could elect us beside a leader of the one in force.
        return
    if state.config.pre_vote and not is_transfer:
        state.become_pre_candidate()
        # Our own answer counts at once: it promises nothing, so there is nothing to make durable.
        state.votes[state.id] = True
        # Our own term stays: we only ask, and if nobody would follow, nobody was disturbed (§9.6).
        request = PreVoteRequest(state.term + 1, state.id, *_last(state), *_committed(state))
        _ask(state, request)
        _decide(state)
    else:
        _stand(state, is_transfer=is_transfer)


def _ask(state: State, request: PreVoteRequest | VoteRequest) -> None:
    """Ask every other voter of either half, in sorted order (checklist 26)."""
    for node in state.configuration.all_voters():
        if node != state.id:
            state.send(node, request)


def _last(state: State) -> tuple[int, int]:
    return state.log.last_index, state.log.last_term


def _committed(state: State) -> tuple[int, int]:
    """A committed entry, for whoever holds it too; the term is 0 when it is unknown here."""
    # It may be compacted: then a position without a term is told, which says nothing to anybody.
    index = state.log.commit_index
    return index, state.log.term_at(index) or 0


def _learn_commit(state: State, index: int, term: int) -> None:
    """Somebody knows (index, term) to be committed: so is all we hold up to it (checklist 43)."""
    # Log matching: the same entry at one position, the same entries at all before.  Without the
    # term the position alone would say nothing, since ours there may be another.
    if term and state.log.holds(index, term):
        state.log.commit_to(index)


def has_unapplied_change(state: State) -> bool:
    """Whether a committed change is not in force here yet."""
    # The list is empty nearly always; only then its members are looked at.
    return bool(state.log.change_indexes) and state.log.committed_change_index > 0


def _stand(state: State, *, is_transfer: bool = False) -> None:
    """Ask for real votes; our own is counted when it is durable."""
    # Asked at once, while the disk still writes: a question rests on nothing.
    state.become_candidate()
    request = VoteRequest(state.term, state.id, *_last(state), is_transfer, *_committed(state))
    _ask(state, request)


def on_vote_durable(state: State, hard_state: HardState) -> None:
    """A vote reached the disk: count it, if it is our own for this round (checklist 27, 28)."""
    is_candidate = state.role is Role.CANDIDATE
    if is_candidate and hard_state.term == state.term and hard_state.vote == state.id:
        # For this term only: an older vote that reaches the disk late is of an election that is
        # over.
        state.votes.setdefault(state.id, True)
        _decide(state)


def on_pre_vote_request(state: State, message: PreVoteRequest) -> None:
    """Say whether we would vote; neither vote nor timer changes (checklist 30)."""
    # Silence, not a refusal: whoever hears a leader does not argue with those who do not, and a
    # refusal would carry a term that the candidate might move to.
    if state.is_in_lease_of_other(message.sender):
        return
    _learn_commit(state, message.commit_index, message.commit_term)
    # For a term that nobody is in yet there is no vote that could be given twice.
    is_open = message.term > state.term or _may_vote_for(state, message.sender)
    if (
        is_open
        and not state.is_fenced
        and state.log.is_up_to_date(message.last_term, message.last_index)
    ):
        # The candidate's term, not ours: we may lag behind, and an answer in an old term would be
        # dropped.  It is the one message that names a term which its sender is not in.
        granted = PreVoteReply(message.term, state.id, True, *_committed(state))
        state.reply(message.sender, granted)
    else:
        refuse_pre_vote(state, message.sender)


def refuse_pre_vote(state: State, candidate: int) -> None:
    """Answer with our own term, so that a candidate that lags behind learns of it."""
    refusal = PreVoteReply(state.term, state.id, False, *_committed(state))
    state.reply(candidate, refusal)


def on_vote_request(state: State, message: VoteRequest) -> None:
    """Vote, at most once a term; the answer waits for the disk."""
    # Once more, though the same was asked of a higher term on the way in: of our own term it was
    # not, and the promise behind a lease does not depend on terms.  A transfer is the leader's own
    # wish, and it has let go of its lease.
    if state.is_in_lease_of_other(message.sender) and not message.is_transfer:
        return
    _learn_commit(state, message.commit_index, message.commit_term)
    is_granted = (
        not state.is_fenced
        and _may_vote_for(state, message.sender)
        and state.log.is_up_to_date(message.last_term, message.last_index)
    )
    # The timer begins again only for a vote that was given: then somebody is about to lead whom
    # we helped.  Refusing must not delay us, or a candidate that cannot win could keep the one
    # that can from trying (hashicorp #609).
    if is_granted:
        state.vote = message.sender
        state.elapsed_ticks = 0
    state.reply(message.sender, VoteReply(state.term, state.id, is_granted, *_committed(state)))


def _may_vote_for(state: State, candidate: int) -> bool:
    """Checklist 29: again for the same candidate, or for the first when nobody leads."""
    # Again, because the first answer may have been lost; to say it twice is to say it once.
    # Whoever follows a leader of this term knows that it is decided, though without its own vote:
    # for another it could only be in vain.
    return state.vote == candidate or (state.vote == 0 and state.leader_id == 0)


def on_pre_vote_reply(state: State, message: PreVoteReply) -> None:
    """Count a pre-vote, if this is still the round it answers."""
    if state.role is not Role.PRE_CANDIDATE:
        return
    # A refusal carries the voter's term, which may be any; a grant echoes ours.
    if message.is_granted and message.term != state.term + 1:
        return  # a grant for another round
    _count(state, message)


def on_vote_reply(state: State, message: VoteReply) -> None:
    """Count a vote of this term."""
    # Those of other terms were not let in, and whoever is no candidate any more counts nothing:
    # a late vote for an election that was lost must not win the next.
    if state.role is Role.CANDIDATE:
        _count(state, message)


def _count(state: State, reply: PreVoteReply | VoteReply) -> None:
    """The first answer of each voter counts (checklist 34)."""
    _learn_commit(state, reply.commit_index, reply.commit_term)
    if has_unapplied_change(state):
        # Who may vote is not what we thought: apply that first (checklist 43, etcd #12359).
        state.become_follower(state.term, 0)
        return
    # Only the quorum of voters is tallied, so that an answer from anybody else is harmless here.
    state.votes.setdefault(reply.sender, reply.is_granted)
    _decide(state)


def _decide(state: State) -> None:
    """Act on how the vote stands.

    Whatever the others say, nobody leads before its own vote is durable: a leader that forgot
    its term in a crash could win the same term again, and write other entries in it.
    """
    match tally(state.configuration, state.votes):
        case Verdict.WON if state.role is Role.PRE_CANDIDATE:
            _stand(state)
        case Verdict.WON if state.id in state.votes:
            state.become_leader()
        # Not a defeat for the term: somebody else may win it yet, and we follow whoever says so.
        case Verdict.LOST:
            state.become_follower(state.term, 0)
        case _:
            pass
