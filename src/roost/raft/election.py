"""The election conversation, both ends: pre-vote and vote (thesis §3.4, §9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roost.raft.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from roost.raft.quorum import Verdict, tally
from roost.raft.types import EntryKind, HardState, Role

if TYPE_CHECKING:
    from roost.raft.core import Core

_SCAN_BYTES_MAX = 1 << 20


def campaign(core: Core) -> None:
    """The election timer fired, or somebody asked for a campaign."""
    if _has_unapplied_configuration(core):
        return  # who may vote is not settled here yet (checklist 25)
    if core.config.pre_vote:
        core.become_pre_candidate()
        core.votes[core.id] = True
        log = core.log
        for node in core.configuration.all_voters():
            if node != core.id:
                request = PreVoteRequest(core.term + 1, core.id, log.last_index, log.last_term)
                core.send(node, request)
        _decide(core)
    else:
        _stand(core)


def _has_unapplied_configuration(core: Core) -> bool:
    log = core.log
    index = log.applied_index + 1
    while index <= log.commit_index:
        page = log.slice(index, _SCAN_BYTES_MAX, log.commit_index + 1)
        if any(entry.kind is EntryKind.CONFIGURATION for entry in page):
            return True
        index = page[-1].index + 1
    return False


def _stand(core: Core) -> None:
    """Ask for real votes; our own is counted when it is durable."""
    core.become_candidate()
    log = core.log
    for node in core.configuration.all_voters():
        if node != core.id:
            core.send(node, VoteRequest(core.term, core.id, log.last_index, log.last_term))


def on_own_vote_durable(core: Core, hard_state: HardState) -> None:
    """Our vote reached the disk: count it, unless the term has moved on (checklist 27, 28)."""
    if hard_state.term == core.term and hard_state.vote == core.id:
        core.votes.setdefault(core.id, True)
        _decide(core)


def on_pre_vote_request(core: Core, message: PreVoteRequest) -> None:
    """Say whether we would vote; nothing of ours changes, not even the timer (checklist 30)."""
    if core.is_in_lease_of_other(message.sender):
        return
    is_open = message.term > core.term or _may_vote_for(core, message.sender)
    if is_open and core.log.is_up_to_date(message.last_term, message.last_index):
        core.reply(message.sender, PreVoteReply(message.term, core.id, is_granted=True))
    else:
        core.reply(message.sender, PreVoteReply(core.term, core.id, is_granted=False))


def on_vote_request(core: Core, message: VoteRequest) -> None:
    """Vote, at most once a term; the answer waits for the disk."""
    if core.is_in_lease_of_other(message.sender) and not message.is_transfer:
        return
    is_granted = _may_vote_for(core, message.sender) and core.log.is_up_to_date(
        message.last_term, message.last_index
    )
    if is_granted:
        core.vote = message.sender
        core.elapsed_ticks = 0
    core.reply(message.sender, VoteReply(core.term, core.id, is_granted))


def _may_vote_for(core: Core, candidate: int) -> bool:
    """Checklist 29: again for the same candidate, or for the first when nobody leads."""
    return core.vote == candidate or (core.vote == 0 and core.leader_id == 0)


def on_pre_vote_reply(core: Core, message: PreVoteReply) -> None:
    """Count a pre-vote, if this is still the round it answers."""
    if core.role is not Role.PRE_CANDIDATE:
        return
    if message.is_granted and message.term != core.term + 1:
        return  # a grant for another round
    _count(core, message.sender, is_granted=message.is_granted)


def on_vote_reply(core: Core, message: VoteReply) -> None:
    """Count a vote of this term."""
    if core.role is Role.CANDIDATE:
        _count(core, message.sender, is_granted=message.is_granted)


def _count(core: Core, voter: int, *, is_granted: bool) -> None:
    """The first answer of each voter counts (checklist 34)."""
    core.votes.setdefault(voter, is_granted)
    _decide(core)


def _decide(core: Core) -> None:
    match tally(core.configuration, core.votes):
        case Verdict.WON if core.role is Role.PRE_CANDIDATE:
            _stand(core)
        case Verdict.WON:
            core.become_leader()
        case Verdict.LOST:
            core.become_follower(core.term, 0)
        case Verdict.PENDING:
            pass
