"""The election conversation, both ends: pre-vote and vote (thesis §3.4, §9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from roost.raft.quorum import Verdict, tally
from roost.raft.types import HardState, Role

if TYPE_CHECKING:
    from roost.raft.core import Core


def campaign(core: Core, *, is_transfer: bool = False) -> None:
    """The election timer fired, somebody asked for a campaign, or the leader for a transfer."""
    if has_unapplied_change(core):
        return  # who may vote is not settled here yet (checklist 25)
    if core.config.pre_vote and not is_transfer:
        core.become_pre_candidate()
        core.votes[core.id] = True
        request = PreVoteRequest(core.term + 1, core.id, *_last(core), *_committed(core))
        _ask(core, request)
        _decide(core)
    else:
        _stand(core, is_transfer=is_transfer)


def _ask(core: Core, request: PreVoteRequest | VoteRequest) -> None:
    """Ask every other voter of either half, in sorted order (checklist 26)."""
    for node in core.configuration.all_voters():
        if node != core.id:
            core.send(node, request)


def _last(core: Core) -> tuple[int, int]:
    return core.log.last_index, core.log.last_term


def _committed(core: Core) -> tuple[int, int]:
    """A committed entry, for whoever holds it too; the term is 0 when it is unknown here."""
    index = core.log.commit_index
    return index, core.log.term_at(index) or 0


def _learn_commit(core: Core, index: int, term: int) -> None:
    """Somebody knows (index, term) to be committed: so is all we hold up to it (checklist 43)."""
    if term and core.log.holds(index, term):
        core.log.commit_to(index)


def has_unapplied_change(core: Core) -> bool:
    """Whether a committed change is not in force here yet."""
    return bool(core.log.change_indexes) and core.log.committed_change_index > 0


def _stand(core: Core, *, is_transfer: bool = False) -> None:
    """Ask for real votes; our own is counted when it is durable."""
    core.become_candidate()
    request = VoteRequest(core.term, core.id, *_last(core), is_transfer, *_committed(core))
    _ask(core, request)


def on_own_vote_durable(core: Core, hard_state: HardState) -> None:
    """Our vote reached the disk: count it, unless the term has moved on (checklist 27, 28)."""
    if hard_state.term == core.term and hard_state.vote == core.id:
        core.votes.setdefault(core.id, True)
        _decide(core)


def on_pre_vote_request(core: Core, message: PreVoteRequest) -> None:
    """Say whether we would vote; neither vote nor timer changes (checklist 30)."""
    if core.is_in_lease_of_other(message.sender):
        return
    _learn_commit(core, message.commit_index, message.commit_term)
    is_open = message.term > core.term or _may_vote_for(core, message.sender)
    if (
        is_open
        and not core.is_fenced
        and core.log.is_up_to_date(message.last_term, message.last_index)
    ):
        granted = PreVoteReply(message.term, core.id, True, *_committed(core))
        core.reply(message.sender, granted)
    else:
        refuse_pre_vote(core, message.sender)


def refuse_pre_vote(core: Core, candidate: int) -> None:
    """Answer with our own term, so that a candidate that lags behind learns of it."""
    refusal = PreVoteReply(core.term, core.id, False, *_committed(core))
    core.reply(candidate, refusal)


def on_vote_request(core: Core, message: VoteRequest) -> None:
    """Vote, at most once a term; the answer waits for the disk."""
    if core.is_in_lease_of_other(message.sender) and not message.is_transfer:
        return
    _learn_commit(core, message.commit_index, message.commit_term)
    is_granted = (
        not core.is_fenced
        and _may_vote_for(core, message.sender)
        and core.log.is_up_to_date(message.last_term, message.last_index)
    )
    if is_granted:
        core.vote = message.sender
        core.elapsed_ticks = 0
    core.reply(message.sender, VoteReply(core.term, core.id, is_granted, *_committed(core)))


def _may_vote_for(core: Core, candidate: int) -> bool:
    """Checklist 29: again for the same candidate, or for the first when nobody leads."""
    return core.vote == candidate or (core.vote == 0 and core.leader_id == 0)


def on_pre_vote_reply(core: Core, message: PreVoteReply) -> None:
    """Count a pre-vote, if this is still the round it answers."""
    if core.role is not Role.PRE_CANDIDATE:
        return
    if message.is_granted and message.term != core.term + 1:
        return  # a grant for another round
    _count(core, message)


def on_vote_reply(core: Core, message: VoteReply) -> None:
    """Count a vote of this term."""
    if core.role is Role.CANDIDATE:
        _count(core, message)


def _count(core: Core, reply: PreVoteReply | VoteReply) -> None:
    """The first answer of each voter counts (checklist 34)."""
    _learn_commit(core, reply.commit_index, reply.commit_term)
    if has_unapplied_change(core):
        # Who may vote is not what we thought: apply that first (checklist 43, etcd #12359).
        core.become_follower(core.term, 0)
        return
    core.votes.setdefault(reply.sender, reply.is_granted)
    _decide(core)


def _decide(core: Core) -> None:
    """Act on how the vote stands.

    Whatever the others say, nobody leads before its own vote is durable: a leader that forgot
    its term in a crash could win the same term again, and write other entries in it.
    """
    match tally(core.configuration, core.votes):
        case Verdict.WON if core.role is Role.PRE_CANDIDATE:
            _stand(core)
        case Verdict.WON if core.id in core.votes:
            core.become_leader()
        case Verdict.LOST:
            core.become_follower(core.term, 0)
        case _:
            pass
